"""Detections assigned to annotated persons, at every threshold and size at once.

The rule is COCO's: within an image the detections choose in order of falling score.  Each takes
the free person of highest OKS at or above the threshold, persons that count before ignored ones,
the later in the file among equals; a crowd stays free.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from posebench.scoring.oks import Bools, People
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
        row: (D,) row in ``People``'s detections.
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


def match(people: People, max_detections: int) -> Matches:
    """Assign detections to persons.

    Args:
        people: One part of everybody.
        max_detections: Highest-scored detections of an image that are looked at.
    """
    rows = _best(people, max_detections)
    low, high = np.array(AREA_RANGES).T[:, :, None]
    ignored = people.ignored | (people.truth_area < low) | (people.truth_area > high)
    pairs = _by_preference(similar_pairs(people, rows, float(LEAST[0])))

    # Sorted per image above, then by score over all images: equal scores keep both orders.
    order = np.argsort(-people.found_score[rows], kind="stable")
    place = np.empty(len(rows), np.int64)
    place[order] = np.arange(len(rows))
    truth = np.full((len(AREAS), len(THRESHOLDS), len(rows)), -1, np.int32)
    for area, ignored_here in enumerate(ignored):
        taken = _assign(people, rows, pairs, ignored_here)
        for threshold, into in enumerate(truth[area]):
            chosen = np.flatnonzero(taken & np.uint16(1 << threshold))
            into[place[pairs.place[chosen]]] = pairs.truth[chosen]

    rows = rows[order]
    found_area = people.found_area[rows]
    hit, miss = _judge(people, truth, ignored, (found_area < low) | (found_area > high))
    persons = np.stack([_count(people.truth_image[~each], people.images) for each in ignored])
    image, score = people.found_image[rows], people.found_score[rows]
    return Matches(image, rows, score, truth, hit, miss, persons)


def _best(people: People, max_detections: int) -> Ints:
    """Rows of the detections that are looked at, by image, then by falling score."""
    order = np.lexsort((-people.found_score, people.found_image))
    image = people.found_image[order]
    rank = np.arange(len(order)) - np.searchsorted(image, image)
    return order[rank < max_detections]


def _count(image: Ints, images: int) -> Ints:
    return np.bincount(image, minlength=images).astype(np.int64)


def _by_preference(pairs: Pairs) -> Pairs:
    """Each detection's pairs: the most similar first, the later in the file among equals."""
    order = np.lexsort((-pairs.truth, -pairs.oks, pairs.place))
    return Pairs(pairs.place[order], pairs.truth[order], pairs.oks[order])


def _assign(people: People, rows: Ints, pairs: Pairs, ignored: Bools) -> Bits:
    """Choose among similar pairs, for one size and all thresholds.

    Images do not know each other, so that the first choice of every image is made at once, then
    the second, and so on.

    Args:
        people: One part of everybody.
        rows: (D,) detections, by image and falling score.
        pairs: Among them and the persons, see ``_by_preference``.
        ignored: (G,) persons that do not count.

    Returns:
        (P,) thresholds at which a pair is matched.
    """
    # The sort is stable: those who count come first, otherwise the preference stays.
    order = np.argsort(2 * pairs.place + ignored[pairs.truth], kind="stable")
    image = people.found_image[rows[pairs.place]]  # rises, and so does that of the sorted pairs
    turn = np.arange(len(image)) - np.searchsorted(image, image)
    order = order[np.argsort(turn, kind="stable")]
    bounds = np.concatenate([[0], np.cumsum(np.bincount(turn))])

    person, detection = pairs.truth[order], pairs.place[order]
    similar = _thresholds_up_to(pairs.oks[order])
    once = np.where(people.crowd[person], 0, EVERY).astype(np.uint16)
    free, single = np.full(len(people.crowd), EVERY), np.full(len(rows), EVERY)
    matched = np.zeros(len(order), np.uint16)
    for start, stop in pairwise(bounds):
        here = slice(start, stop)
        by, who = detection[here], person[here]
        new = similar[here] & free[who] & single[by]
        matched[order[here]] = new
        single[by] &= ~new
        free[who] &= ~(new & once[here])
    return matched


def _thresholds_up_to(oks: Floats) -> Bits:
    """The thresholds at or below each OKS."""
    count = np.searchsorted(LEAST, oks, side="right")
    return ((1 << count) - 1).astype(np.uint16)


def _judge(people: People, truth: Rows, ignored: Bools, outside: Bools) -> tuple[Bools, Bools]:
    """Hits and misses (A, T, D) among assigned detections; the rest counts as neither.

    Args:
        people: One part of everybody.
        truth: (A, T, D) assigned person, -1 for none.
        ignored: (A, G) persons that do not count at a size.
        outside: (A, D) detections of another size: no miss if nobody is assigned.
    """
    hit = np.zeros(truth.shape, np.bool_)
    miss = np.repeat(~outside[:, None], len(THRESHOLDS), axis=1)
    area, threshold, detection = np.nonzero(truth >= 0)
    person = truth[area, threshold, detection]
    matched, counts = ~people.unmatchable[person], ~ignored[area, person]
    hit[area, threshold, detection] = matched & counts
    miss[area, threshold, detection] = ~matched & counts & ~outside[area, detection]
    return hit, miss
