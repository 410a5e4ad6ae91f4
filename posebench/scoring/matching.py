"""Detections assigned to annotated persons, at every threshold and size at once.

The rule is COCO's: within an image the detections choose in order of falling score.  Each takes
the free person of highest OKS at or above the threshold, persons that count before ignored ones,
the later in the file among equals; a crowd stays free.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posebench.scoring.oks import Bools, EvalArrays
from posebench.scoring.pairs import Pairs, similar_pairs
from posebench.types.arrays import Floats, Ints

# pycocotools cocoeval.py, Params.setKpParams: thresholds, and area ranges in px^2 with both ends.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREAS = ("all", "medium", "large")
AREA_RANGES = ((0.0, 1e5**2), (32.0**2, 96.0**2), (96.0**2, 1e5**2))
# The references stop just short of 1, so that an OKS of exactly 1 is at every threshold.
LEAST = np.minimum(THRESHOLDS, 1 - 1e-10)

Rows = NDArray[np.int32]
# A set of thresholds: bit t says whether threshold t is in it.
Bits = NDArray[np.uint16]
EVERY = np.uint16((1 << len(THRESHOLDS)) - 1)


@dataclass(frozen=True, eq=False)
class Matches:
    """The best-scored detections of every image, sorted by falling score.

    ``A`` counts ``AREAS``, ``T`` ``THRESHOLDS``.

    Attributes:
        image: (D,) image row.
        row: (D,) row of the results.
        score: (D,) float64.
        truth: (A, T, D) row of the person it was assigned to, -1 for none.
        hit: (A, T, D) bool, assigned to a person that counts.
        miss: (A, T, D) bool, a false alarm that counts.
        persons: (A, I) persons that count in each image.
    """

    image: Ints
    row: Ints
    score: Floats
    truth: Rows
    hit: Bools
    miss: Bools
    persons: Ints


def match(arrays: EvalArrays, max_detections: int) -> Matches:
    """Assign detections to persons.

    Args:
        arrays: One part of everybody.
        max_detections: Highest-scored detections of an image that are considered.
    """
    rows, place = _best(arrays, max_detections)
    pairs = _by_preference(similar_pairs(arrays, rows, float(LEAST[0])))
    similar = _thresholds_up_to(pairs.oks)
    turns = _turns(arrays.found_image[rows[pairs.place]])
    by_score = np.empty_like(rows)
    by_score[place] = rows
    low, high = np.array(AREA_RANGES).T[:, :, None]
    area = arrays.found_area[by_score]
    outside = (area < low) | (area > high)
    ignored = arrays.ignored | (arrays.truth_area < low) | (arrays.truth_area > high)

    truth = np.full((len(AREAS), len(THRESHOLDS), len(rows)), -1, np.int32)
    hit = np.zeros(truth.shape, np.bool_)
    # Who is assigned to no one is a false alarm, unless of another size.
    miss = np.repeat(~outside[:, None], len(THRESHOLDS), axis=1)
    for size in range(len(AREAS)):
        matched = _assign(arrays, pairs, similar, turns, ignored[size])
        for threshold in range(len(THRESHOLDS)):
            chosen = np.flatnonzero(matched & np.uint16(1 << threshold))
            found, person = place[pairs.place[chosen]], pairs.truth[chosen]
            counts, nobody = ~ignored[size, person], arrays.unmatchable[person]
            truth[size, threshold, found] = person
            hit[size, threshold, found] = counts & ~nobody
            miss[size, threshold, found] &= counts & nobody
    persons = np.stack([_count(arrays.truth_image[~each], arrays.images) for each in ignored])
    image, score = arrays.found_image[by_score], arrays.found_score[by_score]
    return Matches(image, by_score, score, truth, hit, miss, persons)


def match_once(arrays: EvalArrays, max_detections: int, least: float) -> tuple[Ints, Ints]:
    """Assign detections to persons of all sizes at one threshold, which may be any.

    Args:
        arrays: One part of everybody.
        max_detections: Highest-scored detections of an image that are considered.
        least: OKS, in (0, 1).

    Returns:
        Rows of the detections that are considered, by image and falling score, and the row of each
        one's person, -1 for none.
    """
    rows, _ = _best(arrays, max_detections)
    pairs = _by_preference(similar_pairs(arrays, rows, least))
    turns = _turns(arrays.found_image[rows[pairs.place]])
    similar = np.full(len(pairs.oks), EVERY)
    matched = np.flatnonzero(_assign(arrays, pairs, similar, turns, arrays.ignored))
    truth = np.full(len(rows), -1, np.int64)
    truth[pairs.place[matched]] = pairs.truth[matched]
    return rows, truth


def _best(arrays: EvalArrays, max_detections: int) -> tuple[Ints, Ints]:
    """The detections that are considered.

    Returns:
        Their rows, by image and then by falling score; and the place of each when all are sorted
        by falling score.  Equal scores stand in the order of images, then of rows.
    """
    start = np.flatnonzero(arrays.looked_at)
    by_image = start[_by_number(arrays.found_image[start])]
    by_score = by_image[np.argsort(-arrays.found_score[by_image], kind="stable")]
    again = _by_number(arrays.found_image[by_score])
    image = arrays.found_image[by_score[again]]
    again = again[_rank(image) < max_detections]
    kept = np.zeros(len(by_score), np.int64)
    kept[again] = 1
    return by_score[again], (np.cumsum(kept) - 1)[again]


def _by_number(image: Ints) -> Ints:
    """Stable order of image rows; numpy sorts short numbers several times as fast."""
    fits = image.max(initial=0) < 1 << 16
    return np.argsort(image.astype(np.uint16) if fits else image, kind="stable")


def _rank(image: Ints) -> Ints:
    """0 for the first row of each image, 1 for the second, and so on; images rise."""
    count = np.bincount(image)
    rank: Ints = np.arange(len(image)) - (np.cumsum(count) - count)[image]
    return rank


def _count(image: Ints, images: int) -> Ints:
    return np.bincount(image, minlength=images).astype(np.int64)


def _by_preference(pairs: Pairs) -> Pairs:
    """Each detection's pairs: the most similar first, the later in the file among equals."""
    order = np.lexsort((-pairs.truth, -pairs.oks, pairs.place))
    return Pairs(pairs.place[order], pairs.truth[order], pairs.oks[order])


def _turns(image: Ints) -> list[Ints]:
    """The first of every image, the second of every image, and so on.

    Args:
        image: Rising.
    """
    turn = _rank(image)
    return np.split(np.argsort(turn, kind="stable"), np.cumsum(np.bincount(turn)))[:-1]


def _assign(
    arrays: EvalArrays, pairs: Pairs, similar: Bits, turns: list[Ints], ignored: Bools
) -> Bits:
    """Choose among similar pairs, for one size and all thresholds.

    Args:
        arrays: One part of everybody.
        pairs: Of each detection the preferred first.
        similar: (P,) thresholds at which a pair may be matched.
        turns: Images do not know each other, so that each turn chooses once in every image.
        ignored: (G,) persons that do not count.

    Returns:
        (P,) thresholds at which a pair is matched.
    """
    # The sort is stable: those who count come first, otherwise the preference stays.
    order = np.argsort(2 * pairs.place + ignored[pairs.truth], kind="stable")
    once = np.where(arrays.crowd, 0, EVERY).astype(np.uint16)
    free = np.full(len(once), EVERY)
    single = np.full(int(pairs.place.max(initial=-1)) + 1, EVERY)
    matched = np.zeros(len(order), np.uint16)
    for turn in turns:
        pair = order[turn]
        by, who = pairs.place[pair], pairs.truth[pair]
        new = similar[pair] & free[who] & single[by]
        matched[pair] = new
        single[by] &= ~new
        free[who] &= ~(new & once[who])
    return matched


def _thresholds_up_to(oks: Floats) -> Bits:
    """The thresholds at or below each OKS."""
    count = np.searchsorted(LEAST, oks, side="right")
    return ((1 << count) - 1).astype(np.uint16)
