"""Boxes -> ``Persons``: ground truth with each zoo's sanitising, or a detector's file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posebench.datasets.detections import Detections
from posebench.datasets.detections import read_detections as read_detections
from posebench.keypoints import selection
from posebench.types.arrays import Dataset, Floats, Ints, Persons
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError

Rows = NDArray[np.bool_]

# MPII's annotated scale is in units of this many px; what HRNet does to centre and scale.
UNIT = 200.0
MPII_DOWN = 15.0
MPII_GROWTH = 1.25
# gluon-cv's alpha_pose: from this width on the first of the rates, below it the second.
ALPHA_POSE_WIDE = 100
ALPHA_POSE_RATES = (0.2, 0.3)
ALPHA_POSE_LEAST = 5


def centre_and_scale(
    box: Floats, spec: InputSpec
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Turn boxes into the references' padded centre and scale.

    The box grows to the input's aspect ratio around its centre, then by ``spec.padding``; a
    centre x of exactly -1 is not padded.

    Args:
        box: (N, 4) float64 x, y, width, height, px.
        spec: Of the weights.

    Returns:
        Centre (N, 2) float32 px and scale (N, 2) float32, units of ``spec.pixel_std`` px.

    Source: deep-high-resolution-net.pytorch lib/dataset/coco.py; the same in AlphaPose,
        GluonCV, FPD, LPN and PaddleDetection. In single precision: mmpose
        mmpose/structures/bbox/transforms.py.
    """
    if spec.box_precision == "single":
        return _in_single(box, spec)
    x, y, width, height = np.asarray(box, np.float64).T
    aspect = spec.size[1] / spec.size[0]
    centre = np.stack([x + width * 0.5, y + height * 0.5], axis=1).astype(np.float32)
    wide, tall = width > aspect * height, width < aspect * height
    full_height = np.where(wide, width / aspect, height)
    full_width = np.where(tall, height * aspect, width)
    scale = np.stack([full_width / spec.pixel_std, full_height / spec.pixel_std], axis=1)
    scale = scale.astype(np.float32)
    padded = scale * np.float32(spec.padding)
    return centre, np.where(centre[:, :1] != -1, padded, scale)


def _in_single(box: Floats, spec: InputSpec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """``centre_and_scale`` from float32 corners, padded before the box grows."""
    first = box[:, :2].astype(np.float32)
    last = first + box[:, 2:].astype(np.float32)
    centre = (last + first) * np.float32(0.5)
    width, height = ((last - first) * np.float32(spec.padding)).T
    aspect = np.float32(spec.size[1] / spec.size[0])
    wide = width > height * aspect
    full = (np.where(wide, width, height * aspect), np.where(wide, width / aspect, height))
    return centre, np.stack(full, axis=1) / np.float32(spec.pixel_std)


def clip_before_width(box: Floats, width: Ints, height: Ints) -> tuple[Floats, Rows]:
    """Clip the corner to the image first, then take a pixel off width and height.

    Args:
        box: (N, 4) x, y, width, height, px.
        width: (N,) of each box's image, px.
        height: (N,).

    Returns:
        Boxes (N, 4) and which of them are still boxes.

    Source: deep-high-resolution-net.pytorch lib/dataset/coco.py; PaddleDetection
        ppdet/data/source/keypoint_coco.py.
    """
    x1, y1 = np.maximum(0, box[:, 0]), np.maximum(0, box[:, 1])
    x2 = np.minimum(width - 1, x1 + np.maximum(0, box[:, 2] - 1))
    y2 = np.minimum(height - 1, y1 + np.maximum(0, box[:, 3] - 1))
    return np.stack([x1, y1, x2 - x1, y2 - y1], axis=1), (x2 >= x1) & (y2 >= y1)


def clip_after_width(box: Floats, width: Ints, height: Ints) -> tuple[Floats, Rows]:
    """Take the pixel off first, then clip both corners to the image.

    Arguments and return value as ``clip_before_width``; boxes must keep some width and height.

    Source: AlphaPose alphapose/utils/bbox.py; gluon-cv gluoncv/utils/bbox.py.
    """
    x1, y1 = np.clip(box[:, 0], 0, width - 1), np.clip(box[:, 1], 0, height - 1)
    x2 = np.clip(box[:, 0] + np.maximum(box[:, 2] - 1, 0), 0, width - 1)
    y2 = np.clip(box[:, 1] + np.maximum(box[:, 3] - 1, 0), 0, height - 1)
    return np.stack([x1, y1, x2 - x1, y2 - y1], axis=1), (x2 > x1) & (y2 > y1)


def _as_is(box: Floats, width: Ints, height: Ints) -> tuple[Floats, Rows]:
    return box, (box[:, 2] > 0) & (box[:, 3] > 0)


Clip = Callable[[Floats, Ints, Ints], tuple[Floats, Rows]]


@dataclass(frozen=True)
class Cleaning:
    """Which annotated persons an evaluation with ground-truth boxes crops, and where.

    Attributes:
        clip: Cleans boxes and says which are still boxes.
        area: Whether the annotation's own area must be positive.
        labelled: A person needs any keypoint whose visibility is above 0 and at least this; None
            asks for any keypoint number above 0.
        body: Whether one of COCO's 17 body joints must be labelled (what ``num_keypoints`` counts
            in Halpe and COCO-WholeBody, which AlphaPose tests there).
    """

    clip: Clip
    area: bool = True
    labelled: float | None = None
    body: bool = False

    def keeps(self, dataset: Dataset) -> Rows:
        """Return which persons are worth a box, whatever the box: (G,) bool."""
        truth = dataset.truth
        keep = ~truth.crowd & (truth.keypoints.max(axis=(1, 2), initial=0) > 0)
        visible = truth.keypoints[:, :, 2]
        if self.area:
            keep &= truth.area > 0
        if self.labelled is not None:
            keep &= ((visible > 0) & (visible >= self.labelled)).any(axis=1)
        body = selection(dataset.keypoint_set, "coco_17") if self.body else None
        if body is not None:
            keep &= (visible[:, list(body)] > 0).any(axis=1)
        return keep


# Sources: deep-high-resolution-net.pytorch lib/dataset/coco.py; gluon-cv
# gluoncv/data/mscoco/keypoints.py and AlphaPose alphapose/datasets/mscoco.py; AlphaPose
# alphapose/datasets/halpe_136.py and coco_wholebody.py, which trust a fractional visibility from
# 0.35 on and look at the box, not at the annotated area.
SANITISERS = {
    "clip_before_width": Cleaning(clip_before_width),
    "clip_after_width": Cleaning(clip_after_width, labelled=0.0),
    "clip_after_width_visible": Cleaning(clip_after_width, area=False, labelled=0.35, body=True),
    "none": Cleaning(_as_is),
}

# What gluon-cv crops in an image without persons: corners (-1, -1) and (0, 0).
DUMMY_BOX = (-1.0, -1.0, 1.0, 1.0)


def ground_truth_persons(
    dataset: Dataset, spec: InputSpec, sanitise: str, *, dummy: bool = False
) -> Persons:
    """Return the annotated persons an evaluation with ground-truth boxes estimates.

    Crowds, persons without labelled keypoints and boxes that vanish are left out.

    Args:
        dataset: With annotations.
        spec: Of the weights.
        sanitise: Name in ``SANITISERS``.
        dummy: Estimate a box at the image's origin where an image has nobody left; its person
            id is -1 minus the image's row (gluon-cv's alpha_pose evaluation, which keeps such
            images: gluoncv/data/mscoco/keypoints.py with ``skip_empty=False``).
    """
    cleaning = SANITISERS[sanitise]
    truth = dataset.truth
    index = image_rows(dataset, truth.image_id)
    width, height = dataset.images.width[index], dataset.images.height[index]
    box, usable = cleaning.clip(truth.box, width, height)
    keep = usable & cleaning.keeps(dataset)
    index, box, person_id = index[keep], box[keep], truth.id[keep]
    if dummy:
        empty = np.setdiff1d(np.arange(len(dataset.images)), index)
        index = np.concatenate([index, empty])
        box = np.concatenate([box, np.tile(DUMMY_BOX, (len(empty), 1))])
        person_id = np.concatenate([person_id, -empty - 1])
    order = np.argsort(index, kind="stable")
    return _persons(dataset, spec, index[order], person_id[order], box[order], None, "gt")


def annotation_persons(dataset: Dataset, spec: InputSpec) -> Persons:
    """Return MPII's persons where their annotated centre and scale put them.

    The centre moves down by 15 px a unit of scale and the scale grows by a quarter, both only
    where the centre's x is not -1; then the centre counts from 0.  Held as float32 at
    every step, as Paddle does, whose DARK can turn the last bit into a px; HRNet holds doubles.

    Args:
        dataset: Whose ground truth has centre and scale.
        spec: Of the weights; its padding is not used.

    Returns:
        Rows in the order of the annotations; boxes are the squares before the quarter was added.

    Raises:
        UserError: The dataset annotates boxes only.

    Source: deep-high-resolution-net.pytorch lib/dataset/mpii.py; PaddleDetection
        ppdet/data/source/keypoint_coco.py.
    """
    truth = dataset.truth
    if truth.centre is None or truth.scale is None:
        raise UserError(
            f"{dataset.annotations_file} annotates boxes, not the centre and scale of a person.",
            "Take --boxes gt, or evaluate on MPII.",
        )
    known = truth.centre[:, 0] != -1
    centre, scale = np.array(truth.centre, np.float32), truth.scale.astype(np.float32)
    down = np.where(known, MPII_DOWN * scale.astype(np.float64), 0.0)
    centre[:, 1] = centre[:, 1].astype(np.float64) + down
    centre -= np.float32(1.0)
    grown = np.where(known, np.float32(MPII_GROWTH) * scale, scale)
    grown = grown * np.float32(UNIT / spec.pixel_std)
    side = UNIT * truth.scale[:, None]
    return Persons(
        image_index=image_rows(dataset, truth.image_id),
        person_id=truth.id,
        box=np.concatenate([centre - side / 2, side, side], axis=1),
        centre=centre,
        scale=np.repeat(grown[:, None], 2, axis=1),
        score=np.ones(len(truth)),
        source="annotation",
    )


def alpha_pose_box(box: Floats, width: Ints, height: Ints) -> Ints:
    """Grow boxes as gluon-cv's alpha_pose does, to whole pixels.

    A box wider than 100 px grows by 20 % in all, another by 30 %; it stays in the image and at
    least 5 px wide and high where the image allows.

    Args:
        box: (N, 4) x, y, width, height, px.
        width: (N,) of each box's image, px.
        height: (N,).

    Returns:
        (N, 4) int64 left, top, right, bottom; the last column and row do not belong to the crop.

    Source: gluon-cv gluoncv/data/transforms/pose.py (``alpha_pose_image_cropper``): corners in
        float32, everything after in doubles.
    """
    size = np.stack([width, height], axis=1)
    first, extent = np.asarray(box, np.float64)[:, :2], np.asarray(box, np.float64)[:, 2:]
    corners: Floats = np.stack([first, first + extent], axis=1).astype(np.float32)
    corners = np.clip(corners, np.float32(0), (size - 1).astype(np.float32)[:, None])
    grown = corners[:, 1] - corners[:, 0]
    rate = np.where(grown[:, :1] > ALPHA_POSE_WIDE, ALPHA_POSE_RATES[0], ALPHA_POSE_RATES[1])
    margin = grown.astype(np.float64) * rate / 2
    low, high = corners[:, 0].astype(np.float64) - margin, corners[:, 1] + margin
    start = np.maximum(0, low).astype(np.int64)
    end = np.minimum(size - 1, np.maximum(start + ALPHA_POSE_LEAST, high)).astype(np.int64)
    return np.concatenate([start, end], axis=1)


def _persons(
    dataset: Dataset,
    spec: InputSpec,
    index: Ints,
    person_id: Ints,
    box: Floats,
    score: Floats | None,
    source: str,
) -> Persons:
    """Persons of cleaned boxes, with the centre and scale that the crop of the weights needs."""
    if spec.crop == "alpha_pose_box":
        images = dataset.images
        corners = alpha_pose_box(box, images.width[index], images.height[index])
        first, extent = corners[:, :2], corners[:, 2:] - corners[:, :2]
        box = np.concatenate([first, extent], axis=1, dtype=np.float64)
        centre = (first + extent / 2).astype(np.float32)
        scale = (extent / spec.pixel_std).astype(np.float32)
    else:
        centre, scale = centre_and_scale(box, spec)
    ones = np.ones(len(person_id))
    return Persons(index, person_id, box, centre, scale, ones if score is None else score, source)


def detector_persons(
    detections: Detections, dataset: Dataset, spec: InputSpec, sanitise: str, threshold: float
) -> Persons:
    """Return the detected persons to estimate.

    Boxes below ``threshold`` are dropped, and those that ``sanitise`` leaves nothing of: without
    sanitising, boxes whose width or height is not positive.
    """
    index = detections.image_index
    images = dataset.images
    clip = SANITISERS[sanitise].clip
    box, usable = clip(detections.box, images.width[index], images.height[index])
    keep = usable & (detections.score >= threshold)
    return _persons(
        dataset,
        spec,
        index[keep],
        detections.position[keep],
        box[keep],
        detections.score[keep],
        detections.name,
    )


def image_rows(dataset: Dataset, image_ids: Ints) -> Any:
    """Return the row of each image id in ``dataset.images``: (N,) int64."""
    order = np.argsort(dataset.images.id, kind="stable")
    return order[np.searchsorted(dataset.images.id, image_ids, sorter=order)]
