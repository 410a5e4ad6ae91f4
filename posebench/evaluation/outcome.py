"""Protocols on one dataset: persons, predictions, selection, scores."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from posebench.datasets.boxes import (
    Detections,
    annotation_persons,
    detector_persons,
    ground_truth_persons,
)
from posebench.evaluation.data import all_faults, open_boxes, proven_name
from posebench.evaluation.prepare import Prepared
from posebench.evaluation.resume import predict_in_chunks
from posebench.inference.image_io import BadImage
from posebench.inference.out_of_memory import enough_memory
from posebench.inference.select import finite_persons, in_keypoint_set, select
from posebench.scoring.coco import box_ap
from posebench.scoring.scorers import score
from posebench.types.arrays import Dataset, Persons, Predictions, Results, Scores, take
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol
from posebench.types.record import BoxInfo


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one protocol gave.

    Attributes:
        protocol: As evaluated; ``box_file`` names the boxes that were really used.
        raw: What the network said, in the model's keypoint set; only finite numbers.
        results: Selected predictions, in the dataset's keypoint set.
        scores: With intervals.
        boxes: What was cropped.
        not_finite: Persons that were left out because a number of theirs is not finite.
    """

    protocol: Protocol
    raw: Predictions
    results: Results
    scores: Scores
    boxes: BoxInfo
    not_finite: int = 0


def evaluate_protocols(prepared: Prepared, protocols: Sequence[Protocol]) -> list[Outcome]:
    """Evaluate protocols, those that crop the same persons from one forward pass.

    Returns:
        One outcome a protocol, in their order.
    """
    found: dict[str, Outcome] = {}
    for group in _groups(protocols):
        cropped = _cropped(prepared, group[0])
        by_decoding = _predict_each_decoding(prepared, cropped.persons, group)
        for protocol in group:
            found[protocol.hash] = _outcome(
                prepared, cropped, by_decoding[protocol.key_of("decoding")], protocol
            )
    return [found[protocol.hash] for protocol in protocols]


def predict_protocols(prepared: Prepared, protocols: Sequence[Protocol]) -> None:
    """Estimate the persons of every protocol for the parts alone, without scoring."""
    for group in _groups(protocols):
        # whose boxes they are is proven once, where the shares are joined
        cropped = _cropped(prepared, group[0], prove=False)
        _predict_each_decoding(prepared, cropped.persons, group)


def _groups(protocols: Sequence[Protocol]) -> list[list[Protocol]]:
    """Protocols that crop the same persons stand together."""
    groups: dict[tuple[object, ...], list[Protocol]] = {}
    for protocol in protocols:
        groups.setdefault(protocol.key_of("persons"), []).append(protocol)
    return list(groups.values())


@dataclass(frozen=True, eq=False)
class Cropped:
    """The persons to estimate, and where their boxes come from.

    Attributes:
        persons: None where the model finds them in whole images.
        box_file: The detector file's proven name; None for annotated boxes.
        box_ap: AP of the detector's boxes, percent.
    """

    persons: Persons | None
    detections: Detections | None = None
    box_file: str | None = None
    box_ap: float | None = None


def _cropped(prepared: Prepared, protocol: Protocol, *, prove: bool = True) -> Cropped:
    dataset, detections, area, box_file = prepared.dataset, None, None, None
    if protocol.boxes == "none":
        return Cropped(None)
    if protocol.boxes == "detector":
        detections = open_boxes(prepared.spec, prepared.paths, dataset, protocol.box_file)
        if prove:
            area = _box_ap(dataset, detections)
            box_file = proven_name(prepared.spec, dataset, detections, area)
    persons = _persons(dataset, prepared.model.entry.input, protocol, detections)
    persons = _of_usable(dataset, persons, annotated=detections is None)
    if not len(persons):
        raise UserError(
            f"{dataset.annotations_file} and its boxes leave no person to estimate.",
            "Check the annotations, the box file and the box score threshold.",
        )
    return Cropped(persons, detections, box_file, area)


def _of_usable(dataset: Dataset, persons: Persons, *, annotated: bool) -> Persons:
    """Leave out whom no one can estimate: they stay in the ground truth, and are missed."""
    if not dataset.faults:
        return persons
    keep = np.isin(persons.image_index, dataset.usable_images())
    if annotated:
        keep &= ~np.isin(persons.person_id, dataset.unusable_persons())
    return take(persons, keep)


def _outcome(prepared: Prepared, cropped: Cropped, raw: Predictions, protocol: Protocol) -> Outcome:
    prepared.report(f"scoring {protocol.key}")
    raw, not_finite = finite_persons(raw)
    results = select(in_keypoint_set(raw, prepared.dataset.keypoint_set), protocol)
    used = protocol.model_copy(update={"box_file": cropped.box_file})
    scores = score(results, prepared.dataset, protocol, with_intervals=prepared.with_intervals)
    boxes = _box_info(prepared.dataset, cropped, results)
    return Outcome(used, raw, results, scores, boxes, not_finite)


def _predict_each_decoding(
    prepared: Prepared, persons: Persons | None, group: Sequence[Protocol]
) -> dict[tuple[object, ...], Predictions]:
    """One forward pass; protocols that only rescore, suppress or score otherwise share rows."""
    what = "whole images" if persons is None else f"{persons.source} boxes"
    different = {protocol.key_of("decoding"): protocol for protocol in group}
    with _bad_images_listed(prepared):
        found, chunks = predict_in_chunks(
            prepared.model,
            prepared.dataset,
            persons,
            list(different.values()),
            prepared.options,
            prepared.chunk_plan,
            lambda _, done, count: prepared.report(what, done, count),
            digests=prepared.digests,
        )
    prepared.chunks.extend(chunks)
    return dict(zip(different, found, strict=True))


@contextlib.contextmanager
def _bad_images_listed(prepared: Prepared) -> Iterator[None]:
    """Tell of every bad image at the first one, and of a lack of memory what to change."""
    try:
        with enough_memory(prepared.options.device, prepared.options.batch_size):
            yield
    except BadImage as error:
        raise (all_faults(prepared.dataset, prepared.options.threads) or error) from error


def _persons(
    dataset: Dataset, spec: InputSpec, protocol: Protocol, detections: Detections | None
) -> Persons:
    if detections is not None:
        # Sanitising belongs to annotated boxes; no zoo cleans a detector's.
        return detector_persons(detections, dataset, spec, "none", protocol.box_score_threshold)
    if protocol.boxes == "annotation":
        return annotation_persons(dataset, spec)
    return ground_truth_persons(dataset, spec, protocol.sanitise, dummy=protocol.dummy_boxes)


def _box_ap(dataset: Dataset, detections: Detections) -> float:
    image_id = dataset.images.id[detections.image_index]
    return box_ap(dataset, image_id, detections.box, detections.score)


def _box_info(dataset: Dataset, cropped: Cropped, results: Results) -> BoxInfo:
    persons, detections, area = cropped.persons, cropped.detections, cropped.box_ap
    if persons is None:
        found = len(results.kept)
        return BoxInfo(source="none", read=0, used=found, kept=int(results.kept.sum()))
    return BoxInfo(
        source=persons.source,
        sha256=detections.sha256 if detections else None,
        read=detections.read if detections else len(dataset.truth),
        used=len(persons),
        kept=int(results.kept.sum()),
        box_ap=area if area is None or np.isfinite(area) else None,
    )
