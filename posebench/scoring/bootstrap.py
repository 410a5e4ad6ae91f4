"""How far a score could have come out otherwise: resampling images with replacement.

Persons of one image are not independent, so whole images are drawn.  Matching is done once; a
draw only counts an image's hits and misses as often as the image was drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from posebench.scoring.accumulate import METRICS, RECALLS
from posebench.scoring.matching import AREAS, THRESHOLDS, Matches
from posebench.types.arrays import Floats, Ints

RESAMPLES = 1000
LEVEL = 0.95
# Cells of (detection, draw) considered in one go.
CELLS = 1 << 20


def bootstrap_counts(images: int, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Return how often each image is in each draw: (I, B) float64, columns summing to I."""
    generator = np.random.default_rng(seed)
    share = np.full(images, 1.0 / images)
    draws = [generator.multinomial(images, share) for _ in range(resamples)]
    return np.ascontiguousarray(np.stack(draws, axis=1), np.float64)


def family_level(count: int, level: float = LEVEL) -> float:
    """Return the level at which ``count`` intervals hold all their truths at once (Bonferroni).

    With 1,000 bootstrap samples the ends of the interval are the samples' extremes from about 25
    intervals on.
    """
    return 1.0 - (1.0 - level) / max(1, count)


def confidence_intervals(
    draws: Mapping[str, Floats], values: Mapping[str, float], level: float = LEVEL
) -> dict[str, tuple[float, float]]:
    """Return the percentile interval of each metric.

    Args:
        draws: Metric -> (B,) values of the draws, NaN where a draw has nobody that counts.
        values: Metric -> measured value; where it is NaN there is no interval.
        level: Share of the draws inside the interval.
    """
    tails = [50.0 * (1.0 - level), 50.0 * (1.0 + level)]
    found = {}
    for name, column in draws.items():
        usable = column[np.isfinite(column)]
        if len(usable) and np.isfinite(values[name]):
            low, high = np.percentile(usable, tails)
            found[name] = (float(low), float(high))
    return found


def resampled(matches: Matches, weights: Floats) -> dict[str, Floats]:
    """Return the ten numbers for images counted several times.

    With all weights 1 these are the measured values.

    Args:
        matches: Of one part.
        weights: (I, B) multiplicity of each image in each draw.

    Returns:
        Metric -> (B,) percent; NaN where a draw has nobody that counts.
    """
    draws = weights.shape[1]
    precision = np.empty((len(AREAS), len(THRESHOLDS), draws))
    recall = np.empty_like(precision)
    step = max(1, CELLS // max(1, len(matches.row)))
    for area in range(len(AREAS)):
        curves = list(_curves(matches, area))
        for start in range(0, draws, step):
            block = slice(start, min(start + step, draws))
            precision[area, :, block], recall[area, :, block] = _averages(
                matches, area, curves, weights[:, block]
            )
    numbers = (
        *(precision[0].mean(axis=0), precision[0, 0], precision[0, 5]),
        *(precision[1].mean(axis=0), precision[2].mean(axis=0)),
        *(recall[0].mean(axis=0), recall[0, 0], recall[0, 5]),
        *(recall[1].mean(axis=0), recall[2].mean(axis=0)),
    )
    return {name: 100.0 * value for name, value in zip(METRICS, numbers, strict=True)}


@dataclass(frozen=True, eq=False)
class _Curve:
    """The places at which a precision-recall curve can rise, for one threshold.

    Attributes:
        image: (E,) image row of each event.
        hit: (E,) 1.0 for hits.
        extra: (E,) 1.0 for detections that count at this threshold but not at the strictest,
            -1.0 the other way round.
        before: (E,) detections up to each event that count at the strictest threshold.
    """

    image: Ints
    hit: Floats
    extra: Floats
    before: Ints


def _curves(matches: Matches, area: int) -> Iterator[_Curve]:
    """One curve a threshold.

    Which detections count differs little between thresholds, so that one running sum of those
    that count at the strictest serves all, corrected where a threshold differs.
    """
    hit, counts = matches.hit[area], matches.hit[area] | matches.miss[area]
    strictest = np.cumsum(counts[-1])
    for threshold in range(len(THRESHOLDS)):
        extra = counts[threshold].astype(np.float64) - counts[-1]
        events = np.flatnonzero(hit[threshold] | (extra != 0))
        yield _Curve(
            matches.image[events],
            hit[threshold, events].astype(np.float64),
            extra[events],
            strictest[events],
        )


def _averages(
    matches: Matches, area: int, curves: list[_Curve], weights: Floats
) -> tuple[Floats, Floats]:
    """Mean precision over the recall points and final recall, (T, B) each."""
    persons = matches.persons[area] @ weights
    none = persons == 0
    total = np.where(none, 1.0, persons)
    strictest = matches.hit[area, -1] | matches.miss[area, -1]
    last = max((int(curve.before[-1]) for curve in curves if len(curve.before)), default=0)
    rows = np.flatnonzero(strictest)[:last]
    counted = np.zeros((last + 1, weights.shape[1]))
    np.cumsum(weights[matches.image[rows]], axis=0, out=counted[1:])
    precision = np.zeros((len(curves), weights.shape[1]))
    recall = np.zeros_like(precision)
    for threshold, curve in enumerate(curves):
        if len(curve.image):
            found = _average(curve, counted, weights, total)
            precision[threshold], recall[threshold] = found
    precision[:, none], recall[:, none] = np.nan, np.nan
    return precision, recall


def _average(
    curve: _Curve, counted: Floats, weights: Floats, persons: Floats
) -> tuple[Floats, Floats]:
    """The same of one curve with events, (B,) each.

    A recall point reads the best precision from the first event that reaches it, so each event
    counts as often as there are points between the recall before it and its own.
    """
    weight = weights[curve.image]
    hits = np.cumsum(weight * curve.hit[:, None], axis=0)
    looked_at = counted[curve.before]
    if curve.extra.any():
        looked_at = looked_at + np.cumsum(weight * curve.extra[:, None], axis=0)
    exact = hits / (looked_at + np.spacing(1))
    envelope = np.maximum.accumulate(exact[::-1], axis=0)[::-1]
    reached = hits / persons
    points = _points_up_to(reached)
    passed = np.diff(points, axis=0, prepend=0.0)
    return (envelope * passed).sum(axis=0) / len(RECALLS), reached[-1]


def _points_up_to(recall: Floats) -> Floats:
    """How many of ``RECALLS`` are at or below each recall, exactly."""
    step = len(RECALLS) - 1
    # A guess that is never too low; a hundredth and the recall it equals may round differently.
    guess = np.floor(recall * step + 1e-9)
    guess -= RECALLS[guess.astype(np.int64)] > recall
    return guess + 1.0
