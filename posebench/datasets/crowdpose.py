"""CrowdPose's annotations in COCO's layout, as mmpose publishes them -> ``Dataset``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from posebench.datasets.coco import box_of, build, expect, open_coco, refuse_faults
from posebench.datasets.rows import Row, Rows
from posebench.keypoints import keypoint_set as named_set
from posebench.types.arrays import Dataset
from posebench.types.errors import UserError

# The file says nothing about outlines; mmpose and xtcocotools take this share of the box.
BOX_SHARE = 0.53


def load_crowdpose(
    annotations: Path,
    images: Path,
    *,
    dataset_id: str,
    keypoint_set: str,
    tolerant: bool = False,
) -> Dataset:
    """Load persons of 14 keypoints, and how crowded each image is.

    Args:
        annotations: ``mmpose_crowdpose_test.json`` or another split.
        images: Folder of the image files.
        dataset_id: Id in the registry.
        keypoint_set: ``crowdpose_14``.
        tolerant: See ``posebench.datasets.coco.load_coco``.

    Returns:
        Persons whose area is a share of their box; ``num_keypoints`` is the file's own, which
        leaves hidden joints out.

    Raises:
        UserError: The file is none of CrowdPose.
    """
    count = len(named_set(keypoint_set))
    file = open_coco(annotations, f"with {count} keypoints a person")
    expect(file, {None, count}, f"annotations of {count} keypoints a person")

    def with_area(row: Row) -> Iterator[Row]:
        _, _, width, height = box_of(row, "bbox")
        yield {"area": height * width * BOX_SHARE} | row

    dataset = build(file, images, dataset_id, keypoint_set, count, with_area, tolerant=tolerant)
    rows = Rows.of(file.content["images"], lambda place: f"row {place + 1} of the images")
    index = rows.number("crowdIndex", least=0.0, most=1.0)
    try:
        refuse_faults(rows)
    except ValueError as error:
        raise UserError(
            f"{annotations} does not say how crowded each image is: {error}.",
            "Give CrowdPose's annotations as mmpose publishes them.",
        ) from error
    return replace(dataset, images=replace(dataset.images, crowd_index=index))
