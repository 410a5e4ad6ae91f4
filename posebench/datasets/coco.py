"""Keypoint annotations in COCO's layout -> ``Dataset``; the other readers convert to it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from posebench.datasets.files import Kind, kind_of, read_json
from posebench.keypoints import keypoint_set as named_set
from posebench.types.arrays import Dataset, GroundTruth, Images, Ints, take
from posebench.types.dataset import Sample
from posebench.types.errors import UserError
from posebench.types.faults import LISTED, Fault, refuse

Row = dict[str, Any]

# What a file that is not as it should be raises on the way into arrays.
WRONG = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
# Nothing lies so far out, px; squares of it are still numbers.
FARTHEST = 1e7
# Ids of rows that stand for unreadable ones; no dataset counts down there.
STAND_IN = -(10**12)
# Where the joints of such a row are: no prediction comes near.
NOWHERE = (-FARTHEST, -FARTHEST, 1.0)


# One row of a file -> rows with keypoint numbers of the wanted set.
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
    truth; nobody is cropped by it.

    Args:
        annotations: ``person_keypoints_*.json``.
        images: Folder of the image files.
        dataset_id: Id in the registry.
        keypoint_set: Name of the annotated keypoint set.
        tolerant: Keep going past annotations that cannot be used: ``Dataset.faults`` has them.
        joints: Number of keypoints K a person, by default that of the set.

    Raises:
        UserError: The file is no COCO keypoint file, or does not fit the keypoint set.
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
            f"{path} is no COCO annotation file: it holds {kind.words}.",
            f"{hint}Give a JSON object with 'images' and 'annotations' {wanted}.",
        )
    return CocoFile(path, content, digest, kind)


def expect(file: CocoFile, numbers: set[int | None], wanted: str) -> None:
    """Refuse a file whose persons have another number of keypoints.

    Args:
        file: To judge.
        numbers: Keypoints a person that will do; None for a file in which nobody has any.
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
    faults: list[Fault] = []
    try:
        table = _images(file.content["images"], images)
        category = _person_category(file.content.get("categories", []))
        rows = file.content["annotations"]
        try:
            truth = _truth(_people(rows, table, category, convert), joints)
        except WRONG:
            people, faults = _one_by_one(rows, table, category, joints, convert, most)
            truth = _truth(people, joints)
    except WRONG as error:
        raise UserError(
            f"{file.path} does not follow COCO's keypoint format "
            f"({type(error).__name__}: {error}).",
            hint,
        ) from error
    if faults and not tolerant:
        where = f"{file.path} does not follow COCO's keypoint format: it"
        raise refuse(where, faults, f"{hint} `posebench eval --on-error skip` goes on without.")
    return Dataset(
        id=dataset_id,
        keypoint_set=keypoint_set,
        images=table,
        truth=truth,
        category_id=category,
        annotations_file=file.path.name,
        annotations_sha256=file.sha256,
        complete=False,
        faults=tuple(faults),
    )


def numbers_of(row: Row, key: str, joints: int) -> list[float]:
    """Return the keypoint numbers of a row: as many as there must be, zeros where it has none.

    Raises:
        ValueError: There are more or fewer.
    """
    numbers = row.get(key) or [0.0] * (3 * joints)
    if len(numbers) != 3 * joints:
        raise ValueError(
            f"annotation {row.get('id')} has {len(numbers)} numbers in {key} "
            f"instead of {3 * joints}"
        )
    return list(numbers)


def restrict(dataset: Dataset, sample: Sample) -> Dataset:
    """Return some images of a dataset, in the order of its file, with their annotations.

    Args:
        dataset: All of it.
        sample: Which images; as many as there are, or more, leave the dataset as it is.
    """
    if sample.limit >= len(dataset.images):
        return dataset
    return replace(on_rows(dataset, _sampled(dataset.images.id, sample)), sample=sample)


def on_rows(dataset: Dataset, rows: Ints) -> Dataset:
    """Return the images in some rows of a dataset, ascending, with their annotations."""
    table = dataset.images
    kept = Images(
        table.id[rows],
        tuple(table.file_name[row] for row in rows),
        table.width[rows],
        table.height[rows],
        table.root,
        None if table.crowd_index is None else table.crowd_index[rows],
    )
    truth = take(dataset.truth, np.isin(dataset.truth.image_id, kept.id))
    ids = set(truth.id.tolist())
    faults = tuple(fault for fault in dataset.faults if ids.intersection(fault.persons))
    return replace(dataset, images=kept, truth=truth, complete=False, faults=faults)


def _sampled(ids: Ints, sample: Sample) -> Ints:
    """Rows of the images of a sample, ascending."""
    if sample.order == "file":
        return np.arange(sample.limit)
    digests = [hashlib.sha256(str(image_id).encode()).digest() for image_id in ids.tolist()]
    return np.sort(np.array(sorted(range(len(ids)), key=digests.__getitem__)[: sample.limit]))


def _images(rows: Sequence[Row], root: Path) -> Images:
    """Images are never left out: nobody knows whose persons an unreadable row has."""
    try:
        return _image_table(rows, root)
    except WRONG:
        told = [text for place, row in enumerate(rows) if (text := _image_fault(place, row, root))]
        if not told:
            raise
        more = f"; and {len(told) - LISTED:,} more" if len(told) > LISTED else ""
        raise ValueError("; ".join(told[:LISTED]) + more) from None


def _image_fault(place: int, row: Row, root: Path) -> str | None:
    try:
        _image_table([row], root)
    except WRONG as error:
        return f"row {place + 1} of the images: {type(error).__name__}: {error}"
    return None


def _image_table(rows: Sequence[Row], root: Path) -> Images:
    table = Images(
        id=np.array([int(row["id"]) for row in rows], np.int64),
        file_name=tuple(str(row["file_name"]) for row in rows),
        width=np.array([int(row["width"]) for row in rows], np.int64),
        height=np.array([int(row["height"]) for row in rows], np.int64),
        root=root,
    )
    _unique(table.id, "image id")
    for name in table.file_name:
        check_inside(name)
    empty = (table.width < 1) | (table.height < 1)
    if empty.any():
        row = int(empty.argmax())
        raise ValueError(
            f"image {table.id[row]} is {table.width[row]} x {table.height[row]} pixels"
        )
    return table


def check_inside(name: str) -> None:
    """Refuse a file name that leads out of the folder it is looked for in.

    Raises:
        ValueError: It does.
    """
    paths = PurePosixPath(name), PureWindowsPath(name)
    if any(path.is_absolute() or path.drive or ".." in path.parts for path in paths):
        raise ValueError(f"the file name {name[:80]!r} leads out of the image folder")
    if "\0" in name:
        raise ValueError(f"the file name {name[:80]!r} is none")


def _unique(ids: np.ndarray[Any, Any], what: str) -> None:
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{what} {values[counts > 1][0]} stands {counts.max()} times")


def _person_category(categories: Sequence[Row]) -> int:
    """COCO's person is 1; other keypoint files name it, or have one category only."""
    named = [int(row["id"]) for row in categories if row.get("name") == "person"]
    if named:
        return named[0]
    return int(categories[0]["id"]) if len(categories) == 1 else 1


def _people(
    rows: Sequence[Row], images: Images, category: int, convert: Convert | None
) -> list[Row]:
    order = {image_id: i for i, image_id in enumerate(images.id.tolist())}
    people = [row for row in rows if row.get("category_id", category) == category]
    people = [row for row in people if int(row["image_id"]) in order]
    # The references walk image by image; within an image the file's order stays.
    people.sort(key=lambda row: order[int(row["image_id"])])
    return people if convert is None else [row for person in people for row in convert(person)]


def _one_by_one(
    rows: Sequence[Row],
    images: Images,
    category: int,
    joints: int,
    convert: Convert | None,
    most: int,
) -> tuple[list[Row], list[Fault]]:
    """Rows of all persons, others in place of those that cannot be used, and the faults."""
    people, faults = [], []
    order = {image_id: i for i, image_id in enumerate(images.id.tolist())}
    for place, row in enumerate(rows):
        try:
            mine = _people([row], images, category, convert)
            _truth(mine, joints)
        except WRONG as error:
            ids = tuple(STAND_IN - most * place - k for k in range(most))
            mine = [_stand_in(row, i, images, joints) for i in ids]
            name = _name(row, place)
            told = name in str(error)
            text = str(error) if told else f"{name}: {type(error).__name__}: {error}"
            faults.append(Fault("annotation", text, ids))
        people += mine
    return sorted(people, key=lambda row: order[int(row["image_id"])]), faults


def _name(row: Any, place: int) -> str:
    known = isinstance(row, dict) and isinstance(row.get("id"), int)
    return f"annotation {row['id']}" if known else f"row {place + 1} of the annotations"


def _stand_in(row: Any, person: int, images: Images, joints: int) -> Row:
    """A person whom nobody is cropped for and no prediction matches: counted, and missed.

    Without a size it counts among persons of all sizes alone, without a known image in the
    first one.
    """
    image = row.get("image_id") if isinstance(row, dict) else None
    known = isinstance(image, int) and bool((images.id == image).any())
    return {
        "id": person,
        "image_id": image if known else int(images.id[0]),
        "bbox": [0.0] * 4,
        "area": 0.0,
        "keypoints": list(NOWHERE) * joints,
        "num_keypoints": joints,
    }


def _truth(people: Sequence[Row], joints: int) -> GroundTruth:
    def column(get: Callable[[Row], Any], dtype: Any, *tail: int) -> Any:
        array = np.array([get(row) for row in people], dtype)
        if people and array.shape[1:] != ((math.prod(tail),) if tail else ()):
            raise ValueError(f"a row has numbers in the shape {array.shape[1:]}")
        return array.reshape(len(people), *tail)

    keypoints = column(lambda row: numbers_of(row, "keypoints", joints), np.float64, joints, 3)
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
    _possible(truth)
    return truth


def _possible(truth: GroundTruth) -> None:
    """Refuse numbers that no annotation can have, naming the first."""
    finite = {
        "bbox": np.isfinite(truth.box).all(axis=1),
        "area": np.isfinite(truth.area),
        "keypoints": np.isfinite(truth.keypoints).all(axis=(1, 2)),
    }
    for what, good in finite.items():
        if not good.all():
            raise ValueError(f"{what} of annotation {truth.id[good.argmin()]} is not finite")
    far = np.abs(truth.box).max(axis=1, initial=0) > FARTHEST
    far |= np.abs(truth.keypoints).max(axis=(1, 2), initial=0) > FARTHEST
    far |= truth.area > FARTHEST**2
    if far.any():
        raise ValueError(f"annotation {truth.id[far.argmax()]} lies beyond {FARTHEST:,.0f} px")
    negative = (truth.box[:, 2:] < 0).any(axis=1) | (truth.area < 0)
    if negative.any():
        raise ValueError(f"annotation {truth.id[negative.argmax()]} has a negative size")
