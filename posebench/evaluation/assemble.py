"""Outcomes -> ``Record``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path

from posebench.evaluation.faults import skipped_note, skipped_of
from posebench.evaluation.outcome import Job, Outcome
from posebench.evaluation.protocols import matching_claims
from posebench.inference.crop import self_test
from posebench.records.environment import environment
from posebench.records.fingerprint import image_ids_sha256, images_sha256
from posebench.records.predictions import digest, save_coco_results, save_predictions
from posebench.records.verdict import NO_CLAIM, Basis, judge
from posebench.registry import Registry
from posebench.scoring.bootstrap import family_level, percentiles
from posebench.types.arrays import Dataset, Scores
from posebench.types.model import PoseModel
from posebench.types.protocol import Protocol
from posebench.types.record import ClaimResult, DatasetInfo, ProtocolScores, Record
from posebench.types.timing import Execution


def assemble(
    job: Job,
    registry: Registry,
    outcomes: Sequence[Outcome],
    *,
    official: Sequence[Outcome] = (),
    hardware: str,
    command: str,
    seconds: float,
) -> Record:
    """Judge every claim and put everything into one record.

    Args:
        job: What was evaluated, and how.
        registry: Resolves the claims' protocols.
        outcomes: The first speaks for the record.
        official: The same predictions under the official scorer.
        hardware: Name of the processor or accelerator that computed the predictions.
        command: That was given.
        seconds: Wall time of the evaluation.
    """
    model, dataset, options, primary = job.model, job.dataset, job.options, outcomes[0]
    claims = _claims(job, registry, outcomes)
    verdicts = [claim.verdict for protocol, claim in claims if protocol == primary.protocol]
    return Record(
        kind="eval",
        entry=model.entry.model_copy(update={"status": "runnable"}),
        protocol=primary.protocol,
        protocol_hash=primary.protocol.hash,
        dataset=dataset_info(
            dataset, primary.scores.persons, primary.scores.images, job.digests.items()
        ),
        boxes=primary.boxes,
        skipped=skipped_of(dataset),
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
        execution=Execution.of(job.form),
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
            *skipped_note(dataset),
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


def _claims(
    job: Job, registry: Registry, outcomes: Sequence[Outcome]
) -> list[tuple[Protocol, ClaimResult]]:
    entry, dataset = job.model.entry, job.dataset
    if dataset.id != entry.dataset:
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
            verdict_interval=percentiles(drawn, scores.values, level).get(metric),
            axes=(*axes, *_other_data(dataset, protocol), *_other_weights(job.model)),
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
