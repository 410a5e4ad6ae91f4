"""PCKh on MPII: joints within a share of the head's size, as HRNet and mmpose count them.

Source: deep-high-resolution-net.pytorch lib/dataset/mpii.py, mmpose
mmpose/evaluation/metrics/keypoint_2d_metrics.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from posebench.keypoints import keypoint_set
from posebench.scoring.oks import Bools
from posebench.types.arrays import Dataset, Floats, Ints, Results
from posebench.types.errors import UserError

# A head counts as this share of its box's diagonal (SC_BIAS).
HEAD_SHARE = 0.6
# Annotated positions count pixels from one, predictions from zero.
FIRST_PIXEL = np.float32(1.0)
MAIN = "PCKh@0.5"
# HRNet's table of thresholds starts at 0, so that the row it prints as "Mean@0.1" stands at 0.11;
# mmpose reads the row of 0.10.
THRESHOLDS = {MAIN: 0.5, "PCKh@0.11": 0.11, "PCKh@0.10": 0.1}
# Not in any mean.
LEFT_OUT = ("pelvis", "thorax")
# Means of left and right, whatever was labelled how often.
GROUPS = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")


@dataclass(frozen=True, eq=False)
class Counts:
    """Joints that were labelled and that were found, by image.

    Attributes:
        images: (I,) image ids, rising.
        labelled: (I, K) labelled joints.
        found: Metric of ``THRESHOLDS`` -> (I, K) joints within the threshold.
    """

    images: Ints
    labelled: Floats
    found: Mapping[str, Floats]


def count(results: Results, dataset: Dataset) -> Counts:
    """Count joints.

    Args:
        results: Kept rows are compared with the annotated person of the same id; joints of a
            person without a row are not found.
        dataset: MPII with head sizes.

    Raises:
        UserError: There are no head sizes, no MPII joints, or rows of nobody or of one person
            twice.
    """
    truth = dataset.truth
    if truth.head_size is None:
        raise UserError(
            "PCKh needs the size of each head, which the list of persons does not hold.",
            "Put HRNet's gt_valid.mat (mmpose: mpii_gt_val.mat) beside the annotation file.",
        )
    if dataset.keypoint_set != "mpii_16":
        raise UserError(
            f"PCKh is defined for mpii_16, not for {dataset.keypoint_set}.",
            "Take a protocol with --scorer coco_oks.",
        )
    labelled = truth.keypoints[:, :, 2] > 0
    distance = _distances(results, dataset, truth.head_size)
    images = np.sort(dataset.images.id)
    row = np.searchsorted(images, truth.image_id)

    def by_image(joints: Bools) -> Floats:
        table = np.zeros((len(images), joints.shape[1]))
        np.add.at(table, row, joints.astype(np.float64))
        return table

    near = {name: by_image((distance <= limit) & labelled) for name, limit in THRESHOLDS.items()}
    return Counts(images, by_image(labelled), near)


def _distances(results: Results, dataset: Dataset, head_size: Floats) -> Floats:
    """Distances (G, K) in heads; infinite where nothing was predicted."""
    truth, predictions = dataset.truth, results.predictions
    kept = np.flatnonzero(results.kept)
    ids, first = np.unique(predictions.person_id[kept], return_index=True)
    if len(ids) < len(kept):
        twice = int(np.delete(kept, first)[0])
        raise UserError(
            f"Row {twice} of the results is a second one of person {predictions.person_id[twice]}.",
            "PCKh takes one row for each annotated person.",
        )
    strangers = np.setdiff1d(ids, truth.id)
    if len(strangers):
        raise UserError(
            f"The results have a person {strangers[0]}, whom no one annotated.",
            "PCKh takes predictions for MPII's own centres and scales, by annotation id.",
        )
    distance = np.full(truth.keypoints.shape[:2], np.inf)
    if len(ids):
        order = np.argsort(truth.id)
        person = order[np.searchsorted(truth.id, ids, sorter=order)]
        position = predictions.keypoints[kept[first]] + FIRST_PIXEL
        apart = np.linalg.norm(position - truth.keypoints[person, :, :2], axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            # A head of no size finds nothing: its distances are infinite or undefined.
            distance[person] = apart / (head_size[person] * HEAD_SHARE)[:, None]
    return distance


def measure(counts: Counts) -> dict[str, float]:
    """Return every metric, percent; NaN where nothing is labelled.

    ``PCKh@0.5``, ``PCKh@0.11`` and ``PCKh@0.10`` are means over all joints but pelvis and thorax,
    each weighted by how often it is labelled; ``PCKh@0.5/<group>`` means of left and right;
    ``PCKh@0.5/<joint>`` single joints.
    """
    ones = np.ones((len(counts.images), 1))
    return {name: float(value[0]) for name, value in resampled(counts, ones).items()}


def resampled(counts: Counts, weights: Floats) -> dict[str, Floats]:
    """Return every metric for images counted several times.

    Args:
        counts: From ``count``.
        weights: (I, B) multiplicity of each image in each draw.

    Returns:
        Metric -> (B,) percent; NaN where a draw has no such joint.
    """
    names = keypoint_set("mpii_16").names
    labelled = counts.labelled.T @ weights
    in_mean = np.array([name not in LEFT_OUT for name in names])
    total = labelled[in_mean].sum(axis=0)
    share = {m: _percent(found.T @ weights, labelled) for m, found in counts.found.items()}
    values: dict[str, Floats] = {}
    for metric, percent in share.items():
        # A joint that is never labelled has no percentage, and no weight either.
        mean = np.nansum(percent[in_mean] * labelled[in_mean], axis=0)
        values[metric] = np.divide(mean, total, out=np.full(len(total), np.nan), where=total > 0)
    single = dict(zip(names, share[MAIN], strict=True))
    values |= {f"{MAIN}/{group}": _group(single, group) for group in GROUPS}
    return values | {f"{MAIN}/{name}": value for name, value in single.items()}


def _group(single: Mapping[str, Floats], group: str) -> Floats:
    if group in single:
        return single[group]
    mean: Floats = 0.5 * (single[f"left_{group}"] + single[f"right_{group}"])
    return mean


def _percent(found: Floats, labelled: Floats) -> Floats:
    nothing = np.full(labelled.shape, np.nan)
    return np.divide(100.0 * found, labelled, out=nothing, where=labelled > 0)


def persons(dataset: Dataset) -> int:
    """Annotated persons with labelled joints."""
    return int((dataset.truth.keypoints[:, :, 2] > 0).any(axis=1).sum())
