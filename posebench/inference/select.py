"""From raw predictions to the persons that are reported: rescoring and suppression."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from posebench.inference.pose_nms import merge_persons
from posebench.keypoints import keypoint_set, selection
from posebench.types.arrays import Floats, Ints, Predictions, Results, take
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol

SOFT_MOST = 20  # persons an image that the soft suppression keeps

# (predictions, scores, protocol) -> predictions, scores and which rows are kept
Suppression = Callable[
    [Predictions, Floats, Protocol], tuple[Predictions, Floats, NDArray[np.bool_]]
]


def finite_persons(predictions: Predictions) -> tuple[Predictions, int]:
    """Leave out persons of whom a number is not finite, and say how many they are.

    A network with random or broken weights may give such persons. An evaluator cannot mean
    anything by them.
    """
    finite = np.ones(len(predictions), np.bool_)
    for column in (
        *(predictions.keypoints, predictions.joint_scores, predictions.box),
        *(predictions.box_score, predictions.crop_area),
    ):
        finite &= np.isfinite(column).all(axis=tuple(range(1, column.ndim)))
    if finite.all():
        return predictions, 0
    return take(predictions, finite), int((~finite).sum())


def mean_visible(predictions: Predictions, protocol: Protocol) -> Floats:
    """Mean of the joint scores above the visibility threshold; 0 where none is.

    Source: gluon-cv gluoncv/utils/metrics/coco_keypoints.py.
    """
    scores = predictions.joint_scores.astype(np.float64)
    counted = scores > protocol.visibility_threshold
    count = counted.sum(axis=1)
    return np.where(counted, scores, 0.0).sum(axis=1) / np.maximum(count, 1)


def box_times_mean_visible(predictions: Predictions, protocol: Protocol) -> Floats:
    """Box score times ``mean_visible``.

    Source: deep-high-resolution-net.pytorch lib/dataset/coco.py; PaddleDetection
        ppdet/metrics/keypoint_metrics.py.
    """
    return predictions.box_score * mean_visible(predictions, protocol)


def alphapose_2019(predictions: Predictions, protocol: Protocol) -> Floats:
    """Box score plus mean plus maximum of the joint scores.

    Source: AlphaPose scripts/validate.py from December 2019 to August 2020, when the COCO rows of
        its zoo were measured.
    """
    return _sum_of_scores(predictions, protocol, 1.0)


def alphapose_2022(predictions: Predictions, protocol: Protocol) -> Floats:
    """Box score plus mean plus 1.25 times the maximum of the joint scores.

    Source: AlphaPose scripts/validate.py since January 2022, for its whole-body rows.
    """
    return _sum_of_scores(predictions, protocol, 1.25)


def _sum_of_scores(predictions: Predictions, protocol: Protocol, weight: float) -> Floats:
    joints = predictions.joint_scores.astype(np.float64)
    score = joints.mean(axis=1) + weight * joints.max(axis=1)
    # AlphaPose's run on annotated boxes has no box score to add.
    return score + predictions.box_score if protocol.boxes == "detector" else score


def no_rescoring(predictions: Predictions, protocol: Protocol) -> Floats:
    """The box score itself: PCKh looks at no score, grouping brings its own."""
    return predictions.box_score.astype(np.float64)


RESCORINGS: dict[str, Callable[[Predictions, Protocol], Floats]] = {
    "mean_visible": mean_visible,
    "box_times_mean_visible": box_times_mean_visible,
    "alphapose_2019": alphapose_2019,
    "alphapose_2022": alphapose_2022,
    "none": no_rescoring,
}


def oks(keypoints: Floats, area: Floats, one: int, others: Ints, sigmas: Floats) -> Floats:
    """Object keypoint similarity of one prediction with others, all joints counted.

    Args:
        keypoints: (N, K, 2) px.
        area: (N,) px^2; two predictions are compared at the mean of theirs.
        one: Row.
        others: (M,) rows.
        sigmas: (K,) per-joint falloff.

    Returns:
        (M,) in [0, 1].

    Source: deep-high-resolution-net.pytorch lib/nms/nms.py.
    """
    squared = ((keypoints[others] - keypoints[one]) ** 2).sum(axis=2)
    mean_area = (area[others] + area[one]) / 2 + np.spacing(1)
    return np.exp(-squared / (sigmas * 2) ** 2 / mean_area[:, None] / 2).mean(axis=1)


def oks_nms(
    keypoints: Floats, area: Floats, score: Floats, sigmas: Floats, threshold: float
) -> NDArray[np.bool_]:
    """Greedy suppression within one image.

    From the highest score down, every later person whose OKS with a kept one exceeds the
    threshold is dropped.  Of equal scores the later row goes first, as in the reference.

    Returns:
        (N,) bool, True for kept.
    """
    kept = np.zeros(len(score), np.bool_)
    order = np.argsort(score, kind="stable")[::-1]
    while len(order):
        first, order = int(order[0]), order[1:]
        kept[first] = True
        order = order[oks(keypoints, area, first, order, sigmas) <= threshold]
    return kept


def soft_oks_nms(
    keypoints: Floats, area: Floats, score: Floats, sigmas: Floats, threshold: float
) -> NDArray[np.bool_]:
    """Greedy choice of at most 20 persons of one image, rivals fading with their overlap.

    After each choice the others' scores fall by exp(-OKS^2 / threshold); the scores that are
    reported stay as they were.

    Returns:
        (N,) bool, True for kept.

    Source: deep-high-resolution-net.pytorch lib/nms/nms.py (gaussian).
    """
    kept = np.zeros(len(score), np.bool_)
    order = np.argsort(score, kind="stable")[::-1]
    rest = score[order]
    while len(order) and kept.sum() < SOFT_MOST:
        first, order = int(order[0]), order[1:]
        kept[first] = True
        similarity = oks(keypoints, area, first, order, sigmas)
        rest = rest[1:] * np.exp(-(similarity**2) / threshold)
        again = np.argsort(rest, kind="stable")[::-1]
        order, rest = order[again], rest[again]
    return kept


def _greedy(
    suppress: Callable[[Floats, Floats, Floats, Floats, float], NDArray[np.bool_]],
) -> Suppression:
    """Apply a suppression that only drops persons to each image."""

    def per_image(
        predictions: Predictions, score: Floats, protocol: Protocol
    ) -> tuple[Predictions, Floats, NDArray[np.bool_]]:
        joints = keypoint_set(predictions.keypoint_set)
        sigmas = np.array(joints.sigma_tables.get("alphapose_nms", joints.sigmas))
        if not len(sigmas):
            raise UserError(f"OKS suppression has no sigmas for {joints.name}.", "Take --nms none.")
        keypoints = predictions.keypoints.astype(np.float64)
        kept = np.zeros(len(predictions), np.bool_)
        for rows in rows_by_image(predictions.image_id):
            kept[rows] = suppress(
                keypoints[rows],
                predictions.crop_area[rows],
                score[rows],
                sigmas,
                protocol.nms_threshold,
            )
        return predictions, score, kept

    return per_image


def rows_by_image(image_id: Ints) -> list[Ints]:
    """Return the rows of each image, in their order."""
    order = np.argsort(image_id, kind="stable")
    starts = np.flatnonzero(np.diff(image_id[order])) + 1
    return np.split(order, starts) if len(order) else []


def _keep_all(
    predictions: Predictions, score: Floats, protocol: Protocol
) -> tuple[Predictions, Floats, NDArray[np.bool_]]:
    return predictions, score, np.ones(len(predictions), np.bool_)


def _merge(
    predictions: Predictions, score: Floats, protocol: Protocol
) -> tuple[Predictions, Floats, NDArray[np.bool_]]:
    return merge_persons(predictions, score, protocol, rows_by_image(predictions.image_id))


SUPPRESSIONS: dict[str, Suppression] = {
    "none": _keep_all,
    "oks": _greedy(oks_nms),
    "soft_oks": _greedy(soft_oks_nms),
    "alphapose": _merge,
}


def in_keypoint_set(predictions: Predictions, name: str) -> Predictions:
    """Return predictions with the joints of another keypoint set, matched by name.

    Raises:
        UserError: The set has a joint that was not predicted.
    """
    if name == predictions.keypoint_set:
        return predictions
    columns = selection(predictions.keypoint_set, name)
    if columns is None:
        raise UserError(f"{predictions.keypoint_set} does not hold every joint of {name}.")
    chosen = list(columns)
    changes = {
        "keypoints": predictions.keypoints[:, chosen],
        "joint_scores": predictions.joint_scores[:, chosen],
        "keypoint_set": name,
    }
    return Predictions(**(vars(predictions) | changes))


def select(predictions: Predictions, protocol: Protocol) -> Results:
    """Rescore and suppress.

    Returns:
        One score and one keep flag for each row of ``predictions``; a suppression that merges
        persons (``alphapose``) moves the keypoints of those it keeps.
    """
    score = RESCORINGS[protocol.rescoring](predictions, protocol)
    predictions, score, kept = SUPPRESSIONS[protocol.nms](predictions, score, protocol)
    return Results(predictions=predictions, score=score, kept=kept)
