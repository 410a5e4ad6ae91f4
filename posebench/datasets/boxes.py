"""Boxes -> ``Persons``: ground truth with each zoo's sanitising, or a detector's file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posebench.datasets.coco import read_json
from posebench.types.arrays import Dataset, Floats, Ints, Persons
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError

Rows = NDArray[np.bool_]


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
        GluonCV, FPD, LPN and PaddleDetection.
    """
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


SANITISERS = {
    "clip_before_width": clip_before_width,
    "clip_after_width": clip_after_width,
    "none": _as_is,
}


def ground_truth_persons(dataset: Dataset, spec: InputSpec, sanitise: str) -> Persons:
    """Return the annotated persons an evaluation with ground-truth boxes estimates.

    Crowds, persons without any non-zero keypoint number and boxes that vanish are left out.

    Args:
        dataset: With annotations.
        spec: Of the weights.
        sanitise: Name in ``SANITISERS``.
    """
    truth = dataset.truth
    index = image_rows(dataset, truth.image_id)
    width, height = dataset.images.width[index], dataset.images.height[index]
    box, usable = SANITISERS[sanitise](truth.box, width, height)
    has_keypoints = truth.keypoints.max(axis=(1, 2), initial=0) > 0
    keep = usable & ~truth.crowd & (truth.area > 0) & has_keypoints
    centre, scale = centre_and_scale(box[keep], spec)
    return Persons(
        image_index=index[keep],
        person_id=truth.id[keep],
        box=box[keep],
        centre=centre,
        scale=scale,
        score=np.ones(int(keep.sum())),
        source="gt",
    )


@dataclass(frozen=True, eq=False)
class Detections:
    """The person boxes of a detector file that lie in a dataset's images.

    Attributes:
        name: File name.
        sha256: Digest of the file.
        read: Boxes in the file, of any category and image.
        box: (N, 4) float64 x, y, width, height, px, as detected.
        score: (N,) float64.
        image_index: (N,) int64 row in ``Dataset.images``.
        position: (N,) int64 place in the file.
    """

    name: str
    sha256: str
    read: int
    box: Floats
    score: Floats
    image_index: Ints
    position: Ints

    def __len__(self) -> int:
        return len(self.score)


def read_detections(path: Path, dataset: Dataset) -> Detections:
    """Read a detector's boxes: a JSON list of {image_id, category_id, bbox, score}.

    Only the dataset's person category counts, and boxes in images of the dataset.

    Raises:
        UserError: The file is no such list, holds numbers that are not finite, or has no
            box in any image of the dataset.
    """
    content, digest = read_json(path, "The box file")
    hint = "It must be a list of {image_id, category_id, bbox: [x, y, w, h], score}."
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise UserError(f"{path} is no list of detections.", hint)
    known = {image_id: i for i, image_id in enumerate(dataset.images.id.tolist())}
    try:
        rows = [
            (known[int(det["image_id"])], place, det["bbox"], det["score"])
            for place, det in enumerate(content)
            if det["category_id"] == dataset.category_id and int(det["image_id"]) in known
        ]
        box = np.array([row[2] for row in rows], np.float64).reshape(len(rows), 4)
        score = np.array([row[3] for row in rows], np.float64).reshape(len(rows))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} has an entry that is no detection ({type(error).__name__}: {error}).", hint
        ) from error
    if not rows:
        raise UserError(
            f"None of the {len(content)} boxes of {path} lies in an image of this dataset.",
            "Check that boxes and annotations belong to the same images.",
        )
    if not (np.isfinite(box).all() and np.isfinite(score).all()):
        raise UserError(f"{path} holds boxes or scores that are not finite numbers.", hint)
    index = np.array([row[0] for row in rows], np.int64)
    order = np.argsort(index, kind="stable")
    return Detections(
        name=path.name,
        sha256=digest,
        read=len(content),
        box=box[order],
        score=score[order],
        image_index=index[order],
        position=np.array([row[1] for row in rows], np.int64)[order],
    )


def detector_persons(
    detections: Detections, dataset: Dataset, spec: InputSpec, sanitise: str, threshold: float
) -> Persons:
    """Return the detected persons to estimate: boxes below ``threshold`` are dropped."""
    index = detections.image_index
    images = dataset.images
    box, usable = SANITISERS[sanitise](detections.box, images.width[index], images.height[index])
    keep = usable & (detections.score >= threshold)
    centre, scale = centre_and_scale(box[keep], spec)
    return Persons(
        image_index=index[keep],
        person_id=detections.position[keep],
        box=box[keep],
        centre=centre,
        scale=scale,
        score=detections.score[keep],
        source=detections.name,
    )


def image_rows(dataset: Dataset, image_ids: Ints) -> Any:
    """Return the row of each image id in ``dataset.images``: (N,) int64."""
    order = np.argsort(dataset.images.id, kind="stable")
    return order[np.searchsorted(dataset.images.id, image_ids, sorter=order)]
