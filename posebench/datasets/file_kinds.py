"""What a file of annotations or boxes holds, and which names of images are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal

# Bytes that file systems allow for one name of a path, and for the whole path.
LONGEST_NAME, LONGEST_PATH = 255, 4096

Layout = Literal["coco", "wholebody", "mpii", "boxes", "results", "unknown"]

# Keys of COCO-WholeBody beside ``keypoints``, in the order of its 133 keypoints
# (jin-s13/COCO-WholeBody data_format.md), and how many keypoints each holds.
PARTS = {"foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
_NAMES = {17: "COCO", 21: "single hands", 133: "COCO-WholeBody in one flat list", 136: "Halpe"}


@dataclass(frozen=True)
class Kind:
    """What a JSON file holds, judged by its keys and by most of its persons.

    Attributes:
        layout: Whose layout it follows; ``coco`` and ``wholebody`` are objects with ``images``
            and ``annotations``, the others lists.
        words: For messages.
        persons: Annotations, or rows of a list.
        keypoints: How many most persons have in ``keypoints``; None where they have none.
    """

    layout: Layout
    words: str
    persons: int = 0
    keypoints: float | None = None


def check_inside(name: str) -> None:
    """Refuse a file name that no file can have, or that leads out of the folder of the images.

    Raises:
        ValueError: It does; the message begins with the name.
    """
    begin = f"the file name {name[:80]!r}"
    try:
        path = name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{begin}, which is not valid Unicode") from None
    if len(path) > LONGEST_PATH or max(map(len, path.split(b"/"))) > LONGEST_NAME:
        raise ValueError(f"{begin}, which is too long: it has {len(path):,} bytes")
    if "\0" in name or not PurePosixPath(name).name:
        raise ValueError(f"{begin}, which does not name a file")
    paths = PurePosixPath(name), PureWindowsPath(name)
    if any(path.is_absolute() or path.drive or ".." in path.parts for path in paths):
        raise ValueError(f"{begin}, which leads out of the image folder")


def kind_of(content: Any) -> Kind:
    """Return what a parsed JSON file holds."""
    if isinstance(content, list):
        return _kind_of_list(content)
    if not isinstance(content, dict):
        return Kind("unknown", f"a single {type(content).__name__}")
    rows = content.get("annotations")
    if not isinstance(rows, list) or not isinstance(content.get("images"), list):
        return Kind("unknown", "no 'images' and 'annotations'")
    rows = [row for row in rows if isinstance(row, dict)]
    keypoints = _usual_number(rows)
    if any(part in row for row in rows for part in PARTS):
        return Kind("wholebody", "COCO-WholeBody annotations", len(rows), keypoints)
    if keypoints is None:
        words = "COCO annotations without keypoints" if rows else "COCO annotations of no person"
        return Kind("coco", words, len(rows))
    whose = _NAMES.get(int(keypoints), "COCO layout")
    words = f"annotations of {keypoints:g} keypoints a person ({whose})"
    return Kind("coco", words, len(rows), keypoints)


def _kind_of_list(rows: list[Any]) -> Kind:
    first = rows[0] if rows else None
    if not isinstance(first, dict):
        return Kind("unknown", "a list of other things" if rows else "an empty list")
    if {"image", "center", "scale"} <= first.keys():
        return Kind("mpii", "MPII's list of persons", len(rows))
    if {"image_id", "keypoints"} <= first.keys():
        return Kind("results", "a list of predicted keypoints", len(rows))
    if {"image_id", "bbox"} <= first.keys():
        return Kind("boxes", "a list of detected boxes", len(rows))
    return Kind("unknown", "a list of other things", len(rows))


def _usual_number(rows: Iterable[dict[str, Any]]) -> float | None:
    """Keypoints of most persons: one broken row shall not rename the whole file."""
    lists = (row.get("keypoints") for row in rows)
    counts = Counter(len(numbers) for numbers in lists if isinstance(numbers, list) and numbers)
    return counts.most_common(1)[0][0] / 3 if counts else None
