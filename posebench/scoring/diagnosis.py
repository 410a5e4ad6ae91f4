"""Errors of keypoint localisation, after Ronchi & Perona.

Source of the taxonomy: M. R. Ronchi and P. Perona, "Benchmarking and Error Diagnosis in
Multi-Instance Pose Estimation", ICCV 2017 (https://arxiv.org/abs/1707.05388), and the constants of
its code, github.com/matteorr/coco-analyze pycocotools/cocoanalyze.py (Params): 0.1, 0.5, 0.85.

A detection is about a person if the two are matched at an OKS of 0.1.  ks, the similarity of one
joint, is exp(-d^2 / (2 * area * (2 * sigma)^2)); the place that a predicted joint is most similar
to, among its own and its mirrored place on this person and on all others of the image, decides:

* good: its own place, ks >= 0.85;
* jitter: its own place, 0.5 <= ks < 0.85;
* inversion: the mirrored place on the same person, ks >= 0.5 (left taken for right);
* swap: its own or the mirrored place on another person, ks >= 0.5;
* miss: no such place, ks < 0.5 everywhere.

Detections and persons that are not matched:

* background: a false alarm (at OKS 0.5) that has an OKS of 0.1 with nobody who counts;
* duplicate: a false alarm about somebody who has a detection, and a hit at no threshold (the
  source counts these with the background);
* false negative: a person without any detection.

A score (ranking) error is a person whose most similar detection is not the highest-scored one
among those about it.

Mending moves a joint to where it would be: jitter to a ks of 0.85, miss to 0.5, inversion and swap
to the ks they had at the wrong place, next to the right one.  Scores become the highest OKS a
detection has with anybody who counts; background and duplicates are left out; false negatives no
longer count.  (The source's code forgets the factor of 2 on sigma here, and so moves joints nearer;
it mends at OKS 0.5 alone.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posebench.scoring.accumulate import evaluate
from posebench.scoring.matching import Matches, match, match_once
from posebench.scoring.oks import Bools, EvalArrays
from posebench.scoring.pairs import same_image, similar_pairs
from posebench.types.arrays import Floats, Ints

LOCALISED, NEAR, GOOD = 0.1, 0.5, 0.85
KINDS = ("good", "jitter", "inversion", "swap", "miss")
# The order in which errors are mended one after the other (cocoanalyze.py, Params.err_types).
ERRORS = (
    *("miss", "swap", "inversion", "jitter"),
    *("score", "background", "duplicate", "false negative"),
)
# The place of OKS 0.5 among the thresholds.
LOOSEST = 0
# Below this OKS a detection's best score is as good as none.
NOTHING = 1e-3

Kinds = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Errors:
    """What is wrong with the detections of one evaluation.

    ``P`` counts detections that are matched with a person that counts, at OKS 0.1.

    Attributes:
        row: (P,) row of the results.
        truth: (P,) row of the person.
        kind: (P, K) index into ``KINDS``, -1 for joints that are not labelled.
        mended: (P, K, 2) px, where each joint lies once mended.
        background: (N,) bool, detections of nobody.
        duplicate: (N,) bool, further detections of somebody.
        missing: (G,) bool, false negatives.
        misranked: (G,) bool, persons with a score error.
        looked_at: Number of detections that were considered.
    """

    row: Ints
    truth: Ints
    kind: Kinds
    mended: Floats
    background: Bools
    duplicate: Bools
    missing: Bools
    misranked: Bools
    looked_at: int


def find_errors(
    arrays: EvalArrays, matches: Matches, mirror: tuple[int, ...], max_detections: int
) -> Errors:
    """Judge every joint and every detection.

    Args:
        arrays: The whole body of everybody.
        matches: Its evaluation.
        mirror: For each joint the one on the other side (``KeypointSet.flip_index``).
        max_detections: Highest-scored detections of an image that are considered.
    """
    rows, truth = match_once(arrays, max_detections, LOCALISED)
    counts = ~arrays.ignored
    about = np.flatnonzero((truth >= 0) & counts[truth])
    kind, mended = _judge_joints(arrays, rows[about], truth[about], np.array(mirror))
    found = _at(truth[about], len(counts))
    background, duplicate = _unmatched(arrays, matches, rows, truth)
    return Errors(
        row=rows[about],
        truth=truth[about],
        kind=kind,
        mended=mended,
        background=background,
        duplicate=duplicate,
        missing=counts & ~found,
        misranked=_misranked(arrays, rows, LOCALISED),
        looked_at=len(rows),
    )


def _unmatched(
    arrays: EvalArrays, matches: Matches, rows: Ints, truth: Ints
) -> tuple[Bools, Bools]:
    """False alarms about nobody, and further ones about somebody, (N,) each."""
    count = len(arrays.looked_at)
    hits = _at(matches.row[matches.hit[0].any(axis=0)], count)
    alarm = _at(matches.row[matches.miss[0, LOOSEST]], count) & ~hits
    alarm[rows[truth >= 0]] &= arrays.ignored[truth[truth >= 0]]
    somebody = _at(rows[_about(arrays, rows, LOCALISED)[0]], count)
    return alarm & ~somebody, alarm & somebody


def _at(rows: Ints, count: int) -> Bools:
    flags = np.zeros(count, np.bool_)
    flags[rows] = True
    return flags


def _judge_joints(
    arrays: EvalArrays, rows: Ints, truth: Ints, mirror: Ints
) -> tuple[Kinds, Floats]:
    """Kind and mended place of the joints of matched detections, sorted by image."""
    straight = np.arange(len(mirror))
    xy = arrays.found_xy[rows].astype(np.float64)
    own = _similarity(arrays, xy, truth, straight)
    mirrored = _similarity(arrays, xy, truth, mirror)
    others = np.full(own.shape, -1.0)
    for place, person in same_image(arrays, rows):
        other = person != truth[place]
        place, person = place[other], person[other]
        if len(place):
            here = _similarity(arrays, xy[place], person, straight)
            np.maximum(here, _similarity(arrays, xy[place], person, mirror), out=here)
            first = np.flatnonzero(np.diff(place, prepend=-1))
            at = place[first]
            others[at] = np.maximum(others[at], np.maximum.reduceat(here, first, axis=0))
    best = np.maximum(own, np.maximum(mirrored, others))
    right = own >= best
    cases = (right & (own >= GOOD), right, mirrored >= others)
    kind = np.select((best < NEAR, *cases), (4, 0, 1, 2), 3).astype(np.int8)
    kind[~arrays.labelled[truth]] = -1
    return kind, _mended(arrays, xy, truth, kind, best)


def _similarity(arrays: EvalArrays, xy: Floats, truth: Ints, joints: Ints) -> Floats:
    """Similarity (P, K) of each joint with a person's ``joints``; -1 where not labelled."""
    apart = xy - arrays.truth_xy[truth][:, joints]
    area = arrays.truth_area[truth, None] + np.spacing(1)
    squared: Floats = (apart**2).sum(axis=2)
    similarity: Floats = np.exp(-squared / (2 * area * (2 * arrays.sigmas) ** 2))
    return np.where(arrays.labelled[truth][:, joints], similarity, -1.0)


def _mended(arrays: EvalArrays, xy: Floats, truth: Ints, kind: Kinds, best: Floats) -> Floats:
    """Joints (P, K, 2) where they lie once mended; those without an error stay."""
    targets = np.array([1.0, GOOD, 1.0, 1.0, NEAR])[kind]
    similarity = np.where(kind >= 2, np.maximum(np.where(kind == 4, NEAR, best), NEAR), targets)
    area = arrays.truth_area[truth, None] + np.spacing(1)
    # A hair nearer, so that rounding leaves nobody below the threshold he was put on.
    far = np.sqrt(-2 * np.log(similarity) * area) * 2 * arrays.sigmas * (1 - 1e-9)
    place = arrays.truth_xy[truth].astype(np.float64)
    place[..., 0] += far
    return np.where((kind >= 1)[..., None], place, xy)


def _misranked(arrays: EvalArrays, rows: Ints, least: float) -> Bools:
    """Persons whose most similar detection is not the highest-scored of those about them."""
    place, person, oks = _about(arrays, rows, least)
    score = arrays.found_score[rows[place]]
    wrong = np.zeros(len(arrays.ignored), np.bool_)
    most = np.full(len(wrong), -1.0)
    np.maximum.at(most, person, oks)
    highest = np.full(len(wrong), -np.inf)
    np.maximum.at(highest, person, score)
    # The most similar detection's score must be the highest; of equal ones the best counts.
    best = np.full(len(wrong), -np.inf)
    top = oks == most[person]
    np.maximum.at(best, person[top], score[top])
    wrong[person] = best[person] < highest[person]
    return wrong


def _about(arrays: EvalArrays, rows: Ints, least: float) -> tuple[Ints, Ints, Floats]:
    """Each detection's place, its most similar person that counts, and their OKS."""
    pairs = similar_pairs(arrays, rows, least)
    counts = np.flatnonzero(~arrays.ignored[pairs.truth])
    place, truth, oks = pairs.place[counts], pairs.truth[counts], pairs.oks[counts]
    order = np.lexsort((-oks, place))
    first = order[np.flatnonzero(np.diff(place[order], prepend=-1))]
    return place[first], truth[first], oks[first]


def correct(
    arrays: EvalArrays,
    joints: slice,
    whole: EvalArrays,
    errors: Errors,
    kinds: tuple[str, ...],
    max_detections: int,
) -> dict[str, float]:
    """Return the scores of one part once some kinds of errors are mended.

    Who is of nobody or a duplicate is asked again after joints and scores are mended: of two
    detections of one person the worse one is then too many.

    Args:
        arrays: The part.
        joints: Its place in the whole.
        whole: The whole body of everybody.
        errors: Of the whole.
        kinds: Of ``ERRORS``.
        max_detections: Highest-scored detections of an image that are considered.
    """
    changed = _moved(arrays, joints, errors, kinds)
    if {"background", "duplicate"} & set(kinds):
        everybody = _moved(whole, slice(None), errors, kinds)
        matches = match(everybody, max_detections)
        nobody, again = _unmatched(
            everybody, matches, *match_once(everybody, max_detections, LOCALISED)
        )
        dropped = np.zeros_like(nobody)
        dropped |= nobody if "background" in kinds else False
        dropped |= again if "duplicate" in kinds else False
        changed = replace(changed, looked_at=arrays.looked_at & ~dropped)
    if "false negative" in kinds:
        changed = replace(changed, ignored=arrays.ignored | errors.missing)
    return evaluate(changed, max_detections).values


def _moved(arrays: EvalArrays, joints: slice, errors: Errors, kinds: tuple[str, ...]) -> EvalArrays:
    """EvalArrays with some kinds of joint errors, and scores if asked for, mended."""
    wanted = [KINDS.index(kind) for kind in kinds if kind in KINDS]
    moved = np.isin(errors.kind[:, joints], wanted)
    xy = arrays.found_xy.astype(np.float64)
    xy[errors.row] = np.where(moved[..., None], errors.mended[:, joints], xy[errors.row])
    changed = replace(arrays, found_xy=xy)
    return replace(changed, found_score=_best_scores(changed)) if "score" in kinds else changed


def _best_scores(arrays: EvalArrays) -> Floats:
    """Highest OKS of each detection with a person that counts, (N,); 0 for none."""
    rows = np.flatnonzero(arrays.looked_at)
    rows = rows[np.argsort(arrays.found_image[rows], kind="stable")]
    place, _, oks = _about(arrays, rows, NOTHING)
    score = np.zeros(len(arrays.looked_at))
    score[rows[place]] = oks
    return score


def crowding(arrays: EvalArrays) -> Ints:
    """Return how many other persons overlap each person's box with an IoU of 0.1 or more, (G,).

    Crowd regions are nobody.  Source of the 0.1: coco-analyze,
    analysisAPI/occlusionAndCrowdingSensitivity.py.
    """
    box, count = arrays.truth_box, np.zeros(len(arrays.truth_image), np.int64)
    everybody = replace(arrays, found_image=arrays.truth_image, found_xy=arrays.truth_xy)
    rows = np.argsort(arrays.truth_image, kind="stable")
    for place, other in same_image(everybody, rows):
        one = rows[place]
        low = np.maximum(box[one, :2], box[other, :2])
        high = np.minimum(box[one, :2] + box[one, 2:], box[other, :2] + box[other, 2:])
        shared = np.maximum(high - low, 0).prod(axis=1)
        union = box[one, 2:].prod(axis=1) + box[other, 2:].prod(axis=1) - shared
        near = (one != other) & ~arrays.crowd[other] & (shared >= LOCALISED * union) & (union > 0)
        np.add.at(count, one[near], 1)
    return count


def recalls(arrays: EvalArrays, matches: Matches) -> Floats:
    """Return the share of thresholds at which each person is found, (G,) in [0, 1]."""
    found = np.zeros(len(arrays.truth_image))
    for truth, hit in zip(matches.truth[0], matches.hit[0], strict=True):
        found[truth[hit]] += 1
    return found / len(matches.truth[0])
