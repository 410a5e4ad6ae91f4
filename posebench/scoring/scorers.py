"""The evaluators by name: results and ground truth -> scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from posebench.keypoints import keypoint_set
from posebench.plugins import POSEBENCH
from posebench.scoring import crowd, pckh
from posebench.scoring.bootstrap import bootstrap_counts, confidence_intervals
from posebench.scoring.bootstrap import resampled as resampled_ap
from posebench.scoring.evaluator_rules import CROWD_DIALECT, EVALUATOR_RULES
from posebench.scoring.keypoint_ap import evaluate_parts, mean_similarities
from posebench.scoring.plugin_tables import SCORERS
from posebench.types.arrays import Dataset, Floats, Results, Scores
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol

# Raised whenever a scorer's numbers can change.
VERSION = 1


@dataclass(frozen=True, eq=False)
class Measured:
    """What a scorer gives: scores, and what they would have been for other images.

    Attributes:
        values: Metric -> value, percent; NaN where nothing was annotated. The first one is the
            metric that tables show where no claim names another.
        draws: Metric -> (B,) values of the draws, for metrics that shall have an interval; empty
            if none were asked for.
        scorer: Name and version of the rules.
        persons: Annotated persons that count.
        images: Images with such a person.
    """

    values: Mapping[str, float]
    draws: Mapping[str, Floats]
    scorer: str
    persons: int
    images: int


def score(
    results: Results, dataset: Dataset, protocol: Protocol, *, with_intervals: bool = True
) -> Scores:
    """Score selected persons with the protocol's scorer.

    Metrics of parts are ``body/AP`` and so on, in percent like all others.  ``similarity/<joint>``
    is a joint's own similarity in the persons that were found, see ``mean_similarities``.

    Args:
        results: Persons kept by suppression are scored; all others are left aside.
        dataset: Ground truth of the same keypoint set.
        protocol: Its scorer, number of detections and area of a result are used.
        with_intervals: Resample images for a 95 % interval of every AP, AR and PCKh.

    Raises:
        UserError: A kept row has a number that is not finite, or an image that is not in the
            dataset; or the scorer does not score this keypoint set.
    """
    weights = None
    if with_intervals and len(dataset.images):
        weights = bootstrap_counts(len(dataset.images))
    found = measure(results, dataset, protocol, weights)
    return with_intervals_of(found)


def with_intervals_of(found: Measured) -> Scores:
    """Return the scores of a measurement with the 95 % interval of every metric that has draws."""
    return Scores(
        values=dict(found.values),
        intervals=confidence_intervals(found.draws, found.values),
        scorer=found.scorer,
        persons=found.persons,
        images=found.images,
        samples=found.draws,
    )


def measure(
    results: Results, dataset: Dataset, protocol: Protocol, weights: Floats | None
) -> Measured:
    """Score selected persons, for all images and for draws of them; see ``score``.

    Args:
        results: Persons kept by suppression are scored.
        dataset: Ground truth of the same keypoint set.
        protocol: As ``score`` uses it.
        weights: (I, B) how often each image, by rising id, is in each draw; None for no draws.

    Raises:
        UserError: As ``score``.
    """
    scorer, owner = SCORERS[protocol.scorer], SCORERS.owner(protocol.scorer)
    check(results, dataset)
    found = scorer(results, dataset, protocol, weights)
    if owner == POSEBENCH:
        return found
    wrong = _wrong(found, weights)
    if wrong:
        raise UserError(
            f"The scorer {protocol.scorer!r} of {owner} gave {wrong}.",
            "Update the package that brings it.",
        )
    return replace(found, scorer=f"{found.scorer}, {owner}")


def _wrong(found: Any, weights: Floats | None) -> str:
    """Say what is wrong with what a scorer of another package gave; empty if nothing is."""
    if not isinstance(found, Measured):
        return f"an object of type {type(found).__name__}, not Measured"
    for name, value in found.values.items():
        if not isinstance(name, str) or not isinstance(value, int | float | np.floating):
            return f"the metric {name!r} of type {type(value).__name__}, not a number"
    if not found.values:
        return "no metric"
    if weights is None:
        return "values for other images, which no one asked for" if found.draws else ""
    shape = (weights.shape[1],)
    for name, column in found.draws.items():
        if name not in found.values:
            return f"values of {name} for other images, and none for all"
        if np.shape(column) != shape:
            return f"values of {name} for other images of shape {np.shape(column)}, not {shape}"
    return ""


def measured_ratios(
    counts: Mapping[str, tuple[Floats, Floats]],
    weights: Floats | None,
    *,
    scorer: str,
    persons: int,
    images: int,
) -> Measured:
    """Return metrics that are one count over another, each summed over images, in percent.

    That is what PCK and PCKh are; a scorer of another package can end with it.

    Args:
        counts: Metric -> (found, all), (I,) of each image by rising id.
        weights: (I, B) as a scorer gets it; None for no draws.
        scorer: Name and version of the rules.
        persons: Annotated persons that count.
        images: Images with such a person.

    Example:
        >>> counts = {"PCK": (np.array([1.0, 2.0]), np.array([2.0, 2.0]))}
        >>> measured_ratios(counts, None, scorer="pck 1", persons=2, images=2).values
        {'PCK': 75.0}
    """

    def percent(pair: tuple[Floats, Floats], often: Floats) -> Floats:
        found, whole = (column @ often for column in pair)
        nothing = np.full(len(whole), np.nan)
        return np.divide(100.0 * found, whole, out=nothing, where=whole > 0)

    draws = {}
    if weights is not None:
        draws = {name: percent(pair, weights) for name, pair in counts.items()}
    once = {name: percent(pair, np.ones((len(pair[0]), 1))) for name, pair in counts.items()}
    values = {name: float(value[0]) for name, value in once.items()}
    return Measured(values, draws, scorer, persons, images)


def check(results: Results, dataset: Dataset) -> None:
    """Refuse results that no evaluator can mean anything by.

    A reference evaluator takes a joint that is not a number for a perfect match.

    Raises:
        UserError: Names the first such row.
    """
    predictions = results.predictions
    if predictions.keypoint_set != dataset.keypoint_set:
        raise UserError(
            f"The results are {predictions.keypoint_set}, the annotations {dataset.keypoint_set}."
        )
    numbers = {
        "instance score": results.score,
        "joint score": predictions.joint_scores,
        "keypoint": predictions.keypoints,
    }
    for what, column in numbers.items():
        finite = np.isfinite(column).all(axis=tuple(range(1, column.ndim)))
        wrong = np.flatnonzero(results.kept & ~finite)
        if len(wrong):
            row = int(wrong[0])
            raise UserError(
                f"Row {row} of the results (image {predictions.image_id[row]}, person "
                f"{predictions.person_id[row]}) has a {what} that is not a finite number.",
                "Check the network's outputs, or leave such rows out.",
            )
    stray = np.flatnonzero(results.kept & ~np.isin(predictions.image_id, dataset.images.id))
    if len(stray):
        raise UserError(
            f"Row {stray[0]} of the results is in image {predictions.image_id[stray[0]]}, "
            f"which {dataset.annotations_file} does not have.",
            "Give the annotations that the predictions were made for.",
        )


def _by_oks(
    name: str, results: Results, dataset: Dataset, protocol: Protocol, weights: Floats | None
) -> Measured:
    rules = EVALUATOR_RULES[name]
    parts = evaluate_parts(
        results,
        dataset,
        rules,
        max_detections=protocol.max_detections,
        result_area=protocol.result_area,
    )
    values: dict[str, float] = {}
    draws: dict[str, Floats] = {}
    for part, evaluation in parts.items():
        prefix = f"{part}/" if part else ""
        values |= {prefix + metric: value for metric, value in evaluation.values.items()}
        if weights is not None:
            again = resampled_ap(evaluation.matches, weights)
            draws |= {prefix + metric: column for metric, column in again.items()}
    whole = parts[list(parts)[-1]]
    names = keypoint_set(dataset.keypoint_set).names
    for joint, value in zip(names, mean_similarities(whole), strict=True):
        values[f"similarity/{joint}"] = float(value)
    return Measured(
        values=values,
        draws=draws,
        scorer=f"{name} {VERSION} (rules of {rules.follows})",
        persons=int((~whole.arrays.ignored).sum()),
        images=len(np.unique(whole.arrays.truth_image[~whole.arrays.ignored])),
    )


def mpii_pckh(
    results: Results, dataset: Dataset, protocol: Protocol, weights: Floats | None
) -> Measured:
    """Score by PCKh, see ``posebench.scoring.pckh``; arguments as ``measure``."""
    counts = pckh.count(results, dataset)
    return Measured(
        values=pckh.measure(counts),
        draws={} if weights is None else pckh.resampled(counts, weights),
        scorer=f"mpii_pckh {VERSION} (rules of HRNet)",
        persons=pckh.persons(dataset),
        images=int((counts.labelled > 0).any(axis=1).sum()),
    )


def crowdpose_oks(
    results: Results, dataset: Dataset, protocol: Protocol, weights: Floats | None
) -> Measured:
    """Score by CrowdPose's rules, see ``posebench.scoring.crowd``; arguments as ``measure``."""
    values, draws, counted = crowd.measure(results, dataset, protocol, weights)
    follows = CROWD_DIALECT.follows
    scorer = f"crowdpose_oks {VERSION} (rules of {follows})"
    return Measured(values, draws, scorer, len(counted), len(np.unique(counted)))


coco_oks = partial(_by_oks, "coco_oks")
halpe_oks = partial(_by_oks, "halpe_oks")
wholebody_oks = partial(_by_oks, "wholebody_oks")
xtcoco_oks = partial(_by_oks, "xtcoco_oks")
