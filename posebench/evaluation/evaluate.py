"""``evaluate``: one model, one dataset, its protocols -> one ``Record``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posebench.evaluation.assemble import assemble, save_outcome
from posebench.evaluation.outcome import evaluate_protocols
from posebench.evaluation.protocols import official_beside
from posebench.evaluation.request import Prepared, Request, load_row, prepare
from posebench.evaluation.resume import Parts
from posebench.records.environment import hardware_name
from posebench.registry import load_registry
from posebench.types.faults import OnError
from posebench.types.model import PoseModel
from posebench.types.progress import Progress
from posebench.types.record import Record
from posebench.types.timing import PLAIN, Form


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
    return load_row(known.find(name, dataset), known, checkpoint)


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
    form: Form = PLAIN,
    save_predictions: Path | None = None,
    parts: Path | None = None,
    resume: bool = False,
    registry: Sequence[Path] = (),
    on_error: OnError = "fail",
    progress: Progress | None = None,
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
        limit: Only so many images: the same ones for every model.
        form: In which the network is computed; one batch must show that only rounding differs.
        save_predictions: Folder for the primary protocol's raw and COCO-format predictions.
        parts: Folder for finished parts, emptied when the evaluation is done.
        resume: Go on with the parts that an interrupted run of the same evaluation left there.
        registry: Folders of further rows.
        on_error: ``fail`` lists every image and annotation that cannot be used; ``skip`` goes on
            without them: their persons count as missed, and the record says how many.
        progress: Called with (what, done, all).
        command: The command line to put into the record.
        **choices: Axes of ``Protocol`` to override, e.g. ``flip=False``; None is no override.

    Raises:
        UserError: Anything the user can mend.
    """
    start = time.monotonic()
    request = Request(
        model, dataset, protocol, boxes, checkpoint, data_root, annotations, images,
        device, batch_size, threads, limit, registry, form, choices, on_error,
    )  # fmt: skip
    prepared = prepare(request, parts=Parts(parts, resume), progress=progress)
    return record_of(prepared, save_predictions=save_predictions, command=command, start=start)


def record_of(
    prepared: Prepared,
    *,
    save_predictions: Path | None = None,
    command: str = "",
    start: float,
    hardware: str | None = None,
) -> Record:
    """Evaluate what was prepared.

    Args:
        prepared: Model, data and protocols.
        save_predictions: Folder for the primary protocol's predictions.
        command: For the record.
        start: ``time.monotonic()`` when the work began.
        hardware: What computed the predictions; by default the device of this process.
    """
    job, protocols = prepared.job, prepared.protocols
    official = official_beside(job.spec, protocols[:1])
    outcomes = evaluate_protocols(job, (*protocols, *official))
    if save_predictions is not None:
        save_outcome(outcomes[0], job.dataset, save_predictions)
    return assemble(
        job,
        prepared.registry,
        outcomes[: len(protocols)],
        official=outcomes[len(protocols) :],
        hardware=hardware or hardware_name(job.options.device),
        command=command,
        seconds=time.monotonic() - start,
    )
