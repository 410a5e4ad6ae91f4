"""The evaluators by name: results and ground truth -> scores."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from posebench.keypoints import keypoint_set
from posebench.scoring import pckh
from posebench.scoring.bootstrap import multiplicities, percentiles
from posebench.scoring.bootstrap import resampled as resampled_ap
from posebench.scoring.dialects import DIALECTS
from posebench.scoring.keypoint_ap import evaluate_parts, mean_similarities
from posebench.types.arrays import Dataset, Floats, Results, Scores
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol

# Raised whenever a scorer's numbers can change.
VERSION = 1


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
    if protocol.scorer not in SCORERS:
        raise UserError(
            f"Unknown scorer {protocol.scorer!r}.", f"Known scorers: {', '.join(SCORERS)}."
        )
    check(results, dataset)
    return SCORERS[protocol.scorer](results, dataset, protocol, with_intervals)


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
    name: str, results: Results, dataset: Dataset, protocol: Protocol, with_intervals: bool
) -> Scores:
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
    weights = _draws(dataset, with_intervals)
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
    return Scores(
        values=values,
        intervals=percentiles(draws, values),
        scorer=f"{name} {VERSION} (rules of {dialect.follows})",
        persons=int((~whole.people.ignored).sum()),
    )


def _by_pckh(
    results: Results, dataset: Dataset, protocol: Protocol, with_intervals: bool
) -> Scores:
    counts = pckh.count(results, dataset)
    values = pckh.measure(counts)
    weights = _draws(dataset, with_intervals)
    draws = {} if weights is None else pckh.resampled(counts, weights)
    return Scores(
        values=values,
        intervals=percentiles(draws, values),
        scorer=f"mpii_pckh {VERSION} (rules of HRNet)",
        persons=pckh.persons(dataset),
    )


def _draws(dataset: Dataset, with_intervals: bool) -> Floats | None:
    if not with_intervals or not len(dataset.images):
        return None
    return multiplicities(len(dataset.images))


Scorer = Callable[[Results, Dataset, Protocol, bool], Scores]
SCORERS: dict[str, Scorer] = {name: partial(_by_oks, name) for name in DIALECTS}
SCORERS["mpii_pckh"] = _by_pckh
