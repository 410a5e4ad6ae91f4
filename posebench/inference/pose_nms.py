"""AlphaPose's parametric pose suppression, which merges the persons it takes for one.

Unlike an OKS suppression it moves keypoints: a kept person's joints become the mean of its
cluster's, weighted by their scores.  The reference keeps its constants in module globals, which
a whole-body model overwrites for every later run of the process; here they are values that a
call is given.

Source: AlphaPose alphapose/utils/pPose_nms.py (``pose_nms``) and scripts/validate.py
(``--ppose-nms``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posebench.keypoints import keypoint_set
from posebench.types.arrays import Floats, Ints, Predictions
from posebench.types.protocol import Protocol

Flags = NDArray[np.bool_]

NEAR = 1.0  # px: joints this close also compare their scores
MATCH_REACH = 7.0  # px: no two joints match over a longer distance
MERGE_REACH = 15.0  # px: no two joints are averaged over a longer distance
NO_SCORE = 1e-5  # stands for a joint score of exactly 0
PEAK_WEIGHT = 1.25  # of the best joint in the instance score

FACE, HANDS = slice(-110, -42), slice(-42, None)
# The reference counts matches in these places whatever the keypoint set: right for Halpe's 136,
# three places late for COCO-WholeBody's 133.
FACE_FROM, HANDS_FROM = 26, 94
FACE_REACH, HAND_REACH = 1.9, 0.55  # face_factor, hand_factor
HAND_SCORE_WEIGHT, HAND_DISTANCE_WEIGHT = 0.1, 1.5


@dataclass(frozen=True)
class Constants:
    """The parameters of one run.

    Attributes:
        score_softness: Divisor of joint scores inside the tanh (delta1).
        distance_weight: Of the distances against the scores (mu).
        distance_softness: Distance over which similarity falls by e, px (delta2).
        similarity: A rival more similar than this joins the cluster (gamma).
        score: A person whose best joint is below this is dropped (scoreThreds).
        matches: A rival with this many joints in reach joins the cluster (matchThreds).
        reach: Fraction of the longer box side within which joints match (alpha).
    """

    score_softness: float
    distance_weight: float
    distance_softness: float
    similarity: float
    score: float
    matches: float
    reach: float


HEATMAP = Constants(1.0, 1.7, 2.65, 22.48, 0.3, 5.0, 0.1)
INTEGRAL_FULL_BODY = Constants(1.0, 1.65, 8.0, 3.6, 0.01, 3.0, 0.15)


@dataclass(frozen=True, eq=False)
class Merged:
    """The persons of one image that are left, best first.

    Attributes:
        rows: (M,) rows that were kept.
        keypoints: (M, K, 2) float64 px, merged.
        joint_scores: (M, K) float64, merged.
        score: (M,) float64 instance scores: box score + mean + 1.25 times the maximum of the
            merged joint scores.
    """

    rows: Ints
    keypoints: Floats
    joint_scores: Floats
    score: Floats


def pose_nms(
    keypoints: Floats,
    joint_scores: Floats,
    box_side: Floats,
    box_score: Floats,
    constants: Constants = HEATMAP,
    *,
    full_body: bool = False,
) -> Merged:
    """Merge the persons of one image that are one, best mean joint score first.

    A person picked always belongs to its own cluster.  The reference can leave it out when its
    joints score below the threshold, and then reports it twice, partly as NaN.

    Args:
        keypoints: (N, K, 2) px.
        joint_scores: (N, K).
        box_side: (N,) longer side of the box before padding, px.
        box_score: (N,).
        constants: Parameters.
        full_body: The last 110 of the K joints are a face (68) and two hands.
    """
    keypoints = np.asarray(keypoints, np.float64)
    scores = np.asarray(joint_scores, np.float64)
    scores = np.where(scores == 0, NO_SCORE, scores)
    reach = constants.reach * np.asarray(box_side, np.float64)
    mean, alive = scores.mean(axis=1), np.arange(len(scores))
    rows, points, values = [], [], []
    while len(alive):
        best = int(np.argmax(mean[alive]))
        picked = alive[best]
        apart = np.sqrt(((keypoints[alive] - keypoints[picked]) ** 2).sum(axis=2))
        rivals = _full_body_rivals if full_body else _body_rivals
        same = rivals(apart, scores[alive], best, min(reach[picked], MATCH_REACH), constants)
        same[best] = True
        cluster, apart, alive = alive[same], apart[same], alive[~same]
        near = apart <= min(reach[picked], MERGE_REACH)
        merged, merged_scores = _weighted_mean(keypoints[cluster], scores[cluster] * near)
        if min(scores[picked].max(), merged_scores.max()) >= constants.score:
            rows.append(picked)
            points.append(merged)
            values.append(merged_scores)
    kept = np.array(rows, np.int64)
    joints = np.array(values, np.float64).reshape(len(rows), scores.shape[1])
    best_joint = joints.max(axis=1, initial=-np.inf)
    return Merged(
        rows=kept,
        keypoints=np.array(points, np.float64).reshape(len(rows), scores.shape[1], 2),
        joint_scores=joints,
        score=np.asarray(box_score)[kept] + joints.mean(axis=1) + PEAK_WEIGHT * best_joint,
    )


def _weighted_mean(points: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Means (K, 2) and (K,) of points (n, K, 2) and of the weights (n, K) themselves."""
    share = weights / weights.sum(axis=0)
    return (points * share[..., None]).sum(axis=0), (weights * share).sum(axis=0)


def _body_rivals(
    apart: Floats, scores: Floats, best: int, reach: float, constants: Constants
) -> Flags:
    """Which of n persons, (n, K) px apart from the best, join its cluster."""
    weight = np.tanh(scores / constants.score_softness)
    agreement = np.where(apart <= NEAR, weight * weight[best], 0.0)
    closeness = np.exp(-apart / constants.distance_softness)
    similarity = agreement.sum(axis=1) + constants.distance_weight * closeness.sum(axis=1)
    return (similarity > constants.similarity) | (_within(apart, reach) >= constants.matches)


def _full_body_rivals(
    apart: Floats, scores: Floats, best: int, reach: float, constants: Constants
) -> Flags:
    """As ``_body_rivals``, with body, face and hands weighed against each other.

    Scores are compared only at joints *below* the score threshold and distances only above it;
    matches are divided by the number of persons left.  Both are the reference's.
    """
    weight, weak = np.tanh(scores / constants.score_softness), scores < constants.score
    agreement = np.where((apart <= NEAR) & weak, weight * weight[best], 0.0)
    softness = np.full(scores.shape[1], constants.distance_softness)
    softness[FACE] *= FACE_REACH
    softness[HANDS] *= HAND_REACH
    closeness = np.where(weak, 0.0, np.exp(-apart / softness))
    similarity = _parts(agreement, HAND_SCORE_WEIGHT) + constants.distance_weight * _parts(
        closeness, HAND_DISTANCE_WEIGHT
    )
    return (similarity > constants.similarity) | (
        _full_body_matches(apart, scores[best], reach, constants) >= constants.matches
    )


def _parts(values: Floats, hand_weight: float) -> Floats:
    """Mean over the body plus mean over the face plus the weighted mean over the hands: (n,)."""
    body = values[:, : FACE.start].mean(axis=1)
    face, hands = values[:, FACE].mean(axis=1), values[:, HANDS].mean(axis=1)
    return np.asarray(body + face + hand_weight * hands)


def _full_body_matches(apart: Floats, scores: Floats, reach: float, constants: Constants) -> Floats:
    """Joints in reach (n,), scaled up where the best person's own joints are unsure."""
    sure = int((scores > constants.score / 2).sum())
    if not sure:
        return np.zeros(len(apart))
    found = _within(apart[:, :FACE_FROM], reach)
    found += _within(apart[:, FACE_FROM:HANDS_FROM], reach, FACE_REACH)
    found += _within(apart[:, HANDS_FROM:], reach, HAND_REACH)
    # float32, in the reference's order: whole numbers of matches meet a whole threshold.
    share = found.astype(np.float32) / np.float32(2 * len(apart) * sure)
    return share / np.float32(2) * np.float32(len(scores))


def _within(apart: Floats, reach: float, factor: float = 1.0) -> Ints:
    """Joints (n,) within ``factor`` times the reach; none where a box has no size."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((apart / reach <= factor).sum(axis=1), np.int64)


def merge_persons(
    predictions: Predictions, score: Floats, protocol: Protocol, images: Sequence[Ints]
) -> tuple[Predictions, Floats, Flags]:
    """Merge the persons of every image.

    The box side is that of ``Predictions.box``, before padding.  Whole-body sets (133 and 136
    joints) take the full-body sums, and their own constants unless the network was trained on
    heatmaps alone, which its decoding tells.

    Args:
        predictions: Raw rows.
        score: (N,) instance scores, which rows that are not kept keep.
        protocol: Its ``decode`` chooses the constants; its rescoring has no say here.
        images: Rows of each image.

    Returns:
        Predictions with the kept rows' merged joints, instance scores (N,), kept rows (N,).
    """
    joints = keypoint_set(predictions.keypoint_set)
    full_body = len(joints) - joints.body_and_feet() == -FACE.start
    integrates = protocol.decode in ("integral_sigmoid", "combined")
    constants = INTEGRAL_FULL_BODY if full_body and integrates else HEATMAP
    keypoints, joint_scores = predictions.keypoints.copy(), predictions.joint_scores.copy()
    score, kept = np.array(score, np.float64), np.zeros(len(predictions), np.bool_)
    side = predictions.box[:, 2:].max(axis=1)
    for rows in images:
        merged = pose_nms(
            predictions.keypoints[rows],
            predictions.joint_scores[rows],
            side[rows],
            predictions.box_score[rows],
            constants,
            full_body=full_body,
        )
        left = rows[merged.rows]
        kept[left], score[left] = True, merged.score
        keypoints[left], joint_scores[left] = merged.keypoints, merged.joint_scores
    return replace(predictions, keypoints=keypoints, joint_scores=joint_scores), score, kept
