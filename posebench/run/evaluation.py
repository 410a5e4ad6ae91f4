"""``evaluate``: one model, one dataset, its protocols -> one ``Record``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from posebench.adapters import load_model as adapt
from posebench.inference.predict import Options
from posebench.keypoints import selection
from posebench.registry import Registry, load_registry
from posebench.run.assemble import assemble, save_outcome
from posebench.run.catalogue import missing_parts
from posebench.run.data import Sources, open_dataset
from posebench.run.outcome import Job, ProgressOf, evaluate_protocols
from posebench.run.parts import Parts
from posebench.run.protocols import official_beside, requested_protocols
from posebench.types.dataset import DatasetSpec
from posebench.types.entry import Entry
from posebench.types.errors import UserError
from posebench.types.model import PoseModel
from posebench.types.record import Record


def load_model(
    name: str,
    checkpoint: Path | None = None,
    *,
    dataset: str | None = None,
    registry: Sequence[Path] = (),
) -> PoseModel:
    """Build a model of the registry and load its published weights, strictly.

    Args:
        name: Id or short name.
        checkpoint: File in the format its zoo publishes; not needed for shipped weights.
        dataset: Tells rows of one short name apart.
        registry: Folders of further rows.

    Raises:
        UserError: Unknown name, a part that is not built yet, a missing or wrong file.
    """
    known = load_registry(tuple(registry))
    return model_of(known.find(name, dataset), known, checkpoint)


def evaluate(
    model: str,
    *,
    dataset: str | None = None,
    protocol: str = "claim",
    boxes: str | None = None,
    checkpoint: Path | None = None,
    data_root: Path | None = None,
    annotations: Path | None = None,
    images: Path | None = None,
    device: str = "cpu",
    batch_size: int = 64,
    threads: int | None = None,
    limit: int | None = None,
    save_predictions: Path | None = None,
    parts: Path | None = None,
    resume: bool = False,
    registry: Sequence[Path] = (),
    progress: ProgressOf | None = None,
    command: str = "",
    **choices: Any,
) -> Record:
    """Evaluate a published model and hold the result against its claims.

    Args:
        model: Id or short name of the registry.
        dataset: Dataset of the entry; tells rows of one short name apart.
        protocol: ``claim`` (every protocol the entry's claims were made with, from one forward
            pass), ``common`` or the name of one protocol.
        boxes: ``gt``, ``detector`` or a detector's JSON file; overrides the protocol.
        checkpoint: Weights file as the zoo publishes it.
        data_root: Folder with ``annotations/`` and the images; default ``POSEBENCH_DATA``.
        annotations: Annotation file, if not in the usual place.
        images: Image folder, if not in the usual place.
        device: ``cpu`` or ``cuda:N``.
        batch_size: Persons a forward pass.
        threads: Threads that read and crop; default as many as torch uses.
        limit: Only the first images.
        save_predictions: Folder for the primary protocol's raw and COCO-format predictions.
        parts: Folder for finished parts, emptied when the evaluation is done.
        resume: Go on with the parts that an interrupted run of the same evaluation left there.
        registry: Folders of further rows.
        progress: Called with (what, done, all).
        command: The command line to put into the record.
        **choices: Axes of ``Protocol`` to override, e.g. ``flip=False``; None is no override.

    Raises:
        UserError: Anything the user can mend.
    """
    start = time.monotonic()
    known = load_registry(tuple(registry))
    entry = known.find(model, dataset)
    options = options_of(device, batch_size, threads)
    sources = Sources(data_root, annotations, images, _box_file(boxes), limit)
    protocols = requested_protocols(entry, known, protocol, choices | _box_axis(boxes))
    pose_model = model_of(entry, known, checkpoint)
    spec = dataset_of(known, entry, dataset)
    data = open_dataset(spec, sources, protocols[0].annotations)
    official = official_beside(spec, protocols[:1])
    job = Job(pose_model, data, spec, sources, options, Parts(parts, resume), progress)
    outcomes = evaluate_protocols(job, (*protocols, *official))
    if save_predictions is not None:
        save_outcome(outcomes[0], data, save_predictions)
    return assemble(
        pose_model,
        data,
        known,
        outcomes[: len(protocols)],
        options,
        beside=outcomes[len(protocols) :],
        limit=limit,
        command=command,
        seconds=time.monotonic() - start,
    )


def model_of(entry: Entry, registry: Registry, checkpoint: Path | None) -> PoseModel:
    """Build an entry's network with its weights, or say what is not built."""
    missing = missing_parts(entry, registry)
    if missing:
        raise UserError(
            f"{entry.key} cannot be run yet: {', '.join(missing)} is not built.",
            "`posebench list --status runnable` shows what can.",
        )
    return adapt(entry, checkpoint)


def dataset_of(registry: Registry, entry: Entry, name: str | None) -> DatasetSpec:
    """Return the dataset to evaluate on; every joint it annotates must be predicted."""
    spec = registry.dataset(name or entry.dataset)
    if selection(entry.input.keypoints, spec.keypoints) is None:
        raise UserError(
            f"{entry.key} predicts {entry.input.keypoints}, {spec.id} annotates {spec.keypoints}.",
            f"Evaluate it on {entry.dataset}.",
        )
    return spec


def _box_file(boxes: str | None) -> Path | None:
    return None if boxes in (None, "gt", "detector") else Path(str(boxes))


def _box_axis(boxes: str | None) -> dict[str, Any]:
    """``--boxes`` as protocol axes; ground truth keeps the protocol's sanitising."""
    if boxes is None:
        return {}
    return {"boxes": "gt" if boxes == "gt" else "detector"}


def options_of(device: str, batch_size: int, threads: int | None) -> Options:
    """Check how to run."""
    if batch_size < 1:
        raise UserError(f"--batch-size {batch_size} is no batch.", "Give a number from 1 up.")
    if device != "cpu" and not device.startswith("cuda"):
        raise UserError(f"Unknown device {device!r}.", "Give cpu or cuda:N.")
    if device != "cpu" and not torch.cuda.is_available():
        raise UserError(f"Device {device} needs CUDA, which torch does not find here.", "Use cpu.")
    return Options(device, batch_size, threads or torch.get_num_threads())
