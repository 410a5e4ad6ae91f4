"""``compare``: is one set of predictions better than another, or were the images kinder?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from posebench.analysis.score import LoadedPredictions, described, load_predictions_of, on_images
from posebench.datasets.sample import on_rows
from posebench.evaluation.evaluate import finite
from posebench.scoring.bootstrap import RESAMPLES, bootstrap_counts
from posebench.scoring.paired import differences
from posebench.scoring.scorers import Measured, measure, with_intervals_of
from posebench.types.arrays import Dataset
from posebench.types.comparison import Comparison, Scored
from posebench.types.errors import UserError
from posebench.types.request import ScoringContext


def compare(
    first: Path,
    second: Path,
    context: ScoringContext,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    force: bool = False,
    metrics: Sequence[str] = (),
) -> Comparison:
    """Compare two files of predictions on the same images, draw by draw.

    Both are scored by one scorer: the one asked for, else the first's.

    Args:
        first: A record with saved predictions, a columnar file or a results file.
        second: Likewise.
        context: Data and choices, for both.
        resamples: Draws of images, the same for both.
        seed: Of the draws.
        force: Compare even what was measured on other images or other boxes; then only the
            images that both were measured on count.
        metrics: Only these, in their order; if empty all, those of the whole body first.

    Raises:
        UserError: They were measured on other data or other boxes, or a file does not fit.
    """
    if resamples < 1:
        raise UserError(f"--resamples {resamples} is not a number of draws.", "Give 1 or more.")
    sides = load_predictions_of(first, context), load_predictions_of(second, context)
    apart = _obstacles(*sides)
    if apart and not force:
        raise UserError(
            f"{first.name} and {second.name} cannot be compared: {'; '.join(apart)}.",
            "Measure both alike, or add --force to compare them all the same.",
        )
    one, other = _on_common_images(*sides)
    scorer = one.protocol.scorer
    other = replace(other, protocol=other.protocol.with_choices(scorer=scorer))
    weights = bootstrap_counts(len(one.dataset.images), resamples, seed)
    before, after = (measure(s.results, s.dataset, s.protocol, weights) for s in (one, other))
    every = {each.metric: each for each in differences(before, after)}
    strange = [name for name in metrics if name not in every]
    if strange:
        raise UserError(
            f"{scorer} gives no interval for {strange[0]}.", f"It does for {', '.join(every)}."
        )
    return Comparison(
        first=_scored(one, before),
        second=_scored(other, after),
        differences=tuple(every[name] for name in metrics or _whole_first(every)),
        resamples=resamples,
        seed=seed,
        forced=tuple(apart),
    )


def _whole_first(metrics: Iterable[str]) -> list[str]:
    """The scorer's order, but the last part, which is the whole of the body, before the others."""
    names = list(metrics)
    whole = names[-1].rpartition("/")[0] if names else ""
    return sorted(names, key=lambda name: name.rpartition("/")[0] != whole)


def _obstacles(one: LoadedPredictions, other: LoadedPredictions) -> list[str]:
    """Why two measurements do not belong side by side, in words."""
    found = []
    if one.dataset.id != other.dataset.id:
        found.append(f"the first is on {one.dataset.id}, the second on {other.dataset.id}")
    elif _annotations(one) != _annotations(other):
        found.append("their annotation files differ (SHA-256)")
    elif not np.array_equal(np.sort(one.dataset.images.id), np.sort(other.dataset.images.id)):
        numbers = (len(side.dataset.images) for side in (one, other))
        found.append("the first is on {} images, the second on {}".format(*numbers))
    boxes = one.boxes, other.boxes
    if None not in boxes and _boxes(one) != _boxes(other):
        found.append(
            "their boxes differ ({} and {})".format(*boxes)
            if boxes[0] != boxes[1]
            else "their box files differ (SHA-256)"
        )
    return found


def _annotations(side: LoadedPredictions) -> str:
    """Digest of the annotations a file was measured on, or is measured on here."""
    known = side.record.dataset if side.record else None
    return known.annotations_sha256 if known else side.dataset.annotations_sha256


def _boxes(side: LoadedPredictions) -> tuple[str | None, str | None]:
    known = side.record.boxes if side.record else None
    return side.boxes, known.sha256 if known else None


def _on_common_images(
    one: LoadedPredictions, other: LoadedPredictions
) -> tuple[LoadedPredictions, LoadedPredictions]:
    """Both on the images that both were measured on, with the first's annotations."""
    shared = np.isin(one.dataset.images.id, other.dataset.images.id)
    dataset = one.dataset if shared.all() else on_rows(one.dataset, np.flatnonzero(shared))
    smaller = min(len(one.dataset.images), len(other.dataset.images))
    if shared.sum() < smaller or one.dataset.keypoint_set != other.dataset.keypoint_set:
        raise UserError(
            f"{one.name} and {other.name} do not speak of the same images and joints.",
            "Compare predictions for one dataset.",
        )
    return _placed(one, dataset), _placed(other, dataset)


def _placed(side: LoadedPredictions, dataset: Dataset) -> LoadedPredictions:
    return replace(side, dataset=dataset, results=on_images(side.results, dataset))


def _scored(side: LoadedPredictions, found: Measured) -> Scored:
    scores = with_intervals_of(found)
    return Scored(
        scores=finite(scores),
        intervals=scores.intervals,
        scorer=found.scorer,
        **described(side, found.persons, found.images),
    )
