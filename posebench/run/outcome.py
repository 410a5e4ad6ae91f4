"""Protocols on one dataset: persons, predictions, selection, scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from posebench.datasets.boxes import Detections, detector_persons, ground_truth_persons
from posebench.inference.predict import Options, predict
from posebench.inference.select import select
from posebench.run.data import Sources, open_boxes, proven_name
from posebench.scoring.bootstrap import intervals
from posebench.scoring.coco import box_ap, evaluate_keypoints, persons_that_count
from posebench.types.arrays import Dataset, Persons, Results, Scores
from posebench.types.dataset import DatasetSpec
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError
from posebench.types.model import PoseModel
from posebench.types.protocol import Protocol
from posebench.types.record import BoxInfo

ProgressOf = Callable[[str, int, int], None]

# Axes of Protocol that pick and clean the persons; the others work on their predictions.
PERSON_AXES = ("boxes", "box_file", "sanitise", "box_score_threshold")


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one protocol gave.

    Attributes:
        protocol: As evaluated; ``box_file`` names the boxes that were really used.
        results: Selected predictions.
        scores: With intervals.
        boxes: What was cropped.
    """

    protocol: Protocol
    results: Results
    scores: Scores
    boxes: BoxInfo


def evaluate_protocols(
    model: PoseModel,
    dataset: Dataset,
    spec: DatasetSpec,
    sources: Sources,
    protocols: Sequence[Protocol],
    options: Options,
    progress: ProgressOf | None = None,
) -> list[Outcome]:
    """Evaluate protocols, those that crop the same persons from one forward pass.

    Returns:
        One outcome a protocol, in their order.
    """
    groups: dict[tuple[object, ...], list[Protocol]] = {}
    for protocol in protocols:
        groups.setdefault(tuple(getattr(protocol, a) for a in PERSON_AXES), []).append(protocol)
    found: dict[str, Outcome] = {}
    for group in groups.values():
        for asked, outcome in zip(
            group, _group(model, dataset, spec, sources, group, options, progress), strict=True
        ):
            found[asked.hash] = outcome
    return [found[protocol.hash] for protocol in protocols]


def _group(
    model: PoseModel,
    dataset: Dataset,
    spec: DatasetSpec,
    sources: Sources,
    group: Sequence[Protocol],
    options: Options,
    progress: ProgressOf | None,
) -> list[Outcome]:
    detections, area, box_file = None, None, None
    if group[0].boxes == "detector":
        detections = open_boxes(spec, sources, dataset, group[0].box_file)
        area = _box_ap(dataset, detections)
        box_file = proven_name(spec, sources, dataset, detections, area)
    persons = _persons(dataset, model.entry.input, group[0], detections)
    if not len(persons):
        raise UserError(
            f"{dataset.annotations_file} and its boxes leave no person to estimate.",
            "Check the annotations, the box file and the box score threshold.",
        )
    what = f"{model.entry.id}, {persons.source} boxes"
    predictions = predict(
        model,
        dataset,
        persons,
        group,
        options,
        None if progress is None else lambda done, count: progress(what, done, count),
    )
    outcomes = []
    for protocol, raw in zip(group, predictions, strict=True):
        if progress:
            progress(f"{model.entry.id}, scoring {protocol.key}", 0, 0)
        results = select(raw, protocol)
        used = protocol.model_copy(update={"box_file": box_file})
        boxes = _box_info(dataset, persons, detections, results, area)
        outcomes.append(Outcome(used, results, score(results, dataset, protocol), boxes))
    return outcomes


def _persons(
    dataset: Dataset, spec: InputSpec, protocol: Protocol, detections: Detections | None
) -> Persons:
    if detections is None:
        return ground_truth_persons(dataset, spec, protocol.sanitise)
    # Sanitising belongs to annotated boxes; no zoo cleans a detector's.
    return detector_persons(detections, dataset, spec, "none", protocol.box_score_threshold)


def _box_ap(dataset: Dataset, detections: Detections) -> float:
    image_id = dataset.images.id[detections.image_index]
    return box_ap(dataset, image_id, detections.box, detections.score)


def _box_info(
    dataset: Dataset,
    persons: Persons,
    detections: Detections | None,
    results: Results,
    area: float | None,
) -> BoxInfo:
    return BoxInfo(
        source=persons.source,
        sha256=detections.sha256 if detections else None,
        read=detections.read if detections else len(dataset.truth),
        used=len(persons),
        kept=int(results.kept.sum()),
        box_ap=area if area is None or np.isfinite(area) else None,
    )


def score(results: Results, dataset: Dataset, protocol: Protocol) -> Scores:
    """Score selected persons with the protocol's scorer, with intervals."""
    evaluation = evaluate_keypoints(results, dataset, protocol.max_detections)
    return Scores(
        values=evaluation.values,
        intervals=intervals(evaluation),
        scorer=evaluation.scorer,
        persons=persons_that_count(dataset),
    )
