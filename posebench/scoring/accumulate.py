"""Precision and recall over all images, and the ten numbers made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posebench.scoring.matching import AREAS, THRESHOLDS, Matches, match
from posebench.scoring.oks import Bools, EvalArrays
from posebench.types.arrays import Floats

METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
# pycocotools cocoeval.py, Params.setKpParams: recalls at which precision is read.
RECALLS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One part of the body, scored.

    ``T`` counts ``THRESHOLDS``, ``R`` ``RECALLS``, ``A`` ``AREAS``.

    Attributes:
        values: Metric of ``METRICS`` -> percent; NaN where nobody counts.
        precision: (T, R, A), highest at that recall or above; -1 where nobody counts.
        recall: (T, A); -1 where nobody counts.
        scores: (T, R, A) instance score at which the recall is reached; -1 where nobody counts.
        matches: Who was assigned to whom.
        arrays: What was compared.
    """

    values: dict[str, float]
    precision: Floats
    recall: Floats
    scores: Floats
    matches: Matches
    arrays: EvalArrays


def evaluate(arrays: EvalArrays, max_detections: int) -> Evaluation:
    """Match one part of everybody and accumulate.

    Args:
        arrays: The persons.
        max_detections: Highest-scored detections of an image that are considered.
    """
    matches = match(arrays, max_detections)
    precision, recall, scores = accumulate(matches)
    return Evaluation(summary(precision, recall), precision, recall, scores, matches, arrays)


def accumulate(matches: Matches) -> tuple[Floats, Floats, Floats]:
    """Return precision, recall and scores as ``Evaluation`` holds them."""
    shape = (len(THRESHOLDS), len(RECALLS), len(AREAS))
    precision, scores = np.full(shape, -1.0), np.full(shape, -1.0)
    recall = np.full((len(THRESHOLDS), len(AREAS)), -1.0)
    for area, persons in enumerate(matches.persons.sum(axis=1)):
        for threshold in range(len(THRESHOLDS) if persons else 0):
            hit, miss = matches.hit[area, threshold], matches.miss[area, threshold]
            curve = _curve(hit, miss, matches.score, int(persons))
            precision[threshold, :, area], scores[threshold, :, area] = curve[:2]
            recall[threshold, area] = curve[2]
    return precision, recall, scores


def _curve(hit: Bools, miss: Bools, score: Floats, persons: int) -> tuple[Floats, Floats, float]:
    """Precision and score at every recall point, and the recall reached, of one threshold.

    Args:
        hit: (D,) by falling score.
        miss: (D,).
        score: (D,).
        persons: That count, 1 or more.
    """
    # Recall rises, and precision can only be highest, at a hit.
    at = np.flatnonzero(hit)
    hits = np.arange(1.0, len(at) + 1)
    misses = np.cumsum(miss)[at].astype(np.float64)
    reached = hits / persons
    exact = hits / (misses + hits + np.spacing(1))
    envelope = np.maximum.accumulate(exact[::-1])[::-1]
    points = np.searchsorted(reached, RECALLS, side="left")
    # A recall that is never reached reads the zero behind the last detection.
    first = score[:1] if len(score) else np.zeros(1)
    scores = np.append(score[at], 0.0)[points]
    # No recall at all is reached by the first detection, hit or not.
    scores[RECALLS <= 0] = first
    return np.append(envelope, 0.0)[points], scores, len(at) / persons


def summary(precision: Floats, recall: Floats) -> dict[str, float]:
    """Return the ten numbers, percent, of the arrays of ``Evaluation``."""
    parts = {"": slice(None), "50": slice(0, 1), "75": slice(5, 6)}
    values = {f"AP{name}": _mean(precision[part, :, 0]) for name, part in parts.items()}
    values |= {f"AR{name}": _mean(recall[part, 0]) for name, part in parts.items()}
    for area, letter in enumerate("ML", start=1):
        values |= {f"AP{letter}": _mean(precision[..., area])}
        values |= {f"AR{letter}": _mean(recall[..., area])}
    return {name: values[name] for name in METRICS}


def _mean(values: NDArray[np.floating[Any]]) -> float:
    """Percent, over what is not the -1 of "nobody there"."""
    valid = values[values > -1]
    return 100.0 * float(np.mean(valid)) if valid.size else float("nan")
