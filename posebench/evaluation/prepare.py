"""A request with everything opened: weights, data, protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from posebench.adapters import load_weights, random_model
from posebench.adapters.schemes import missing_parts
from posebench.downloads.weights_file import find_weights, how_to_get_weights
from posebench.evaluation.chunks import NOTHING_KEPT, ChunkPlan, ChunkRef
from posebench.evaluation.data import open_dataset
from posebench.evaluation.protocols import requested_protocols
from posebench.inference.devices import check_device
from posebench.inference.image_io import ImageDigests
from posebench.inference.predict import Options
from posebench.keypoints import selection
from posebench.progress import Progress
from posebench.registry import Registry, load_registry
from posebench.types.arrays import Dataset
from posebench.types.dataset import DatasetSpec
from posebench.types.entry import Entry
from posebench.types.errors import UserError
from posebench.types.model import PoseModel
from posebench.types.protocol import Protocol
from posebench.types.request import DataPaths, EvalRequest
from posebench.types.timing import PLAIN, Form


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model on a dataset, and how to run it.

    Attributes:
        model: Network with weights.
        dataset: Annotations and images.
        spec: What the registry knows about the dataset.
        paths: Where the caller says that data is.
        options: How to run.
        protocols: Asked for; the first speaks for the record.
        registry: Resolves the claims' protocols; None where nothing is compared with claims.
        form: In which the network is computed.
        chunk_plan: Where finished chunks are kept.
        progress: Called with (what, done, all).
        with_intervals: Whether scores get intervals; a grid of protocols does without.
        digests: Those of the image files that were read so far.
        chunks: That a shard leaves, so far.
    """

    model: PoseModel
    dataset: Dataset
    spec: DatasetSpec
    paths: DataPaths
    options: Options
    protocols: tuple[Protocol, ...] = ()
    registry: Registry | None = None
    form: Form = PLAIN
    chunk_plan: ChunkPlan = NOTHING_KEPT
    progress: Progress | None = None
    with_intervals: bool = True
    digests: ImageDigests = field(default_factory=ImageDigests)
    chunks: list[ChunkRef] = field(default_factory=list)

    def report(self, what: str, done: int = 0, count: int = 0) -> None:
        """Tell how far the work is."""
        if self.progress:
            self.progress(f"{self.model.entry.id}, {what}", done, count)


@dataclass(frozen=True, eq=False)
class _Named:
    """What the names in a request mean."""

    registry: Registry
    entry: Entry
    spec: DatasetSpec
    protocols: tuple[Protocol, ...]


def check_names(request: EvalRequest) -> None:
    """Look up model, dataset and protocols of a request, and open nothing.

    Raises:
        UserError: A name is unknown, or they do not go together.
    """
    _named(request)


def _named(request: EvalRequest) -> _Named:
    known = load_registry(request.registry)
    entry = known.find(request.model, request.dataset)
    spec = _dataset(known, entry, request.dataset)
    choices: dict[str, object] = {**request.choices}
    if request.boxes is not None:  # ground truth keeps the protocol's sanitising
        choices["boxes"] = "gt" if request.boxes == "gt" else "detector"
    return _Named(known, entry, spec, requested_protocols(entry, known, request.protocol, choices))


def prepare(
    request: EvalRequest,
    *,
    chunk_plan: ChunkPlan = NOTHING_KEPT,
    progress: Progress | None = None,
    with_intervals: bool = True,
) -> Prepared:
    """Open model and data of a request.

    Raises:
        UserError: Anything the user can fix.
    """
    named = _named(request)
    spec, protocols = named.spec, named.protocols
    threads = request.threads or torch.get_num_threads()
    options = Options(check_device(request.device), request.batch_size, threads)
    model = load_row(named.entry, named.registry, request.checkpoint)
    if request.form != PLAIN:
        model = _in_form(model, request.form, options)
    dataset = open_dataset(
        spec,
        request.data_paths,
        protocols[0].annotations,
        on_error=request.on_error,
        threads=threads,
        progress=progress,
    )
    return Prepared(
        model, dataset, spec, request.data_paths, options, protocols, named.registry,
        request.form, chunk_plan, progress, with_intervals,
    )  # fmt: skip


def _in_form(model: PoseModel, form: Form, options: Options) -> PoseModel:
    """Bring the model into a form of which a batch shows that only rounding differs."""
    if model.entry.input.whole:
        raise UserError(
            f"{model.entry.key} takes images of any size, which a fixed form does not.",
            "Leave --fold, --channels-last, --compile and --runtime out.",
        )
    from posebench.inference.forms import exact_form

    return exact_form(
        model,
        form,
        batch_size=options.batch_size,
        threads=torch.get_num_threads(),
        device=options.device,
    )


def load_row(entry: Entry, registry: Registry, checkpoint: Path | None) -> PoseModel:
    """Build an entry's network with its weights.

    Raises:
        UserError: A part that is not built yet, a missing or wrong file.
    """
    missing = missing_parts(entry, registry)
    if missing:
        raise UserError(
            f"{entry.key} cannot be run yet: {', '.join(missing)} is not built.",
            "`posebench list --status runnable` shows what can.",
        )
    return load_entry(entry, checkpoint, rows=registry.entries)


def load_entry(
    entry: Entry,
    checkpoint: Path | None = None,
    *,
    rows: Sequence[Entry] = (),
    allow_random: bool = False,
) -> PoseModel:
    """Build an entry's network with its weights, from the file that is given or found.

    Args:
        entry: The registry row.
        checkpoint: The file, in the format its zoo publishes; None for weights that posebench
            ships, that ``posebench fetch`` brought into the cache, or for entries that need none.
        rows: All rows of the registry: they tell whether the file's name is that of other weights.
        allow_random: Give random weights (always the same) where no file is at hand, for
            timing.

    Returns:
        The network in evaluation mode, float32, on the CPU; its coverage is None only for
        random weights.

    Raises:
        UserError: No file, a wrong or damaged one, or one that does not fit the network.
    """
    found = find_weights(entry, checkpoint)
    if found is not None:
        sha256 = found.downloaded_sha256
        return load_weights(entry, found.path, rows=rows, downloaded_sha256=sha256)
    if allow_random or entry.checkpoint.container == "none":
        return random_model(entry)
    raise UserError(f"{entry.key} needs its weights file.", how_to_get_weights(entry))


def _dataset(registry: Registry, entry: Entry, name: str | None) -> DatasetSpec:
    """The dataset to evaluate on; every joint it annotates must be predicted."""
    spec = registry.dataset(name or entry.dataset)
    if selection(entry.input.keypoints, spec.keypoints) is None:
        raise UserError(
            f"{entry.key} predicts {entry.input.keypoints}, {spec.id} annotates {spec.keypoints}.",
            f"Evaluate it on {entry.dataset}.",
        )
    return spec
