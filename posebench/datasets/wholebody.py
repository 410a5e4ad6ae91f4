"""COCO-WholeBody, whole persons and single hands -> ``Dataset``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from posebench.datasets.coco import box_of, build, expect, numbers_of, open_coco
from posebench.datasets.file_kinds import PARTS
from posebench.datasets.halpe import recounted
from posebench.datasets.rows import Row, WrongValue, flag, whole_number
from posebench.keypoints import keypoint_set as named_set
from posebench.types.arrays import Dataset
from posebench.types.errors import UserError

BODY = 17
SIDES = ("lefthand", "righthand")


def load_wholebody(
    annotations: Path,
    images: Path,
    *,
    dataset_id: str,
    keypoint_set: str,
    tolerant: bool = False,
) -> Dataset:
    """Load COCO-WholeBody's 133 keypoints: body, feet, face, left hand, right hand.

    Args:
        annotations: ``coco_wholebody_val_v1.0.json`` with its lists of parts, or a file in which
            they are merged into one list of 399 numbers; both give the same rows.
        images: Folder of the image files.
        dataset_id: Id in the registry.
        keypoint_set: A set of these 133 keypoints.
        tolerant: See ``posebench.datasets.coco.load_coco``.

    Returns:
        Its ``num_keypoints`` counts the labelled keypoints of all parts: the file's own number
        is that of the body.  A part that a row does not have is not labelled.

    Raises:
        UserError: The file is something else.
    """
    joints = len(named_set(keypoint_set))
    file = open_coco(annotations, "of COCO-WholeBody")
    if file.kind.layout != "wholebody":
        expect(file, {None, joints}, "COCO-WholeBody's")
    convert = _merged if file.kind.layout == "wholebody" else _recounted
    return build(file, images, dataset_id, keypoint_set, joints, convert, tolerant=tolerant)


def load_hands(
    annotations: Path,
    images: Path,
    *,
    dataset_id: str,
    keypoint_set: str,
    tolerant: bool = False,
) -> Dataset:
    """Load single hands: each annotated hand is a row of its own.

    Args:
        annotations: COCO-WholeBody with its lists of parts, or any file in COCO's layout whose
            rows are hands.
        images: Folder of the image files.
        dataset_id: Id in the registry.
        keypoint_set: Of one hand.
        tolerant: See ``posebench.datasets.coco.load_coco``.

    Returns:
        Of COCO-WholeBody every hand that the file calls valid, with its own box and the box's
        area; ids are twice the person's, plus one for right hands.

    Raises:
        UserError: The file holds no hands.
    """
    joints = len(named_set(keypoint_set))
    file = open_coco(annotations, "of COCO-WholeBody, or of single hands")
    if file.kind.layout != "wholebody":
        if file.kind.keypoints == len(named_set("wholebody_133")):
            raise UserError(
                f"{annotations} holds {file.kind.words}: the boxes of the hands are missing.",
                "Give COCO-WholeBody's own coco_wholebody_val_v1.0.json.",
            )
        expect(file, {None, joints}, "COCO-WholeBody's, nor single hands")
        return build(file, images, dataset_id, keypoint_set, joints, tolerant=tolerant)
    return build(
        file,
        images,
        dataset_id,
        keypoint_set,
        joints,
        _hands,
        most=len(SIDES),
        tolerant=tolerant,
    )


def _merged(row: Row) -> Iterator[Row]:
    numbers = numbers_of(row, "keypoints", BODY)
    for part, joints in PARTS.items():
        numbers += numbers_of(row, part, joints)
    yield recounted(row, numbers)


def _recounted(row: Row) -> Iterator[Row]:
    yield recounted(row, row.get("keypoints", []))


def _hands(row: Row) -> Iterator[Row]:
    if "id" not in row:
        raise ValueError("has no id")
    try:
        person = whole_number(row["id"])
    except WrongValue as error:
        raise ValueError(error.of("id")) from error
    for side, hand in enumerate(SIDES):
        if not _valid(row, f"{hand}_valid"):
            continue
        box = box_of(row, f"{hand}_box")
        yield {
            "id": 2 * person + side,
            "image_id": row["image_id"],
            "bbox": box,
            "area": box[2] * box[3],
            "keypoints": numbers_of(row, f"{hand}_kpts", PARTS[f"{hand}_kpts"]),
            "iscrowd": row.get("iscrowd", 0),
        }


def _valid(row: Row, key: str) -> bool:
    """A flag that COCO-WholeBody writes as true or false; a hand without it is not valid."""
    value = row.get(key, False)
    try:
        return value if isinstance(value, bool) else flag(value)
    except WrongValue as error:
        raise ValueError(f"has {error.found} for its {key}, not true or false") from error
