"""Keypoint AP and AR of every part, from columnar results."""

from __future__ import annotations

import numpy as np

from posebench.keypoints import keypoint_set
from posebench.scoring.accumulate import Evaluation, evaluate
from posebench.scoring.dialects import Dialect, Part
from posebench.scoring.oks import People, joint_errors, spans
from posebench.types.arrays import Dataset, Floats, Predictions, Results, take

# Matches at this OKS and of all sizes say which detection belongs to whom.
LOOSEST = 0


def evaluate_parts(
    results: Results,
    dataset: Dataset,
    dialect: Dialect,
    *,
    max_detections: int = 20,
    result_area: str = "extent",
) -> dict[str, Evaluation]:
    """Score every part of the body by an evaluator's rules.

    Every image of the dataset counts, those without persons too.

    Args:
        results: Persons kept by suppression are scored; checked by ``checked``.
        dataset: Ground truth of the same keypoint set.
        dialect: The rules.
        max_detections: Highest-scored detections of an image that are looked at.
        result_area: ``Protocol.result_area``.

    Returns:
        Part -> evaluation, the whole of the body last.

    Raises:
        UserError: The rules do not cover the keypoint set.
    """
    keypoints = keypoint_set(dataset.keypoint_set)
    sigmas = dialect.sigmas(keypoints)
    areas = np.zeros(len(results.predictions))
    areas[results.kept] = AREA_OF[result_area](take(results.predictions, results.kept), dialect)
    return {
        part.name: evaluate(_people(results, dataset, dialect, part, sigmas, areas), max_detections)
        for part in dialect.parts(keypoints)
    }


def _extent(predictions: Predictions, dialect: Dialect) -> Floats:
    """Area of the box around the joints, (N,) px^2: what a results file without boxes gets."""
    left, top, right, bottom = spans(predictions.keypoints[:, : dialect.extent]).astype(np.float64)
    area: Floats = (right - left) * (bottom - top)
    return area


def _box(predictions: Predictions, dialect: Dialect) -> Floats:
    area: Floats = predictions.box[:, 2] * predictions.box[:, 3]
    return area


AREA_OF = {"extent": _extent, "box": _box}


def _people(
    results: Results,
    dataset: Dataset,
    dialect: Dialect,
    part: Part,
    sigmas: Floats,
    areas: Floats,
) -> People:
    truth, predictions = dataset.truth, results.predictions
    images = np.sort(dataset.images.id)
    labelled = truth.keypoints[:, part.joints, 2] > 0
    positive = predictions.joint_scores > 0
    rows = np.flatnonzero(results.kept & dialect.looked_at(positive, part.joints))
    return People(
        images=len(images),
        truth_image=np.searchsorted(images, truth.image_id),
        truth_xy=truth.keypoints[:, part.joints, :2].astype(dialect.dtype),
        labelled=labelled,
        truth_box=truth.box,
        truth_area=truth.area,
        ignored=dialect.ignored(truth, labelled),
        crowd=truth.crowd,
        unmatchable=dialect.unmatchable(truth.id),
        found_image=np.searchsorted(images, predictions.image_id[rows]),
        found_xy=predictions.keypoints[rows, part.joints],
        found_score=results.score[rows].astype(np.float64),
        found_area=areas[rows],
        found_row=rows,
        sigmas=sigmas[part.joints],
    )


def joint_similarities(evaluation: Evaluation) -> Floats:
    """Mean similarity of each joint over the persons that were found.

    A person is found if a detection was matched to it at OKS 0.5 or above; its joint's similarity
    is exp(-d^2 / (2 * area * (2 * sigma)^2)).

    Returns:
        (K,) percent; NaN for joints that are labelled in no found person.
    """
    people, matches = evaluation.people, evaluation.matches
    hits = np.flatnonzero(matches.hit[0, LOOSEST])
    truth, found = matches.truth[0, LOOSEST, hits].astype(np.int64), matches.row[hits]
    total, count = np.zeros(len(people.sigmas)), np.zeros(len(people.sigmas))
    labels = people.labelled[truth].sum(axis=1)
    for each in np.unique(labels[labels > 0]):
        rows = labels == each
        joints = np.nonzero(people.labelled[truth[rows]])[1]
        error = joint_errors(people, truth[rows], found[rows], int(each))
        total += np.bincount(joints, np.exp(-error).ravel(), len(total))
        count += np.bincount(joints, minlength=len(total))
    return 100.0 * np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
