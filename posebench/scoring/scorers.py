"""The evaluators by name: results and ground truth -> scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from posebench.keypoints import keypoint_set
from posebench.scoring import crowd, pckh
from posebench.scoring.bootstrap import multiplicities, percentiles
from posebench.scoring.bootstrap import resampled as resampled_ap
from posebench.scoring.evaluator_rules import CROWD_DIALECT, DIALECTS
from posebench.scoring.keypoint_ap import evaluate_parts, mean_similarities
from posebench.types.arrays import Dataset, Floats, Results, Scores
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol

# Raised whenever a scorer's numbers can change.
VERSION = 1


@dataclass(frozen=True, eq=False)
class Measured:
    """Scores, and what they would have been for other images.

    Attributes:
        values: Metric -> value, percent; NaN where nothing was annotated.
        draws: Metric -> (B,) values of the draws; empty if none were asked for.
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
        weights = multiplicities(len(dataset.images))
    found = measure(results, dataset, protocol, weights)
    return with_intervals_of(found)


def with_intervals_of(found: Measured) -> Scores:
    """Return the scores of a measurement with the 95 % interval of every metric that has draws."""
    return Scores(
        values=dict(found.values),
        intervals=percentiles(found.draws, found.values),
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
    if protocol.scorer not in SCORERS:
        raise UserError(
            f"Unknown scorer {protocol.scorer!r}.", f"Known scorers: {', '.join(SCORERS)}."
        )
    check(results, dataset)
    return SCORERS[protocol.scorer](results, dataset, protocol, weights)


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
    dialect = DIALECTS[name]
    parts = evaluate_parts(
        results,
        dataset,
        dialect,
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
        scorer=f"{name} {VERSION} (rules of {dialect.follows})",
        persons=int((~whole.people.ignored).sum()),
        images=len(np.unique(whole.people.truth_image[~whole.people.ignored])),
    )


def _by_pckh(
    results: Results, dataset: Dataset, protocol: Protocol, weights: Floats | None
) -> Measured:
    counts = pckh.count(results, dataset)
    return Measured(
        values=pckh.measure(counts),
        draws={} if weights is None else pckh.resampled(counts, weights),
        scorer=f"mpii_pckh {VERSION} (rules of HRNet)",
        persons=pckh.persons(dataset),
        images=int((counts.labelled > 0).any(axis=1).sum()),
    )


def _by_crowd(
    results: Results, dataset: Dataset, protocol: Protocol, weights: Floats | None
) -> Measured:
    values, draws, counted = crowd.measure(results, dataset, protocol, weights)
    follows = CROWD_DIALECT.follows
    scorer = f"crowdpose_oks {VERSION} (rules of {follows})"
    return Measured(values, draws, scorer, len(counted), len(np.unique(counted)))


Scorer = Callable[[Results, Dataset, Protocol, "Floats | None"], Measured]
SCORERS: dict[str, Scorer] = {name: partial(_by_oks, name) for name in DIALECTS}
SCORERS["mpii_pckh"] = _by_pckh
SCORERS["crowdpose_oks"] = _by_crowd
