"""Which detections are similar enough to which persons to be matched at all.

Most pairs of an image lie apart: where no joint of a detection is within reach of a person, their
similarity need not be computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from posebench.scoring.oks import EvalArrays, enlarged, similarities, spans
from posebench.types.arrays import Floats, Ints

# Pairs considered in one go.
BLOCK = 1 << 14
# Leeway for rounding, as a share of the similarity and of a coordinate.
SLACK = 1e-5


@dataclass(frozen=True, eq=False)
class Pairs:
    """Detections and persons of one image each, by detection, then by person.

    Attributes:
        place: (P,) place in the rows of detections that were asked about, rising.
        truth: (P,) row of the person, rising for each detection.
        oks: (P,) float64.
    """

    place: Ints
    truth: Ints
    oks: Floats


def similar_pairs(arrays: EvalArrays, rows: Ints, least: float) -> Pairs:
    """Return all pairs with an OKS of ``least`` or more.

    Args:
        arrays: One part of everybody.
        rows: (D,) detections, sorted by image.
        least: In (0, 1).
    """
    reach, extent = _reach(arrays, least), spans(arrays.found_xy)
    none = np.zeros(0, np.int64)
    places, persons = [none], [none]
    for place, truth in same_image(arrays, rows):
        found = rows[place]
        near = np.ones(len(found), np.bool_)
        for low, high in ((0, 2), (1, 3)):
            near &= extent[low][found] <= reach[high][truth]
            near &= extent[high][found] >= reach[low][truth]
        places.append(place[near])
        persons.append(truth[near])
    place, truth = np.concatenate(places), np.concatenate(persons)
    oks = similarities(arrays, truth, rows[place])
    kept = np.flatnonzero(oks >= least)
    return Pairs(place[kept], truth[kept], oks[kept])


def _reach(arrays: EvalArrays, least: float) -> Floats:
    """Left, top, right and bottom, (4, G) px, of where a similar detection has a joint.

    A mean over joints reaches a number only if one of them does, and how far that one may be off
    follows from its sigma.
    """
    share = np.sqrt(-2 * np.log(least * (1 - SLACK)) * (arrays.truth_area + np.spacing(1)))
    far = share[:, None] * (arrays.sigmas * 2)
    boxed = ~np.any(arrays.labelled, axis=1)
    ends = np.concatenate(enlarged(arrays.truth_box), axis=1).T.astype(np.float64)
    ends[:2] -= far.max(axis=1)
    ends[2:] += far.max(axis=1)
    there, xy, off = arrays.labelled[~boxed, :, None], arrays.truth_xy[~boxed], far[~boxed, :, None]
    ends[:2, ~boxed] = spans(np.where(there, xy - off, np.inf))[:2]
    ends[2:, ~boxed] = spans(np.where(there, xy + off, -np.inf))[2:]
    rounding = SLACK * np.abs(ends)
    ends[:2] -= rounding[:2]
    ends[2:] += rounding[2:]
    return ends


def same_image(arrays: EvalArrays, rows: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield all pairs of an image, some detections at a time: (place in ``rows``, person).

    Args:
        arrays: One part of everybody.
        rows: (D,) detections, sorted by image.
    """
    by_image = np.argsort(arrays.truth_image, kind="stable")
    persons = np.bincount(arrays.truth_image, minlength=arrays.images)
    first = (np.cumsum(persons) - persons)[arrays.found_image[rows]]
    count = persons[arrays.found_image[rows]]
    before = np.concatenate([[0], np.cumsum(count)])
    start = 0
    while start < len(rows):
        # As many detections as there is room for, one at least.
        stop = int(np.searchsorted(before, before[start] + BLOCK, side="right")) - 1
        stop = max(stop, start + 1)
        here = slice(start, stop)
        shift = first[here] - (before[:-1][here] - before[start])
        pairs = np.arange(before[stop] - before[start])
        place = np.repeat(np.arange(start, stop), count[here])
        yield place, by_image[np.repeat(shift, count[here]) + pairs]
        start = stop
