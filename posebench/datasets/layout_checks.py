"""What of a dataset lies on disk, and what to say when that is not all of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from posebench.datasets.mpii import head_files
from posebench.types.arrays import Dataset
from posebench.types.dataset import DatasetSpec
from posebench.types.errors import UserError

# The scorer that cannot work without the size of each head.
NEEDS_HEADS = "mpii_pckh"


def check_places(spec: DatasetSpec, annotations: Path, images: Path) -> None:
    """Check that an annotation file and an image folder are there at all.

    Raises:
        UserError: One is not; the sentence says what is there, what is missing and which
            download still lies packed beside it.
    """
    file, count = annotations.is_file(), _files_in(images)
    if file and count:
        return
    folder = f"holds {_plural(count, 'file')}" if count else "is empty"
    raise UserError(
        f"{spec.title} is not complete: {annotations} {'is there' if file else 'is missing'}, "
        f"{images} {folder if images.is_dir() else 'is missing'}.",
        _what_to_do(spec, [annotations.parent, images]),
    )


def check_images(spec: DatasetSpec, dataset: Dataset) -> None:
    """Check that every image that the annotations list lies in the image folder.

    Raises:
        UserError: Some do not; the sentence says how many and names the first.
    """
    images, missing = dataset.images, missing_images(dataset)
    if not missing:
        return
    count, total = len(missing), len(images)
    has = f"{total - count:,} of the {total:,} images" if count < total else "no image"
    raise UserError(
        f"{images.root} has {has} that {dataset.annotations_file} lists: "
        f"{_plural(count, 'is', 'are')} missing, the first is {missing[0]}.",
        _what_to_do(spec, [images.root]),
    )


def missing_images(dataset: Dataset) -> list[str]:
    """Return the images that the annotations list and the image folder lacks, in their order."""
    images = dataset.images
    known = _listing({Path(name).parent for name in images.file_name}, images.root)
    return [name for name in images.file_name if str(Path(name)) not in known]


def check_heads(spec: DatasetSpec, dataset: Dataset, annotations: Path) -> None:
    """Check that a dataset that is scored by head sizes has them.

    Raises:
        UserError: It has none; the sentence says which file was looked for.
    """
    if spec.official_scorer != NEEDS_HEADS or dataset.truth.head_size is not None:
        return
    names = dict.fromkeys(path.name for path in head_files(annotations))
    raise UserError(
        f"{spec.title} is not complete: {annotations} is there, but the sizes of the heads are "
        f"missing, neither {' nor '.join(names)} lies beside it.",
        _what_to_do(spec, [annotations.parent]),
    )


def _files_in(folder: Path) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(1 for _ in entries)
    except OSError:
        return 0


def _listing(folders: Iterable[Path], root: Path) -> set[str]:
    """Files below ``root``, by folder: one look each, not one a file."""
    found: set[str] = set()
    for folder in folders:
        try:
            found.update(str(folder / path.name) for path in (root / folder).iterdir())
        except OSError:
            continue
    return found


def _what_to_do(spec: DatasetSpec, folders: Iterable[Path]) -> str:
    """Name downloads that lie packed in or above some folders; else, where to download."""
    places = dict.fromkeys(p for folder in folders for p in (folder, folder.parent))
    places |= dict.fromkeys(place.parent for place in list(places))
    archives = dict.fromkeys(file.archive for file in spec.files if file.archive)
    packed = [str(p / archive) for archive in archives for p in places if (p / archive).is_file()]
    if packed:
        return f"{' and '.join(packed)} still has to be unpacked. {spec.how_to_get}"
    wanted = [f"{file.path} from {file.url}" for file in spec.files if file.url]
    return " ".join([spec.how_to_get, *([f"Files: {'; '.join(wanted)}."] if wanted else [])])


def _plural(count: int, word: str, several: str = "") -> str:
    return f"{count:,} {word if count == 1 else several or word + 's'}"
