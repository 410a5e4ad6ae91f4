"""Object keypoint similarity of many pairs of persons at once.

OKS = mean over labelled joints of exp(-d^2 / (2 * area * (2 * sigma)^2)), d in px, area in px^2
(COCO keypoint evaluation).  Operations stand in the order and precision of the reference
evaluators, so that results are equal to the last bit: a similarity that lies exactly on a
threshold must fall on the same side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posebench.types.arrays import Floats, Ints

Bools = NDArray[np.bool_]

# Joints considered in one go: what fits a processor's own cache.
BLOCK = 1 << 16


@dataclass(frozen=True, eq=False)
class EvalArrays:
    """Annotated and found persons of one part of the body, ready to be matched.

    Detections are the rows of the results, of which some may be left aside.  Coordinates are image
    px; the dtype of ``truth_xy`` is the precision that distances are squared in, ``found_xy`` may
    be of a lower one.

    Attributes:
        images: Number of images; rows below count them by rising image id.
        truth_image: (G,) image row of each annotated person.
        truth_xy: (G, K, 2).
        labelled: (G, K) bool.
        truth_box: (G, 4) float64 x, y, width, height.
        truth_area: (G,) float64 px^2.
        ignored: (G,) bool, neither a hit nor a miss in the score.
        crowd: (G,) bool, may be matched many times.
        unmatchable: (G,) bool, a detection matched to it counts as unmatched.
        found_image: (N,) image row of each detection.
        found_xy: (N, K, 2).
        found_score: (N,) float64.
        found_area: (N,) float64 px^2.
        looked_at: (N,) bool, detections that take part.
        sigmas: (K,) float64.
    """

    images: int
    truth_image: Ints
    truth_xy: Floats
    labelled: Bools
    truth_box: Floats
    truth_area: Floats
    ignored: Bools
    crowd: Bools
    unmatchable: Bools
    found_image: Ints
    found_xy: Floats
    found_score: Floats
    found_area: Floats
    looked_at: Bools
    sigmas: Floats


def similarities(arrays: EvalArrays, truth: Ints, found: Ints) -> Floats:
    """Return the OKS of pairs.

    A person without labelled joints is compared by how far each joint lies outside the box of
    three times the annotated size around it.

    Args:
        arrays: The persons.
        truth: (P,) rows of annotated persons.
        found: (P,) rows of detections.

    Returns:
        (P,) float64.
    """
    values = np.empty(len(truth))
    # Persons with equally many labelled joints are summed together, over these joints alone:
    # a sum that also ran over zeros would round differently.
    labels = arrays.labelled.sum(axis=1)[truth]
    for count in np.unique(labels):
        width = int(count) or len(arrays.sigmas)
        for rows in _blocks(np.flatnonzero(labels == count), width):
            alike = joint_similarities(arrays, truth[rows], found[rows], int(count))
            values[rows] = alike.sum(axis=1) / width
    return values


def joint_similarities(arrays: EvalArrays, truth: Ints, found: Ints, count: int) -> Floats:
    """Return exp(-d^2 / (2 * area * (2 * sigma)^2)) of the joints of pairs.

    Args:
        arrays: The persons.
        truth: (P,) rows of annotated persons, each with ``count`` labelled joints.
        found: (P,) rows of detections.
        count: Labelled joints; 0 compares all joints with the enlarged box.

    Returns:
        (P, count) float64 in the joints' order, or (P, K) for no labelled joint.
    """
    xy = arrays.found_xy[found].astype(arrays.truth_xy.dtype, copy=False)
    if count:
        apart: Floats = xy - arrays.truth_xy[truth]
        apart *= apart
        squared: Floats = apart[..., 0] + apart[..., 1]
    else:
        squared = _outside(xy, arrays.truth_box[truth])
    error: Floats = squared / (arrays.sigmas * 2) ** 2
    if count:
        error = error[arrays.labelled[truth]].reshape(len(truth), count)
    # The sign and the factor of two round nothing: one division instead of three steps.
    error /= ((arrays.truth_area[truth] + np.spacing(1)) * -2)[:, None]
    return np.exp(error, out=error)


def _outside(xy: Floats, box: Floats) -> Floats:
    """Squared distance (P, K) float64 of joints from enlarged boxes; 0 inside."""
    squared: Floats = np.zeros(xy.shape[:2])
    for axis, (low, high) in enumerate(zip(*(end.T for end in enlarged(box)), strict=True)):
        joints = xy[..., axis]
        inside = np.maximum(joints, low.astype(xy.dtype)[:, None])
        apart = (joints - np.minimum(inside, high.astype(xy.dtype)[:, None])).astype(np.float64)
        squared += apart * apart
    return squared


def enlarged(box: Floats) -> tuple[Floats, Floats]:
    """Lower and upper corners (G, 2) of boxes with a box's size added on every side."""
    start, size = box[:, :2], box[:, 2:]
    return start - size, start + size * 2


def spans(xy: Floats) -> Floats:
    """Left, top, right and bottom of joints (N, K, 2), one or more: (4, N) of the same dtype."""
    ends = np.empty((4, len(xy)), xy.dtype)
    count, width = xy.shape[:2]
    step = max(1, BLOCK // width)
    for start in range(0, count, step):
        here = slice(start, start + step)
        # Joint by joint over many persons: numpy is slow at many short rows.
        flat = xy[here].reshape(-1, 2 * width)
        joints = np.ascontiguousarray(flat.T).reshape(width, 2, len(flat))
        joints.min(axis=0, out=ends[:2, here])
        joints.max(axis=0, out=ends[2:, here])
    return ends


def _blocks(rows: NDArray[Any], width: int) -> Iterator[Ints]:
    step = max(1, BLOCK // width)
    for start in range(0, len(rows), step):
        yield rows[start : start + step]
