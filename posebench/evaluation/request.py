"""A request: what to evaluate, how, and where its files lie; and everything opened for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from posebench.evaluation.data import Sources, open_dataset
from posebench.evaluation.listing import missing_parts
from posebench.evaluation.outcome import Job
from posebench.evaluation.protocols import requested_protocols
from posebench.evaluation.resume import NOTHING_KEPT, Parts
from posebench.evaluation.weights import load_entry
from posebench.inference.devices import check_device
from posebench.inference.predict import Options
from posebench.keypoints import selection
from posebench.registry import Registry, load_registry
from posebench.types.base import first_problem
from posebench.types.dataset import DatasetSpec
from posebench.types.entry import Entry
from posebench.types.errors import UserError
from posebench.types.faults import OnError
from posebench.types.model import PoseModel
from posebench.types.progress import Progress
from posebench.types.protocol import Protocol
from posebench.types.timing import PLAIN, Form

# Some value for every axis without a default, so that others can be validated beside them.
ANY_PROTOCOL = {
    **{"name": "any", "boxes": "gt", "flip": False, "shift": False},
    **{"decode": "quarter", "rescoring": "none", "nms": "none"},
}
PATHS = ("checkpoint", "data_root", "annotations", "images")


@dataclass(frozen=True)
class Request:
    """What one evaluation was asked to do.

    Attributes:
        model: Id or short name of the registry.
        dataset: Dataset of the entry; tells rows of one short name apart.
        protocol: ``claim``, ``common`` or a protocol's name.
        boxes: ``gt``, ``detector`` or a detector's JSON file; overrides the protocol.
        checkpoint: Weights file as the zoo publishes it.
        data_root: Folder with annotations and images; default ``POSEBENCH_DATA``.
        annotations: Annotation file, if not in the usual place.
        images: Image folder, likewise.
        device: ``cpu`` or ``cuda:N``.
        batch_size: Persons a forward pass.
        threads: That read and crop; default as many as torch uses.
        limit: Only so many images, see ``Sample``.
        registry: Folders of further rows.
        form: In which the network is computed; only exact ones.
        choices: Axes of ``Protocol`` to override; None is no override.
        on_error: ``fail`` or ``skip`` images and annotations that cannot be used.
    """

    model: str
    dataset: str | None = None
    protocol: str = "claim"
    boxes: str | None = None
    checkpoint: Path | None = None
    data_root: Path | None = None
    annotations: Path | None = None
    images: Path | None = None
    device: str = "cpu"
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    threads: Annotated[int, Field(ge=1, le=100_000)] | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    registry: Sequence[Path] = ()
    form: Form = PLAIN
    choices: dict[str, Any] = field(default_factory=dict)
    on_error: OnError = "fail"

    # of requests that come as JSON; keyword arguments are checked where they are used
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    @classmethod
    def of(cls, model: str, **asked: Any) -> Request:
        """Sort keyword arguments into fields and choices.

        Raises:
            TypeError: A name is neither a field nor an axis of ``Protocol``.
        """
        own = {f.name for f in fields(cls)}
        choices = {name: value for name, value in asked.items() if name not in own}
        unknown = choices.keys() - set(Protocol.axes())
        if unknown:
            raise TypeError(f"no argument and no axis of a protocol: {', '.join(sorted(unknown))}")
        given = {name: value for name, value in asked.items() if name in own}
        return cls(model, choices=choices, **given)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; paths stay as they were given."""
        plain = asdict(self)
        paths = {name: None if plain[name] is None else str(plain[name]) for name in PATHS}
        given = {axis: value for axis, value in self.choices.items() if value is not None}
        own = {"registry": [str(p) for p in self.registry], "form": self.form.model_dump()}
        return plain | paths | own | {"choices": given}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Request:
        """Return what ``to_json`` wrote, or whatever else somebody wrote that has its types.

        Raises:
            UserError: A name is unknown or missing, or a value has the wrong type or size.
        """
        try:
            # as JSON: there text may be a path, and nothing else is converted
            request = TypeAdapter(cls).validate_json(json.dumps(plain), strict=True)
            unknown = request.choices.keys() - set(Protocol.axes())
            if unknown:
                raise UserError(f"{min(unknown)[:40]!r} is not an axis of a protocol.")
            Protocol.model_validate_json(json.dumps(ANY_PROTOCOL | request.choices), strict=True)
        except ValidationError as error:
            where, problem = first_problem(error)
            raise UserError(f"{where[:80]} of its request: {problem}.") from error
        return request


@dataclass(frozen=True, eq=False)
class Prepared:
    """A request with everything opened.

    Attributes:
        protocols: Asked for; the first speaks for the record.
    """

    job: Job
    protocols: tuple[Protocol, ...]
    registry: Registry

    @property
    def entry(self) -> Entry:
        """The registry's row."""
        return self.job.model.entry


@dataclass(frozen=True, eq=False)
class _Named:
    """What the names in a request mean."""

    registry: Registry
    entry: Entry
    spec: DatasetSpec
    protocols: tuple[Protocol, ...]


def check_names(request: Request) -> None:
    """Look up model, dataset and protocols of a request, and open nothing.

    Raises:
        UserError: A name is unknown, or they do not go together.
    """
    _named(request)


def _named(request: Request) -> _Named:
    known = load_registry(tuple(request.registry))
    entry = known.find(request.model, request.dataset)
    spec = _dataset(known, entry, request.dataset)
    choices = request.choices | _box_axis(request.boxes)
    return _Named(known, entry, spec, requested_protocols(entry, known, request.protocol, choices))


def prepare(
    request: Request,
    *,
    parts: Parts = NOTHING_KEPT,
    progress: Progress | None = None,
    with_intervals: bool = True,
) -> Prepared:
    """Open model and data of a request.

    Raises:
        UserError: Anything the user can mend.
    """
    named = _named(request)
    spec, protocols = named.spec, named.protocols
    options = _options(request)
    boxes = None if request.boxes in (None, "gt", "detector") else Path(request.boxes)
    sources = Sources(request.data_root, request.annotations, request.images, boxes, request.limit)
    model = load_row(named.entry, named.registry, request.checkpoint)
    if request.form != PLAIN:
        model = _in_form(model, request.form, options)
    data = open_dataset(
        spec,
        sources,
        protocols[0].annotations,
        on_error=request.on_error,
        threads=options.threads,
        progress=progress,
    )
    job = Job(model, data, spec, sources, options, parts, progress, with_intervals, request.form)
    return Prepared(job, protocols, named.registry)


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


def _dataset(registry: Registry, entry: Entry, name: str | None) -> DatasetSpec:
    """The dataset to evaluate on; every joint it annotates must be predicted."""
    spec = registry.dataset(name or entry.dataset)
    if selection(entry.input.keypoints, spec.keypoints) is None:
        raise UserError(
            f"{entry.key} predicts {entry.input.keypoints}, {spec.id} annotates {spec.keypoints}.",
            f"Evaluate it on {entry.dataset}.",
        )
    return spec


def _box_axis(boxes: str | None) -> dict[str, Any]:
    """``--boxes`` as protocol axes; ground truth keeps the protocol's sanitising."""
    if boxes is None:
        return {}
    return {"boxes": "gt" if boxes == "gt" else "detector"}


def _options(request: Request) -> Options:
    device, batch_size = request.device, request.batch_size
    if batch_size < 1:
        raise UserError(f"--batch-size {batch_size} is no batch.", "Give a number from 1 up.")
    return Options(check_device(device), batch_size, request.threads or torch.get_num_threads())
