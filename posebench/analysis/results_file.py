"""COCO's results format, also other tools': a list of persons with keypoints and a score."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from posebench.datasets.file_kinds import PARTS, kind_of
from posebench.datasets.rows import MOST, Row, Rows, shown
from posebench.files import read_json
from posebench.keypoints import keypoint_set
from posebench.types.arrays import Dataset, Floats, Images, Ints, Predictions, Results
from posebench.types.errors import UserError
from posebench.types.faults import Fault, refuse


def read_results(path: Path, dataset: Dataset) -> tuple[Results, str, bool]:
    """Read persons as some tool reports them: nothing is left to rescore or to suppress.

    Rows of another category are left out, as COCO's evaluator does.  Coordinates keep the
    precision of the file.

    Args:
        path: JSON, a list of rows with ``image_id``, ``keypoints`` (3 numbers a joint) and
            ``score``.  An ``image_id`` is the dataset's number, or the image's file name, with or
            without its folder and its extension.
        dataset: Whose images, keypoint set and category count.

    Returns:
        The persons, the file's SHA-256, and whether rows have a ``bbox``: evaluators then take its
        area for a detection's.

    Raises:
        UserError: The file is something else, holds nobody, or has rows that are not as they must
            be; the sentence lists them.
    """
    content, digest = read_json(path, "The results file")
    _check_list(path, content)
    rows = Rows.of(content, lambda place: f"row {place}")
    image_id = _image_ids(rows, dataset.images)
    score = rows.number("score", least=-MOST, most=MOST)
    chosen = rows.whole("category_id", dataset.category_id) == dataset.category_id
    persons = rows.only(chosen)
    joints = len(keypoint_set(dataset.keypoint_set))
    triples = _keypoints(persons, joints).reshape(len(persons), joints, 3)
    boxed, box = _boxes(persons)
    if rows.faults:
        hint = (
            f"Each row needs image_id, 3 numbers for each of the {joints} joints in keypoints, and "
            "score, as COCO's results format has them. Check that this is the dataset that the "
            "persons were estimated for."
        )
        raise refuse(str(path), [Fault("row", text) for _, text in rows.told()], hint)
    if not len(persons):
        raise UserError(
            f"{path} holds {len(content)} rows, none of category {dataset.category_id}, which is "
            f"{dataset.annotations_file}'s person.",
            "Write the persons under that category_id.",
        )
    count = len(persons)
    predictions = Predictions(
        keypoints=triples[..., :2].copy(),
        joint_scores=triples[..., 2].copy(),
        box=box,
        box_score=np.ones(count),
        crop_area=np.ones(count),
        image_id=image_id[chosen],
        person_id=np.arange(count),
        keypoint_set=dataset.keypoint_set,
    )
    return Results(predictions, score[chosen], np.ones(count, np.bool_)), digest, boxed


def _check_list(path: Path, content: Any) -> None:
    """Refuse what is not a list of rows at all.

    Raises:
        UserError: It is something else, or empty.
    """
    fine = isinstance(content, list) and all(isinstance(row, dict) for row in content[:1])
    if not fine:
        raise UserError(
            f"{path} is not a results file: it holds {kind_of(content).words}.",
            "Give a JSON list of persons with image_id, keypoints and score, as COCO's results "
            "format has them; an annotation file is given with --annotations.",
        )
    if not content:
        raise UserError(
            f"{path} holds no person.", "An evaluator would give 0.0: check the tool that wrote it."
        )


def _image_ids(rows: Rows, images: Images) -> Ints:
    """Ids of the rows' images, (N,), also where a row names its image by the file."""
    if all(type(row.get("image_id")) is int for row in rows.rows):
        return rows.whole("image_id")
    named = _Names(images)
    numbered: list[Row] = []
    for row, content in enumerate(rows.rows):
        given = content.get("image_id")
        if isinstance(given, str):
            try:
                content = {"image_id": named.id_of(given)}
            except ValueError as error:
                rows.refuse(row, f"has {shown(given)} for its image_id, {error}")
                content = {"image_id": 0}
        numbered.append(content)
    return Rows(numbered, rows.name, rows.place, rows.faults).whole("image_id")


class _Names:
    """The images of a dataset by name: whole, without folder, and without extension as well."""

    def __init__(self, images: Images) -> None:
        paths = [PurePosixPath(name) for name in images.file_name]
        names = (
            [str(path) for path in paths],
            [path.name for path in paths],
            [path.stem for path in paths],
        )
        ids = images.id.tolist()
        self._ids = [dict(zip(level, ids, strict=True)) for level in names]
        self._counts = [Counter(level) for level in names]

    def id_of(self, name: str) -> int:
        """Return the id of the image of that name.

        Raises:
            ValueError: There is none, or there are several; the message ends a sentence.
        """
        path = PurePosixPath(name)
        wanted = (str(path), path.name, path.name)
        for text, ids, counts in zip(wanted, self._ids, self._counts, strict=True):
            if counts[text] > 1:
                raise ValueError(f"the file name of {counts[text]} images")
            if text in ids:
                return int(ids[text])
        raise ValueError("neither a whole number nor the file name of an image")


def _keypoints(persons: Rows, joints: int) -> Floats:
    """Numbers of all joints, (N, 3 * joints); those of the parts' lists follow the body's."""
    if any(part in row for row in persons.rows for part in PARTS):
        merged = [{"keypoints": _merged(row)} for row in persons.rows]
        persons = Rows(merged, persons.name, persons.place, persons.faults)
    return persons.numbers("keypoints", 3 * joints, most=MOST)


def _merged(row: Row) -> Any:
    lists = [row.get("keypoints"), *(row[part] for part in PARTS if part in row)]
    strange = [part for part in lists if not isinstance(part, list)]
    return strange[0] if strange else list(chain.from_iterable(lists))


def _boxes(persons: Rows) -> tuple[bool, Floats]:
    """Whether the persons have boxes, all or none of them, and (N, 4) x, y, width, height, px."""
    boxed = [row.get("bbox", []) != [] for row in persons.rows]
    if not any(boxed):
        return False, np.zeros((len(persons), 4))
    without = ~np.array(boxed, np.bool_)
    persons.refuse_where(without, "has no bbox, other rows have one")
    return True, persons.numbers("bbox", 4, most=MOST)
