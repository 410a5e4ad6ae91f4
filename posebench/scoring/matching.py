"""Detections assigned to annotated persons, at every threshold and size at once.

The rule is COCO's: within an image the detections choose in order of falling score.  Each takes
the free person of highest OKS at or above the threshold, persons that count before ignored ones,
the later in the file among equals; a crowd stays free.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posebench.scoring.oks import Bools, People, similarities
from posebench.types.arrays import Floats, Ints

# pycocotools cocoeval.py, Params.setKpParams: thresholds, and area ranges in px^2 with both ends.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREAS = ("all", "medium", "large")
AREA_RANGES = ((0.0, 1e5**2), (32.0**2, 96.0**2), (96.0**2, 1e5**2))

# Cells of (area, threshold, image, person) looked at in one go.
CELLS = 1 << 20

Rows = NDArray[np.int32]


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
    truth = np.full((len(AREAS), len(THRESHOLDS), len(rows)), -1, np.int32)
    for block in _image_blocks(people, rows):
        _assign(people, rows, block, ignored, truth)

    # Sorted per image above, then by score over all images: equal scores keep both orders.
    order = np.argsort(-people.found_score[rows], kind="stable")
    rows, truth = rows[order], truth[:, :, order]
    area = people.found_area[rows]
    hit, miss = _judge(people, truth, ignored, (area < low) | (area > high))
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


@dataclass(frozen=True, eq=False)
class _Block:
    """Images side by side: (B, G) rows of persons, (B, D) places of detections, -1 for none."""

    truth: Ints
    found: Ints


def _image_blocks(people: People, rows: Ints) -> Iterator[_Block]:
    """Images with persons and detections, those with equally many persons together."""
    persons = _count(people.truth_image, people.images)
    found = _count(people.found_image[rows], people.images)
    both = np.flatnonzero((persons > 0) & (found > 0))
    both = both[np.argsort(persons[both], kind="stable")]
    by_image = np.argsort(people.truth_image, kind="stable")
    start = 0
    while start < len(both):
        stop, most = start + 1, persons[both[start]]
        while stop < len(both):
            wider = max(most, persons[both[stop]])
            cells = wider * (stop + 1 - start) * len(AREAS) * len(THRESHOLDS)
            if cells > CELLS:
                break
            stop, most = stop + 1, wider
        images = both[start:stop]
        yield _Block(_table(by_image, persons, images), _table(np.arange(len(rows)), found, images))
        start = stop


def _table(rows: Ints, counts: Ints, images: Ints) -> Ints:
    """Rows (sorted by image) of some images, one image a line, filled up with -1."""
    first = np.cumsum(counts) - counts
    place = np.arange(counts[images].max())
    valid = place < counts[images, None]
    table = np.full(valid.shape, -1, np.int64)
    table[valid] = rows[(first[images, None] + place)[valid]]
    return table


def _assign(people: People, rows: Ints, block: _Block, ignored: Bools, truth: Rows) -> None:
    """Fill in ``truth`` for the detections of some images."""
    images, persons = block.truth.shape
    there = (block.found >= 0)[:, :, None] & (block.truth >= 0)[:, None, :]
    image, place, person = np.nonzero(there)
    oks = np.full(there.shape, -1.0)
    oks[there] = similarities(people, block.truth[image, person], rows[block.found[image, place]])
    # The references stop just short of 1, so that an OKS of exactly 1 is at every threshold.
    least = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None, None]
    counts = ~ignored[:, None, block.truth]  # (A, 1, B, G)
    crowd = people.crowd[block.truth]
    free = np.ones((len(AREAS), len(THRESHOLDS), images, persons), np.bool_)
    for d in range(block.found.shape[1]):
        possible = free & (oks[:, d] >= least)
        chosen, any_there = _last_best(oks[:, d], possible, counts)
        here = any_there & (block.found[:, d] >= 0)
        area, threshold, line = np.nonzero(here)
        person = chosen[here]
        truth[area, threshold, block.found[line, d]] = block.truth[line, person]
        free[area, threshold, line, person] = crowd[line, person]


def _last_best(oks: Floats, possible: Bools, counts: Bools) -> tuple[NDArray[Any], Bools]:
    """Index of the best possible person, and whether there is one.

    Args:
        oks: (B, G) of one detection an image.
        possible: (A, T, B, G) free and similar enough.
        counts: (A, 1, B, G) not ignored: these come first.
    """
    first = possible & counts
    pool = np.where(first.any(axis=-1, keepdims=True), first, possible)
    value = np.where(pool, oks, -1.0)
    last = value.shape[-1] - 1 - np.argmax(value[..., ::-1], axis=-1)
    return last, np.any(pool, axis=-1)


def _judge(people: People, truth: Rows, ignored: Bools, outside: Bools) -> tuple[Bools, Bools]:
    """Hits and misses (A, T, D) among assigned detections; the rest counts as neither.

    Args:
        people: One part of everybody.
        truth: (A, T, D) assigned person, -1 for none.
        ignored: (A, G) persons that do not count at a size.
        outside: (A, D) detections of another size: no miss if nobody is assigned.
    """
    if not people.truth_image.size:
        none = np.zeros(truth.shape, np.bool_)
        return none, none | ~outside[:, None]
    assigned = truth >= 0
    matched = assigned & ~people.unmatchable[truth]
    area = np.arange(len(AREAS))[:, None, None]
    neither = (assigned & ignored[area, truth]) | (~matched & outside[:, None])
    return matched & ~neither, ~matched & ~neither
