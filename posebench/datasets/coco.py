"""COCO keypoint annotations -> ``Dataset``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posebench.types.arrays import Dataset, GroundTruth, Images
from posebench.types.errors import UserError


def read_json(path: Path, what: str) -> tuple[Any, str]:
    """Read a JSON file whole.

    Returns:
        The value and the SHA-256 of the file's bytes.

    Raises:
        UserError: The file is missing, unreadable or no JSON.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror}.") from error
    try:
        return json.loads(data), hashlib.sha256(data).hexdigest()
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} {path} is no valid JSON ({error}).") from error


def load_coco(
    annotations: Path,
    images: Path,
    *,
    dataset_id: str,
    keypoint_set: str,
    joints: int,
    expected_images: int | None = None,
) -> Dataset:
    """Load person keypoint annotations in COCO's format.

    Args:
        annotations: ``person_keypoints_*.json``.
        images: Folder of the image files.
        dataset_id: Id in the registry.
        keypoint_set: Name of the annotated keypoint set.
        joints: Number of keypoints K of that set.
        expected_images: Images of the whole published split, if known.

    Raises:
        UserError: The file is no COCO keypoint file, or does not fit the keypoint set.
    """
    content, digest = read_json(annotations, "The annotation file")
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise UserError(
            f"{annotations} is no COCO annotation file (no 'images' and 'annotations' in it).",
            "Give a person_keypoints_*.json.",
        )
    try:
        table = _images(content["images"], images)
        category = _person_category(content.get("categories", []))
        truth = _truth(content["annotations"], table, category, joints)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{annotations} does not follow COCO's keypoint format "
            f"({type(error).__name__}: {error}).",
            f"Each person needs id, image_id, bbox, area and {joints} x 3 keypoint numbers.",
        ) from error
    return Dataset(
        id=dataset_id,
        keypoint_set=keypoint_set,
        images=table,
        truth=truth,
        category_id=category,
        annotations_file=annotations.name,
        annotations_sha256=digest,
        complete=expected_images is not None and len(table) == expected_images,
    )


def restrict(dataset: Dataset, limit: int) -> Dataset:
    """Return the first ``limit`` images of a dataset with their annotations.

    Raises:
        UserError: The limit is not positive.
    """
    if limit < 1:
        raise UserError(f"--limit {limit} leaves no image.", "Give a number of images from 1 up.")
    if limit >= len(dataset.images):
        return dataset
    table = dataset.images
    kept = Images(
        table.id[:limit],
        table.file_name[:limit],
        table.width[:limit],
        table.height[:limit],
        table.root,
    )
    rows = np.isin(dataset.truth.image_id, kept.id)
    fields = {name: getattr(dataset.truth, name)[rows] for name in vars(dataset.truth)}
    changes = {"images": kept, "truth": GroundTruth(**fields), "complete": False}
    return Dataset(**(vars(dataset) | changes))


def _images(rows: Sequence[dict[str, Any]], root: Path) -> Images:
    table = Images(
        id=np.array([int(row["id"]) for row in rows], np.int64),
        file_name=tuple(str(row["file_name"]) for row in rows),
        width=np.array([int(row["width"]) for row in rows], np.int64),
        height=np.array([int(row["height"]) for row in rows], np.int64),
        root=root,
    )
    _unique(table.id, "image id")
    return table


def _unique(ids: np.ndarray[Any, Any], what: str) -> None:
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{what} {values[counts > 1][0]} stands {counts.max()} times")


def _person_category(categories: Sequence[dict[str, Any]]) -> int:
    """COCO's person is 1; other keypoint files name it, or have one category only."""
    named = [int(row["id"]) for row in categories if row.get("name") == "person"]
    if named:
        return named[0]
    return int(categories[0]["id"]) if len(categories) == 1 else 1


def _truth(
    rows: Sequence[dict[str, Any]], images: Images, category: int, joints: int
) -> GroundTruth:
    known = set(images.id.tolist())
    order = {image_id: i for i, image_id in enumerate(images.id.tolist())}
    people = [row for row in rows if row.get("category_id", category) == category]
    people = [row for row in people if int(row["image_id"]) in known]
    # The references walk image by image; within an image the file's order stays.
    people.sort(key=lambda row: order[int(row["image_id"])])

    def column(get: Callable[[dict[str, Any]], Any], dtype: Any, *tail: int) -> Any:
        return np.array([get(row) for row in people], dtype).reshape(len(people), *tail)

    empty = [0.0] * (3 * joints)
    keypoints = column(lambda row: row.get("keypoints") or empty, np.float64, joints, 3)
    count = (keypoints[:, :, 2] > 0).sum(axis=1)
    counted = [row.get("num_keypoints", int(n)) for row, n in zip(people, count, strict=True)]
    truth = GroundTruth(
        id=column(lambda row: int(row["id"]), np.int64),
        image_id=column(lambda row: int(row["image_id"]), np.int64),
        box=column(lambda row: row["bbox"], np.float64, 4),
        area=column(lambda row: row["area"], np.float64),
        keypoints=keypoints,
        num_keypoints=np.array(counted, np.int64),
        crowd=column(lambda row: bool(row.get("iscrowd", 0)), np.bool_),
        ignore=column(lambda row: bool(row.get("ignore", 0)), np.bool_),
    )
    _unique(truth.id, "annotation id")
    return truth
