"""Reading annotation and box files, and saying what a file that does not fit really holds."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

from posebench.types.errors import UserError

LARGEST = 4 << 30  # bytes; the largest published annotations have a tenth of that
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


def read_bytes(path: Path, what: str) -> bytes:
    """Read a file whole.

    Raises:
        UserError: It is missing or unreadable; ``what`` names it in the sentence.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{what} {path} cannot be read: it is no file.")
        if path.stat().st_size > LARGEST:
            raise UserError(f"{what} {path} has more than {LARGEST:,} bytes.")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror}.") from error


def strict_json(data: bytes | str, *, finite: bool = False) -> Any:
    """Return the value of a JSON text that says everything once.

    Args:
        data: The text.
        finite: Refuse NaN and infinities, which are no JSON, also.

    Raises:
        ValueError: It is none, is nested too deeply, or has a key twice in one object.
    """
    try:
        if finite:
            return json.loads(data, object_pairs_hook=_once, parse_constant=_not_finite)
        return json.loads(data, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        key = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {key[:40]!r} stands twice in one object")
    return found


def _not_finite(word: str) -> float:
    raise ValueError(f"{word} is no number")


def parse_json(data: bytes, path: Path, what: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        UserError: It is none.
    """
    try:
        return strict_json(data)
    except ValueError as error:
        raise UserError(f"{what} {path} is no valid JSON ({error}).") from error


def read_json(path: Path, what: str) -> tuple[Any, str]:
    """Read a JSON file whole.

    Returns:
        The value and the SHA-256 of the file's bytes.

    Raises:
        UserError: The file is missing, unreadable or no JSON.
    """
    data = read_bytes(path, what)
    return parse_json(data, path, what), hashlib.sha256(data).hexdigest()


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
