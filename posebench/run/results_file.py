"""COCO's results format, also other tools': a list of persons with keypoints and a score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posebench.datasets.files import PARTS, kind_of, read_json
from posebench.keypoints import keypoint_set
from posebench.types.arrays import Dataset, Floats, Predictions, Results
from posebench.types.errors import UserError

Row = dict[str, Any]

# Beyond this no pixel, score or id is meant, and floats no longer count whole numbers.
MOST = 1e15


def read_results(path: Path, dataset: Dataset) -> tuple[Results, str, bool]:
    """Read persons as some tool reports them: nothing is left to rescore or to suppress.

    Rows of another category are left out, as COCO's evaluator does.  Coordinates keep the
    precision of the file.

    Args:
        path: JSON, a list of rows with ``image_id``, ``keypoints`` (3 numbers a joint) and
            ``score``.
        dataset: Whose keypoint set and category count.

    Returns:
        The persons, the file's SHA-256, and whether rows have a ``bbox``: evaluators then take its
        area for a detection's.

    Raises:
        UserError: The file is something else, holds nobody, or a row is not as it must be; the
            sentence says which.
    """
    content, digest = read_json(path, "The results file")
    rows = _rows(path, content, dataset)
    joints = len(keypoint_set(dataset.keypoint_set))
    flat = np.array([_numbers(path, k, row, joints) for k, row in rows], np.float64)
    triples = flat.reshape(len(rows), joints, 3)
    boxed = all(row.get("bbox") for _, row in rows[:1])
    count = len(rows)
    predictions = Predictions(
        keypoints=triples[..., :2].copy(),
        joint_scores=triples[..., 2].copy(),
        box=_boxes(path, rows) if boxed else np.zeros((count, 4)),
        box_score=np.ones(count),
        crop_area=np.ones(count),
        image_id=np.array([_whole(path, k, row, "image_id") for k, row in rows], np.int64),
        person_id=np.arange(count),
        keypoint_set=dataset.keypoint_set,
    )
    score = np.array([_number(path, k, row, "score") for k, row in rows], np.float64)
    return Results(predictions, score, np.ones(count, np.bool_)), digest, boxed


def _rows(path: Path, content: Any, dataset: Dataset) -> list[tuple[int, Row]]:
    """Rows of the dataset's category, with their place in the file."""
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise UserError(
            f"{path} is no results file: it holds {kind_of(content).words}.",
            "Give a JSON list of persons with image_id, keypoints and score, as COCO's results "
            "format has them; an annotation file is given with --annotations.",
        )
    if not content:
        raise UserError(
            f"{path} holds no person.", "An evaluator would give 0.0: check the tool that wrote it."
        )
    category = dataset.category_id
    rows = [(k, row) for k, row in enumerate(content) if _category(row, category) == category]
    if not rows:
        raise UserError(
            f"{path} holds {len(content)} rows, none of category {category}, which is "
            f"{dataset.annotations_file}'s person.",
            "Write the persons under that category_id.",
        )
    return rows


def _category(row: Row, usual: int) -> Any:
    return row.get("category_id", usual)


def _numbers(path: Path, place: int, row: Row, joints: int) -> Sequence[float]:
    """The keypoint numbers of a row, those of the parts' lists behind each other."""
    lists = [_get(path, place, row, "keypoints"), *(row[name] for name in PARTS if name in row)]
    numbers = [number for part in lists if isinstance(part, list) for number in part]
    if len(numbers) != 3 * joints:
        raise UserError(
            f"Row {place} of {path} has {len(numbers)} keypoint numbers, where 3 for each of the "
            f"{joints} joints are {3 * joints}.",
            "Give the dataset that the persons were estimated for.",
        )
    if not all(isinstance(number, (int, float)) and abs(number) < MOST for number in numbers):
        raise UserError(f"Row {place} of {path} has a keypoint that is no number of pixels.")
    return numbers


def _boxes(path: Path, rows: Sequence[tuple[int, Row]]) -> Floats:
    boxes = [_get(path, place, row, "bbox") for place, row in rows]
    for (place, _), box in zip(rows, boxes, strict=True):
        fine = isinstance(box, list) and all(isinstance(n, (int, float)) for n in box)
        if not fine or len(box) != 4 or not all(abs(n) < MOST for n in box):
            raise UserError(f"Row {place} of {path} has no bbox of four numbers, other rows do.")
    return np.array(boxes, np.float64)


def _number(path: Path, place: int, row: Row, name: str) -> float:
    value = _get(path, place, row, name)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not abs(value) < MOST:  # NaN is not below it either
        raise UserError(f"Row {place} of {path} has {value!r} for its {name}, not a number.")
    return float(value)


def _whole(path: Path, place: int, row: Row, name: str) -> int:
    value = _number(path, place, row, name)
    if not value.is_integer():
        raise UserError(f"Row {place} of {path} has {value} for its {name}, not a whole number.")
    return int(value)


def _get(path: Path, place: int, row: Row, name: str) -> Any:
    if name not in row:
        raise UserError(
            f"Row {place} of {path} has no {name}.",
            "Each row needs image_id, keypoints and score, as COCO's results format has them.",
        )
    return row[name]
