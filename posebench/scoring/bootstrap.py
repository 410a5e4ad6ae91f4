"""How far AP could have come out otherwise: resampling images with replacement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posebench.scoring.coco import AREAS, METRICS, THRESHOLDS, Evaluation

RECALLS = np.linspace(0.0, 1.0, 101)
RESAMPLES = 1000

Weights = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Matches:
    """Matched detections of one area range, sorted by falling score.

    Attributes:
        image: (D,) image row of each detection.
        hit: (T, D) bool, matched at that OKS threshold to a person that counts.
        miss: (T, D) bool, unmatched and not ignored.
        persons: (I,) persons that count in each image.
    """

    image: NDArray[np.int64]
    hit: NDArray[np.bool_]
    miss: NDArray[np.bool_]
    persons: NDArray[np.int64]


def matches(engine: Any) -> list[Matches]:
    """Take the matches of a pycocotools ``COCOeval`` after ``evaluate``: one per area range."""
    images = len(engine.params.imgIds)
    blocks = [engine.evalImgs[a * images : (a + 1) * images] for a in range(len(AREAS))]
    return [_area_matches(block, engine.params.maxDets[-1]) for block in blocks]


def _area_matches(block: list[dict[str, Any] | None], max_detections: int) -> Matches:
    persons = np.zeros(len(block), np.int64)
    image: list[Any] = [np.zeros(0, np.int64)]
    score: list[Any] = [np.zeros(0)]
    matched: list[Any] = [np.zeros((len(THRESHOLDS), 0), np.bool_)]
    ignored: list[Any] = [np.zeros((len(THRESHOLDS), 0), np.bool_)]
    for row, found in enumerate(block):
        if found is None:
            continue
        persons[row] = int((np.asarray(found["gtIgnore"]) == 0).sum())
        score.append(np.asarray(found["dtScores"][:max_detections]))
        image.append(np.full(len(score[-1]), row))
        matched.append(np.asarray(found["dtMatches"])[:, :max_detections] != 0)
        ignored.append(np.asarray(found["dtIgnore"])[:, :max_detections] != 0)
    order = np.argsort(-np.concatenate(score), kind="mergesort")
    hit = np.concatenate(matched, axis=1)[:, order]
    counts = ~np.concatenate(ignored, axis=1)[:, order]
    return Matches(np.concatenate(image)[order], hit & counts, ~hit & counts, persons)


def precision_recall(found: Matches, weights: Weights) -> tuple[Any, Any]:
    """Interpolated precision and final recall with each image counted ``weights`` times.

    With all weights 1 this is COCOeval's own accumulation.

    Args:
        found: Matches of one area range.
        weights: (I,) multiplicity of each image.

    Returns:
        Precision (T, 101) at the recall points and recall (T,); NaN where nobody counts.
    """
    persons = float((found.persons * weights).sum())
    if persons == 0:
        return np.full((len(THRESHOLDS), len(RECALLS)), np.nan), np.full(len(THRESHOLDS), np.nan)
    weight = weights[found.image]
    hits = np.cumsum(found.hit * weight, axis=1)
    misses = np.cumsum(found.miss * weight, axis=1)
    recall = hits / persons
    precision = hits / (hits + misses + np.spacing(1))
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    padded = np.concatenate([envelope, np.zeros((len(THRESHOLDS), 1))], axis=1)
    points = np.stack([np.searchsorted(row, RECALLS, side="left") for row in recall])
    final = recall[:, -1] if recall.shape[1] else np.zeros(len(THRESHOLDS))
    return np.take_along_axis(padded, points, axis=1), final


def metrics(areas: list[Matches], weights: Weights) -> NDArray[np.floating[Any]]:
    """The ten numbers of ``METRICS``, percent, for weighted images."""
    (precision, recall), medium, large = (precision_recall(area, weights) for area in areas)
    values = [
        precision.mean(),
        precision[0].mean(),
        precision[5].mean(),
        medium[0].mean(),
        large[0].mean(),
        recall.mean(),
        recall[0],
        recall[5],
        medium[1].mean(),
        large[1].mean(),
    ]
    return 100.0 * np.array(values)


def intervals(
    evaluation: Evaluation, *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap over images.

    Persons of one image are not independent, so whole images are drawn.

    Args:
        evaluation: From ``evaluate_keypoints``.
        resamples: Number of draws.
        seed: Of the draws.
        level: Share of the draws inside the interval.

    Returns:
        Metric -> (low, high), percent; metrics without any person are left out.
    """
    areas = matches(evaluation.engine)
    count = len(areas[0].persons)
    if count == 0:
        return {}
    generator = np.random.default_rng(seed)
    share = np.full(count, 1.0 / count)
    draws = np.stack(
        [
            metrics(areas, generator.multinomial(count, share).astype(float))
            for _ in range(resamples)
        ]
    )
    tails = [50.0 * (1.0 - level), 50.0 * (1.0 + level)]
    found = {}
    for name, column in zip(METRICS, draws.T, strict=True):
        usable = column[np.isfinite(column)]
        if len(usable) and np.isfinite(evaluation.values[name]):
            low, high = np.percentile(usable, tails)
            found[name] = (float(low), float(high))
    return found
