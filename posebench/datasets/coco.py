"""Keypoint annotations in COCO's layout -> ``Dataset``; the other readers convert to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posebench.datasets.file_kinds import Kind, check_inside, kind_of
from posebench.datasets.rows import (
    FARTHEST,
    Row,
    Rows,
    list_of_numbers,
    places_of,
    shown,
    whole_number,
)
from posebench.files import read_json
from posebench.keypoints import keypoint_set as named_set
from posebench.types.arrays import Dataset, GroundTruth, Images, Ints, join, take
from posebench.types.errors import UserError
from posebench.types.faults import LISTED, Fault, refuse

# Ids of rows that stand for unreadable ones; no dataset counts down there.
STAND_IN = -(10**12)
# Where the joints of such a row are: no prediction comes near.
NOWHERE = (-FARTHEST, -FARTHEST, 1.0)


# One row of a file -> rows with keypoint numbers of the wanted set.  It raises ValueError for a row
# that cannot be used; the message ends a sentence that begins with the row's name.
Convert = Callable[[Row], Iterator[Row]]


@dataclass(frozen=True)
class CocoFile:
    """An annotation file in COCO's layout, read but not yet understood.

    Attributes:
        path: Of the file.
        content: With ``images`` and ``annotations``.
        sha256: Digest of the bytes.
        kind: What it holds.
    """

    path: Path
    content: dict[str, Any]
    sha256: str
    kind: Kind


def load_coco(
    annotations: Path,
    images: Path,
    *,
    dataset_id: str,
    keypoint_set: str,
    tolerant: bool = False,
    joints: int | None = None,
) -> Dataset:
    """Load person keypoint annotations in COCO's format; visibilities may be fractions.

    Persons of other categories and annotations of images that are not listed are left out.  A
    file without persons gives a dataset without persons.  A box without area stays in the ground
    truth; no one is cropped by it.

    Args:
        annotations: ``person_keypoints_*.json``.
        images: Folder of the image files.
        dataset_id: Id in the registry.
        keypoint_set: Name of the annotated keypoint set.
        tolerant: Keep going past annotations that cannot be used: ``Dataset.faults`` has them.
        joints: Number of keypoints K a person, by default that of the set.

    Raises:
        UserError: The file is not a COCO keypoint file, or does not fit the keypoint set.
    """
    count = len(named_set(keypoint_set)) if joints is None else joints
    file = open_coco(annotations, f"with {count} keypoints a person")
    expect(file, {None, count}, f"annotations of {count} keypoints a person")
    return build(file, images, dataset_id, keypoint_set, count, tolerant=tolerant)


def open_coco(path: Path, wanted: str) -> CocoFile:
    """Read a file that must follow COCO's layout.

    Args:
        path: Of the file.
        wanted: Which annotations are wanted, for the hint.

    Raises:
        UserError: The file cannot be read, or is something else; the sentence says what.
    """
    content, digest = read_json(path, "The annotation file")
    kind = kind_of(content)
    if kind.layout not in ("coco", "wholebody"):
        hint = "A box file is given with --boxes. " if kind.layout == "boxes" else ""
        raise UserError(
            f"{path} is not a COCO annotation file: it holds {kind.words}.",
            f"{hint}Give a JSON object with 'images' and 'annotations' {wanted}.",
        )
    return CocoFile(path, content, digest, kind)


def expect(file: CocoFile, numbers: set[int | None], wanted: str) -> None:
    """Refuse a file whose persons have another number of keypoints.

    Args:
        file: To judge.
        numbers: Keypoints a person that will do; None for a file in which no one has any.
        wanted: For the sentence.

    Raises:
        UserError: Most persons have another number, or none has keypoints.
    """
    kind = file.kind
    if kind.keypoints not in numbers or (kind.keypoints is None and kind.persons):
        raise UserError(
            f"{file.path} holds {kind.words}, not {wanted}.",
            "Give the annotation file of this dataset.",
        )


def build(
    file: CocoFile,
    images: Path,
    dataset_id: str,
    keypoint_set: str,
    joints: int,
    convert: Convert | None = None,
    *,
    most: int = 1,
    tolerant: bool = False,
) -> Dataset:
    """Turn rows in COCO's layout into a dataset.

    Args:
        file: Read by ``open_coco``.
        images: Folder of the image files.
        dataset_id: Id in the registry.
        keypoint_set: Name of the keypoint set of the result.
        joints: Its number of keypoints.
        convert: Makes rows with ``joints`` x 3 keypoint numbers out of one row of the file.
        most: How many rows ``convert`` makes of one at most; as many stand for one that cannot
            be used, so that leaving it out never makes a score better.
        tolerant: Keep going past annotations that cannot be used: ``Dataset.faults`` has them.

    Raises:
        UserError: The content does not follow the format; the sentence lists what does not.
    """
    hint = f"Each person needs id, image_id, bbox, area and {joints} x 3 keypoint numbers."
    rows = Rows.of(file.content["annotations"], _namer(file.content["annotations"], "annotation"))
    try:
        table = _images(file.content["images"], images)
        category = _person_category(file.content.get("categories", []))
        people, place = _people(rows, table, category, joints, convert)
        lost, lost_place = _stand_ins(rows, table, joints, most)
        everybody, place = join([people, lost]), np.concatenate([place, lost_place])
        _unique(everybody.id, "annotation id")
    except ValueError as error:
        raise UserError(
            f"{file.path} does not follow COCO's keypoint format: {error}.", hint
        ) from error
    faults = [
        Fault("annotation", text, _stand_in_ids(at, most))
        for at, text in sorted(rows.faults.items())
    ]
    if faults and not tolerant:
        where = f"{file.path} does not follow COCO's keypoint format: it"
        raise refuse(where, faults, f"{hint} `posebench eval --on-error skip` goes on without.")
    # The references walk image by image; within an image the file's order stays.
    order = np.lexsort((place, places_of(table.id, everybody.image_id)))
    return Dataset(
        id=dataset_id,
        keypoint_set=keypoint_set,
        images=table,
        truth=take(everybody, order),
        category_id=category,
        annotations_file=file.path.name,
        annotations_sha256=file.sha256,
        complete=False,
        faults=tuple(faults),
    )


def numbers_of(row: Row, key: str, joints: int) -> list[Any]:
    """Return the keypoint numbers of a row: as many as there must be, zeros where it has none.

    Raises:
        ValueError: There are more or fewer, or one of them is not a number.
    """
    numbers = row.get(key, [])
    if numbers == []:
        return [0.0] * (3 * joints)
    return list(list_of_numbers(numbers, key, 3 * joints, FARTHEST))


def box_of(row: Row, key: str) -> list[Any]:
    """Return the four numbers of a box, x, y, width and height, px.

    Raises:
        ValueError: There is none, or it is something else.
    """
    if key not in row:
        raise ValueError(f"has no {key}")
    return list_of_numbers(row[key], key, 4, FARTHEST)


def _namer(rows: Sequence[Any], noun: str) -> Callable[[int], str]:
    """Return what names a row for messages: by its id where it has one, else by its place."""

    def name(place: int) -> str:
        row = rows[place]
        known = isinstance(row, dict) and type(row.get("id")) is int
        return f"{noun} {row['id']}" if known else f"row {place + 1} of the {noun}s"

    return name


def _images(content: Sequence[Any], root: Path) -> Images:
    """Images are never left out: no one knows whose persons an unreadable row has."""
    rows = Rows.of(content, _namer(content, "image"))
    largest = int(FARTHEST)
    table = Images(
        id=rows.whole("id"),
        file_name=tuple(rows.texts("file_name", check_inside)),
        width=rows.whole("width", least=1, most=largest),
        height=rows.whole("height", least=1, most=largest),
        root=root,
    )
    refuse_faults(rows)
    _unique(table.id, "image id")
    return table


def refuse_faults(rows: Rows) -> None:
    """Refuse rows of which none may be left out.

    Raises:
        ValueError: Some of them have faults; the message lists them.
    """
    told = [text for _, text in rows.told()]
    if told:
        more = f"; and {len(told) - LISTED:,} more" if len(told) > LISTED else ""
        raise ValueError("; ".join(told[:LISTED]) + more)


def _unique(ids: Ints, what: str) -> None:
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{what} {values[counts > 1][0]} stands {counts.max()} times")


def _person_category(categories: Any) -> int:
    """COCO's person is 1; other keypoint files name it, or have one category only."""
    if not isinstance(categories, list):
        raise ValueError(f"its categories are {shown(categories)}, not a list")
    rows = Rows.of(categories, lambda place: f"category {place + 1}")
    ids = rows.whole("id").tolist()
    names = [row.get("name", "") for row in rows.rows]
    for row, name in enumerate(names):
        if not isinstance(name, str):
            rows.refuse(row, f"has {shown(name)} for its name, not a text")
    refuse_faults(rows)
    named = [number for number, name in zip(ids, names, strict=True) if name == "person"]
    if named:
        return int(named[0])
    return int(ids[0]) if len(ids) == 1 else 1


def _people(
    rows: Rows, images: Images, category: int, joints: int, convert: Convert | None
) -> tuple[GroundTruth, Ints]:
    """The persons in listed images whose rows are without fault, and their places in the file."""
    persons = rows.only(rows.whole("category_id", category) == category)
    persons = persons.only(places_of(images.id, persons.whole("image_id")) >= 0)
    # Also where the converted row counts them anew.
    persons.whole("num_keypoints", 0, least=0)
    people = persons if convert is None else _converted(persons, convert)
    truth = _truth(people, joints)
    place = np.array(people.place, np.int64)
    fine = np.flatnonzero(~np.isin(place, np.array(list(rows.faults), np.int64)))
    return take(truth, fine), place[fine]


def _converted(persons: Rows, convert: Convert) -> Rows:
    made: list[Row] = []
    places: list[int] = []
    for row, (place, content) in enumerate(zip(persons.place, persons.rows, strict=True)):
        if place in persons.faults:
            continue
        try:
            mine = list(convert(content))
        except ValueError as error:
            persons.refuse(row, str(error))
            continue
        made += mine
        places += [place] * len(mine)
    return Rows(made, persons.name, places, persons.faults)


def _truth(people: Rows, joints: int) -> GroundTruth:
    box = people.numbers("bbox", 4, most=FARTHEST)
    people.refuse_where(box[:, 2:].min(axis=1, initial=0) < 0, "has a bbox of negative size")
    keypoints = people.numbers("keypoints", 3 * joints, most=FARTHEST, empty=True)
    keypoints = keypoints.reshape(len(people), joints, 3)
    given = people.whole("num_keypoints", -1)
    counted = (keypoints[:, :, 2] > 0).sum(axis=1)
    return GroundTruth(
        id=people.whole("id"),
        image_id=people.whole("image_id"),
        box=box,
        area=people.number("area", least=0.0, most=FARTHEST**2),
        keypoints=keypoints,
        num_keypoints=np.where(given < 0, counted, given).astype(np.int64),
        crowd=people.flag("iscrowd"),
        ignore=people.flag("ignore"),
    )


def _stand_in_ids(place: int, most: int) -> tuple[int, ...]:
    return tuple(STAND_IN - most * place - k for k in range(most))


def _stand_ins(rows: Rows, images: Images, joints: int, most: int) -> tuple[GroundTruth, Ints]:
    """Persons whom no one is cropped for and no prediction matches: counted, and missed.

    They stand for the rows with faults.  Without a size they count among persons of all sizes
    alone, without a known image in the first one.

    Raises:
        ValueError: There is no image.
    """
    if rows.faults and not len(images):
        raise ValueError(f"it lists no image, but {next(iter(rows.faults.values()))}")
    places = sorted(rows.faults)
    ids = [number for place in places for number in _stand_in_ids(place, most)]
    image_id = [_image_of(rows.rows[place], images) for place in places for _ in range(most)]
    count = len(ids)
    nobody = np.zeros(count, np.bool_)
    truth = GroundTruth(
        id=np.array(ids, np.int64),
        image_id=np.array(image_id, np.int64),
        box=np.zeros((count, 4)),
        area=np.zeros(count),
        keypoints=np.tile(np.array(NOWHERE), (count, joints, 1)),
        num_keypoints=np.full(count, joints, np.int64),
        crowd=nobody,
        ignore=nobody,
    )
    return truth, np.repeat(np.array(places, np.int64), most)


def _image_of(row: Row, images: Images) -> int:
    first = int(images.id[0])
    try:
        number = whole_number(row.get("image_id", first))
    except ValueError:
        return first
    return number if (images.id == number).any() else first
