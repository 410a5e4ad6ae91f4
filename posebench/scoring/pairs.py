"""Which detections are similar enough to which persons to be matched at all.

Most pairs of an image lie far apart.  Two tests that err on the side of keeping a pair leave few
to be compared exactly: boxes out of each other's reach, then the similarity in single precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from posebench.scoring.oks import Bools, People, enlarged, similarities, spans
from posebench.types.arrays import Floats, Ints

# Joints of pairs looked at in one go: what fits a processor's own cache.
BLOCK = 1 << 17
# How far a rough similarity may lie below the exact one.
SLACK = 1e-3


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


def similar_pairs(people: People, rows: Ints, least: float) -> Pairs:
    """Return all pairs with an OKS of ``least`` or more.

    Args:
        people: One part of everybody.
        rows: (D,) detections, sorted by image.
        least: In (0, 1).
    """
    targets = _targets(people, least)
    none = np.zeros(0, np.int64)
    places, persons = [none], [none]
    for place, truth in _same_image(people, rows):
        near = _overlap(targets, rows[place], truth)
        place, truth = place[near], truth[near]
        near = np.flatnonzero(_rough(people, targets, rows[place], truth) >= least - SLACK)
        places.append(place[near])
        persons.append(truth[near])
    place, truth = np.concatenate(places), np.concatenate(persons)
    oks = similarities(people, truth, rows[place])
    near = np.flatnonzero(oks >= least)
    return Pairs(place[near], truth[near], oks[near])


def _same_image(people: People, rows: Ints) -> Iterator[tuple[Ints, Ints]]:
    """All pairs of an image, some detections at a time: (place in ``rows``, person)."""
    by_image = np.argsort(people.truth_image, kind="stable")
    persons = np.bincount(people.truth_image, minlength=people.images)
    first = (np.cumsum(persons) - persons)[people.found_image[rows]]
    count = persons[people.found_image[rows]]
    before = np.concatenate([[0], np.cumsum(count)])
    most = max(1, BLOCK // len(people.sigmas))
    start = 0
    while start < len(rows):
        # As many detections as there is room for, one at least.
        stop = int(np.searchsorted(before, before[start] + most, side="right")) - 1
        stop = max(stop, start + 1)
        here = slice(start, stop)
        shift = first[here] - (before[:-1][here] - before[start])
        pairs = np.arange(before[stop] - before[start])
        place = np.repeat(np.arange(start, stop), count[here])
        yield place, by_image[np.repeat(shift, count[here]) + pairs]
        start = stop


@dataclass(frozen=True, eq=False)
class _Targets:
    """What detections are roughly compared with.

    Attributes:
        near: (4, G) px: left, top, right and bottom of where at least one joint of a similar
            detection lies.
        spans: (4, N) px, the same of each detection's joints.
        scale: (G, K) float32, 1 / (2 * area * (2 * sigma)^2); 0 for joints that do not count.
        counts: (G,) joints that count: the labelled ones, or all where none is.
        boxed: (G,) persons without labels, who are compared by an enlarged box.
        box: Its lower and upper corners, (G, 1, 2) px each.
    """

    near: Floats
    spans: Floats
    scale: Floats
    counts: Ints
    boxed: Bools
    box: tuple[Floats, Floats]


def _targets(people: People, least: float) -> _Targets:
    boxed = ~np.any(people.labelled, axis=1)
    counts = people.labelled | boxed[:, None]
    box = enlarged(people.truth_box)
    low, high = (corner[:, 0].astype(np.float64) for corner in box)
    there = people.labelled[~boxed, :, None]
    low[~boxed] = np.where(there, people.truth_xy[~boxed], np.inf).min(axis=1, initial=np.inf)
    high[~boxed] = np.where(there, people.truth_xy[~boxed], -np.inf).max(axis=1, initial=-np.inf)
    # A mean over joints reaches a number only if one of them does; the widest sigma allows most.
    area = people.truth_area + np.spacing(1)
    widest = np.where(counts, people.sigmas * 2, 0.0).max(axis=1, initial=0.0)
    far = (np.sqrt(-2 * np.log(least - SLACK) * area) * widest)[:, None]
    far = far + 1e-6 * (np.abs(low) + np.abs(high))  # single precision is good to seven digits
    scale = np.where(counts, 0.5 / area[:, None] / (people.sigmas * 2) ** 2, 0.0)
    return _Targets(
        np.concatenate([low - far, high + far], axis=1).T.copy(),
        spans(people.found_xy),
        scale.astype(np.float32),
        counts.sum(axis=1),
        boxed,
        box,
    )


def _overlap(targets: _Targets, found: Ints, truth: Ints) -> Ints:
    """Places of the pairs whose boxes are within each other's reach."""
    inside = np.ones(len(found), np.bool_)
    for axis in (0, 1):
        inside &= targets.spans[axis][found] <= targets.near[axis + 2][truth]
        inside &= targets.spans[axis + 2][found] >= targets.near[axis][truth]
    return np.flatnonzero(inside)


def _rough(people: People, targets: _Targets, found: Ints, truth: Ints) -> Floats:
    """OKS of pairs within ``SLACK``."""
    oks = np.empty(len(found))
    boxed = targets.boxed[truth]
    for way, rows in ((_from_joints, ~boxed), (_from_box, boxed)):
        chosen = np.flatnonzero(rows)
        person = truth[chosen]
        error = way(people, targets, people.found_xy[found[chosen]], person)
        near = np.exp(np.negative(error, out=error), out=error).sum(axis=1)
        # Joints that do not count have an error of 0, and so a similarity of 1.
        counts = targets.counts[person]
        oks[chosen] = (near - (len(people.sigmas) - counts)) / counts
    return oks


def _from_joints(people: People, targets: _Targets, xy: Floats, truth: Ints) -> Floats:
    """The error that ``exp`` is taken of, (P, K) float32, for persons with labels."""
    return _scaled((xy - people.truth_xy[truth]).astype(np.float32), targets, truth)


def _from_box(people: People, targets: _Targets, xy: Floats, truth: Ints) -> Floats:
    """The same for persons without."""
    low, high = (corner[truth] for corner in targets.box)
    apart = np.maximum(low - xy, xy - high)
    return _scaled(np.maximum(apart, 0, out=apart), targets, truth)


def _scaled(apart: Floats, targets: _Targets, truth: Ints) -> Floats:
    # Far joints overflow to infinity, whose similarity is 0 as it should be.
    with np.errstate(over="ignore"):
        apart = apart.astype(np.float32, copy=False)
        apart *= apart
        error: Floats = apart[..., 0] + apart[..., 1]
        error *= targets.scale[truth]
    return error
