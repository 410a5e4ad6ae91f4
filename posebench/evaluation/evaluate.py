"""``evaluate``: one model, one dataset, its protocols -> one ``Record``."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from typing_extensions import Unpack

from posebench.evaluation.chunks import ChunkPlan
from posebench.evaluation.outcome import Outcome, evaluate_protocols
from posebench.evaluation.prepare import Prepared, prepare
from posebench.evaluation.protocols import matching_claims, official_beside
from posebench.inference.crop import self_test
from posebench.inference.image_io import image_ids_sha256, images_sha256
from posebench.progress import Progress, shown
from posebench.records.environment import environment, hardware_name
from posebench.records.predictions import digest, save_coco_results, save_predictions
from posebench.records.verdict import NO_CLAIM, Basis, judge
from posebench.scoring.bootstrap import confidence_intervals, family_level
from posebench.types.arrays import Dataset, Scores
from posebench.types.base import StrPath, given_path
from posebench.types.faults import OnError, counted
from posebench.types.model import PoseModel
from posebench.types.protocol import Protocol
from posebench.types.protocol_axes import ProtocolAxes
from posebench.types.record import ClaimResult, DatasetInfo, ProtocolScores, Record, Skipped
from posebench.types.request import EvalRequest
from posebench.types.timing import PLAIN, Execution, Form

# Arguments of ``evaluate`` that are not part of the request.
RUNNING = ("save_predictions", "chunks", "resume", "progress", "command")


def evaluate(
    model: str,
    *,
    dataset: str | None = None,
    protocol: str = "claim",
    boxes: StrPath | None = None,
    checkpoint: StrPath | None = None,
    data_root: StrPath | None = None,
    annotations: StrPath | None = None,
    images: StrPath | None = None,
    device: str = "cpu",
    batch_size: int = 64,
    threads: int | None = None,
    limit: int | None = None,
    form: Form = PLAIN,
    registry: Sequence[StrPath] = (),
    on_error: OnError = "fail",
    save_predictions: StrPath | None = None,
    chunks: StrPath | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    command: str = "",
    **choices: Unpack[ProtocolAxes],
) -> Record:
    """Evaluate a published model and compare the result with its claims.

    Args:
        model: Id or short name of the registry.
        dataset: Dataset of the entry; disambiguates a short name.
        protocol: ``claim`` (every protocol the entry's claims were made with, from one forward
            pass), ``common`` or the name of one protocol.
        boxes: ``gt``, ``detector`` or a detector's JSON file; overrides the protocol.
        checkpoint: Weights file as the zoo publishes it.
        data_root: Folder with ``annotations/`` and the images; default ``POSEBENCH_DATA``.
        annotations: Annotation file, if not in the usual place.
        images: Image folder, if not in the usual place.
        device: ``cpu`` or ``cuda:N``.
        batch_size: Persons in a batch.
        threads: Threads that read and crop; default as many as torch uses.
        limit: Only so many images: the same ones for every model.
        form: In which the network is computed; one batch must show that only rounding differs.
        registry: Folders of further rows.
        on_error: ``fail`` lists every image and annotation that cannot be used; ``skip`` goes on
            without them: their persons count as missed, and the record says how many.
        save_predictions: Folder for the primary protocol's raw and COCO-format predictions.
        chunks: Folder for finished chunks, emptied when the evaluation is done.
        resume: Use the chunks that an interrupted run of the same evaluation left there.
        progress: Called with (what, done, all); bars where somebody looks by default.
        command: The command line to put into the record.
        **choices: Axes of ``Protocol`` to override, e.g. ``flip=False``; None is not an override.

    Returns:
        The record: scores in percent, one result for each claim, everything that was used.

    Raises:
        UserError: Anything the user can fix, in one sentence with the next step.

    Example:
        >>> import posebench
        >>> record = posebench.evaluate("demo_s", dataset="synthetic", limit=4, threads=1)
        >>> record.dataset.images, record.claims[0].verdict
        (4, 'too few images (n=11)')
    """
    start = time.monotonic()
    request = EvalRequest.of(
        model=model, dataset=dataset, protocol=protocol, boxes=boxes, checkpoint=checkpoint,
        data_root=data_root, annotations=annotations, images=images, device=device,
        batch_size=batch_size, threads=threads, limit=limit, form=form, registry=registry,
        on_error=on_error, further=RUNNING, **choices,
    )  # fmt: skip
    plan = ChunkPlan(given_path(chunks), resume)
    predictions = given_path(save_predictions)
    with shown(progress) as report:
        prepared = prepare(request, chunk_plan=plan, progress=report)
        return record_of(prepared, save_predictions=predictions, command=command, start=start)


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
    protocols = prepared.protocols
    official = official_beside(prepared.spec, protocols[:1])
    outcomes = evaluate_protocols(prepared, (*protocols, *official))
    if save_predictions is not None:
        save_outcome(outcomes[0], prepared.dataset, save_predictions)
    return _assemble(
        prepared,
        outcomes[: len(protocols)],
        official=outcomes[len(protocols) :],
        hardware=hardware or hardware_name(prepared.options.device),
        command=command,
        seconds=time.monotonic() - start,
    )


def _assemble(
    prepared: Prepared,
    outcomes: Sequence[Outcome],
    *,
    official: Sequence[Outcome] = (),
    hardware: str,
    command: str,
    seconds: float,
) -> Record:
    """Judge every claim and put everything into one record.

    Args:
        prepared: What was evaluated, and how.
        outcomes: The first speaks for the record.
        official: The same predictions under the official scorer.
        hardware: Name of the processor or accelerator that computed the predictions.
        command: That was given.
        seconds: Wall time of the evaluation.
    """
    model, dataset, options, primary = (
        prepared.model,
        prepared.dataset,
        prepared.options,
        outcomes[0],
    )
    claims = _claims(prepared, outcomes)
    verdicts = [claim.verdict for protocol, claim in claims if protocol == primary.protocol]
    return Record(
        kind="eval",
        entry=model.entry.model_copy(update={"status": "runnable"}),
        protocol=primary.protocol,
        protocol_hash=primary.protocol.hash,
        dataset=dataset_info(
            dataset, primary.scores.persons, primary.scores.images, prepared.digests.items()
        ),
        boxes=primary.boxes,
        skipped=_skipped(dataset),
        scores=finite(primary.scores),
        intervals=primary.scores.intervals,
        scorer=primary.scores.scorer,
        verdict=verdicts[0] if verdicts else NO_CLAIM,
        claims=tuple(claim for _, claim in claims),
        official_scores=tuple(_scores_of(outcome) for outcome in official),
        coverage=model.coverage.fraction if model.coverage else None,
        checkpoint_name=model.checkpoint_name,
        checkpoint_sha256=model.checkpoint_sha256,
        checkpoint_verified=model.verified,
        predictions_sha256=digest(primary.raw),
        execution=Execution.of(prepared.form),
        hardware=hardware,
        seconds=round(seconds, 3),
        environment=environment(
            device=options.device,
            threads=options.threads,
            batch_size=options.batch_size,
            crop_self_test=self_test(),
        ),
        notes=(
            *model.notes,
            *_weights_note(model),
            *_skipped_note(dataset),
            *_not_finite_note(primary),
        ),
        command=command,
        created=datetime.now(timezone.utc),
    )


def _not_finite_note(outcome: Outcome) -> tuple[str, ...]:
    if not outcome.not_finite:
        return ()
    given = len(outcome.raw) + outcome.not_finite
    return (
        f"{outcome.not_finite:,} of {given:,} persons were left out: the network gave a coordinate "
        "or a score that is not a finite number",
    )


def dataset_info(
    dataset: Dataset, persons: int, images: int, digests: Iterable[tuple[int, str]] = ()
) -> DatasetInfo:
    """Say which data something was measured on.

    Args:
        dataset: All images that count.
        persons: Annotated persons that count.
        images: Images with such a person.
        digests: (image id, digest of the file) of the images that were read.
    """
    return DatasetInfo(
        id=dataset.id,
        keypoint_set=dataset.keypoint_set,
        images=len(dataset.images),
        images_with_persons=images,
        persons=persons,
        annotations=dataset.annotations_file,
        annotations_sha256=dataset.annotations_sha256,
        image_ids_sha256=image_ids_sha256(dataset.images.id.tolist()),
        images_sha256=images_sha256(digests),
        complete=dataset.complete,
        complete_by=dataset.complete_by if dataset.complete else None,
        own_data=dataset.own_data,
        sample=dataset.sample,
    )


def _weights_note(model: PoseModel) -> tuple[str, ...]:
    """Say what the file of the weights could not be compared with."""
    return ("weights not verified: no digest was published",) if model.verified is False else ()


def finite(scores: Scores) -> dict[str, float | None]:
    """Metric values with None where nothing was annotated."""
    return {name: v if math.isfinite(v) else None for name, v in scores.values.items()}


def _scores_of(outcome: Outcome) -> ProtocolScores:
    return ProtocolScores(
        protocol=outcome.protocol,
        protocol_hash=outcome.protocol.hash,
        scores=finite(outcome.scores),
        intervals=outcome.scores.intervals,
        scorer=outcome.scores.scorer,
    )


def _claims(prepared: Prepared, outcomes: Sequence[Outcome]) -> list[tuple[Protocol, ClaimResult]]:
    entry, dataset = prepared.model.entry, prepared.dataset
    registry = prepared.registry
    if registry is None or dataset.id != entry.dataset:
        return []
    by_hash = {outcome.protocol.hash: outcome.scores for outcome in outcomes}
    matching = matching_claims(entry, registry, [outcome.protocol for outcome in outcomes])
    # the claims of one record are judged together: the more there are, the wider each interval
    level = family_level(sum(not axes for _, _, axes in matching))
    results = []
    for claim, protocol, axes in matching:
        scores = by_hash[protocol.hash]
        values, metric = finite(scores), claim.metric
        drawn = {metric: scores.samples[metric]} if metric in scores.samples else {}
        result = judge(
            claim,
            values.get(metric),
            scores.intervals.get(metric),
            Basis(dataset.complete, scores.persons, scores.images),
            verdict_interval=confidence_intervals(drawn, scores.values, level).get(metric),
            axes=(*axes, *_other_data(dataset, protocol), *_other_weights(prepared.model)),
            scores=values,
            inferred_tolerance=protocol.tolerance,
        )
        results.append((protocol, result))
    return results


def _other_data(dataset: Dataset, protocol: Protocol) -> tuple[str, ...]:
    """The axis of annotations that are not the claim's, nor a part of them."""
    name = dataset.annotations_file
    if not dataset.own_data or Path(name).stem == protocol.annotations:
        return ()
    return (f"annotations: {protocol.annotations} -> {name}",)


def _other_weights(model: PoseModel) -> tuple[str, ...]:
    """The axis of weights whose file bears the name of other rows' weights."""
    if not model.named_as:
        return ()
    return (f"weights: {model.entry.key} -> {', '.join(model.named_as)} by the file's name",)


def save_outcome(outcome: Outcome, dataset: Dataset, folder: Path) -> None:
    """Write an outcome's raw columnar predictions and its COCO results.

    Raises:
        UserError: The folder cannot be written.
    """
    # the same raw predictions give other results under another suppression
    protocol = f"{outcome.protocol.name}-{outcome.protocol.hash[:8]}"
    stem = f"predictions-{protocol}-{digest(outcome.raw)[:8]}"
    save_predictions(outcome.raw, folder / f"{stem}.npz")
    save_coco_results(outcome.results, folder / f"{stem}.json", dataset.category_id)


def _skipped(dataset: Dataset) -> Skipped | None:
    """Return what an evaluation went on without, for its record; None for nothing."""
    if not dataset.faults:
        return None
    truth, images = dataset.truth, dataset.images
    lost = np.delete(images.id, dataset.usable_images())
    gone = np.isin(truth.image_id, lost) | np.isin(truth.id, dataset.unusable_persons())
    kinds = [fault.kind for fault in dataset.faults]
    return Skipped(
        images=kinds.count("image"),
        annotations=kinds.count("annotation"),
        persons=int((gone & (truth.num_keypoints > 0) & ~truth.crowd).sum()),
        faults=tuple(fault.text for fault in dataset.faults),
    )


def _skipped_note(dataset: Dataset) -> tuple[str, ...]:
    """Return one sentence for people who read the record, if anything was skipped."""
    skipped = _skipped(dataset)
    if skipped is None:
        return ()
    words = counted(dataset.faults)
    return (f"skipped {words}; {skipped.persons} annotated persons count as missed for it",)
