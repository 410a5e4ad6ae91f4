"""From raw predictions to the persons that are reported: rescoring and suppression."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posebench.keypoints import keypoint_set
from posebench.types.arrays import Floats, Ints, Predictions, Results
from posebench.types.protocol import Protocol


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


RESCORINGS: dict[str, Callable[[Predictions, Protocol], Floats]] = {
    "mean_visible": mean_visible,
    "box_times_mean_visible": box_times_mean_visible,
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


def _oks_nms_per_image(predictions: Predictions, score: Floats, protocol: Protocol) -> Any:
    sigmas = np.array(keypoint_set(predictions.keypoint_set).sigmas)
    keypoints = predictions.keypoints.astype(np.float64)
    kept = np.zeros(len(predictions), np.bool_)
    order = np.argsort(predictions.image_id, kind="stable")
    starts = np.flatnonzero(np.diff(predictions.image_id[order])) + 1
    for rows in np.split(order, starts):
        kept[rows] = oks_nms(
            keypoints[rows],
            predictions.crop_area[rows],
            score[rows],
            sigmas,
            protocol.nms_threshold,
        )
    return kept


def _keep_all(predictions: Predictions, score: Floats, protocol: Protocol) -> Any:
    return np.ones(len(predictions), np.bool_)


SUPPRESSIONS: dict[str, Callable[[Predictions, Floats, Protocol], Any]] = {
    "none": _keep_all,
    "oks": _oks_nms_per_image,
}


def select(predictions: Predictions, protocol: Protocol) -> Results:
    """Rescore and suppress.

    Returns:
        One score and one keep flag for each row of ``predictions``.
    """
    score = RESCORINGS[protocol.rescoring](predictions, protocol)
    kept = SUPPRESSIONS[protocol.nms](predictions, score, protocol)
    return Results(predictions=predictions, score=score, kept=kept)
