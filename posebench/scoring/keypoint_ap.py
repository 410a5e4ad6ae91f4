"""Keypoint AP and AR of every part, from columnar results."""

from __future__ import annotations

import numpy as np

from posebench.keypoints import keypoint_set
from posebench.scoring.accumulate import Evaluation, evaluate
from posebench.scoring.evaluator_rules import EvaluatorRules
from posebench.scoring.oks import EvalArrays, joint_similarities, spans
from posebench.types.arrays import Dataset, Floats, Predictions, Results

# Matches at this OKS and of all sizes say which detection belongs to whom.
LOOSEST = 0


def evaluate_parts(
    results: Results,
    dataset: Dataset,
    rules: EvaluatorRules,
    *,
    max_detections: int = 20,
    result_area: str = "extent",
) -> dict[str, Evaluation]:
    """Score every part of the body by an evaluator's rules.

    Every image of the dataset counts, those without persons too.

    Args:
        results: Persons kept by suppression are scored; checked by ``checked``.
        dataset: Ground truth of the same keypoint set.
        rules: The rules.
        max_detections: Highest-scored detections of an image that are considered.
        result_area: ``Protocol.result_area``.

    Returns:
        Part -> evaluation, the whole of the body last.

    Raises:
        UserError: The rules do not cover the keypoint set.
    """
    parts = arrays_of_parts(results, dataset, rules, result_area)
    return {name: evaluate(arrays, max_detections) for name, arrays in parts.items()}


def arrays_of_parts(
    results: Results, dataset: Dataset, rules: EvaluatorRules, result_area: str = "extent"
) -> dict[str, EvalArrays]:
    """Return what ``evaluate_parts`` compares: part -> persons, the whole of the body last.

    Raises:
        UserError: The rules do not cover the keypoint set.
    """
    keypoints = keypoint_set(dataset.keypoint_set)
    sigmas = rules.sigmas(keypoints)
    truth, predictions = dataset.truth, results.predictions
    images = np.sort(dataset.images.id)
    truth_image = np.searchsorted(images, truth.image_id)
    found_image = np.searchsorted(images, predictions.image_id)
    area = AREA_OF[result_area](predictions, rules)
    positive = predictions.joint_scores > 0

    def arrays(joints: slice) -> EvalArrays:
        labelled = truth.keypoints[:, joints, 2] > 0
        return EvalArrays(
            images=len(images),
            truth_image=truth_image,
            truth_xy=truth.keypoints[:, joints, :2].astype(rules.dtype),
            labelled=labelled,
            truth_box=truth.box,
            truth_area=truth.area,
            ignored=rules.ignored(truth, labelled),
            crowd=truth.crowd,
            unmatchable=rules.unmatchable(truth.id),
            found_image=found_image,
            found_xy=predictions.keypoints[:, joints],
            found_score=results.score.astype(np.float64),
            found_area=area,
            looked_at=results.kept & rules.looked_at(positive, joints),
            sigmas=sigmas[joints],
        )

    return {part.name: arrays(part.joints) for part in rules.parts(keypoints)}


def _extent(predictions: Predictions, rules: EvaluatorRules) -> Floats:
    """Area of the box around the joints, (N,) px^2: what a results file without boxes gets."""
    ends = spans(predictions.keypoints[:, : rules.extent]).astype(np.float64)
    left, top, right, bottom = ends
    with np.errstate(invalid="ignore"):  # suppressed persons may be anywhere
        area: Floats = (right - left) * (bottom - top)
    return area


def _box(predictions: Predictions, rules: EvaluatorRules) -> Floats:
    area: Floats = predictions.box[:, 2] * predictions.box[:, 3]
    return area


AREA_OF = {"extent": _extent, "box": _box}


def mean_similarities(evaluation: Evaluation) -> Floats:
    """Mean similarity of each joint over the persons that were found.

    A person is found if a detection was matched to it at OKS 0.5 or above; its joint's similarity
    is exp(-d^2 / (2 * area * (2 * sigma)^2)).

    Returns:
        (K,) percent; NaN for joints that are labelled in no found person.
    """
    arrays, matches = evaluation.arrays, evaluation.matches
    hits = np.flatnonzero(matches.hit[0, LOOSEST])
    truth, found = matches.truth[0, LOOSEST, hits].astype(np.int64), matches.row[hits]
    total, count = np.zeros(len(arrays.sigmas)), np.zeros(len(arrays.sigmas))
    labels = arrays.labelled[truth].sum(axis=1)
    for each in np.unique(labels[labels > 0]):
        rows = labels == each
        joints = np.nonzero(arrays.labelled[truth[rows]])[1]
        alike = joint_similarities(arrays, truth[rows], found[rows], int(each))
        total += np.bincount(joints, alike.ravel(), len(total))
        count += np.bincount(joints, minlength=len(total))
    return 100.0 * np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
