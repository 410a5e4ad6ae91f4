"""A detector's file of person boxes -> ``Detections``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from posebench.datasets.file_kinds import kind_of
from posebench.datasets.rows import FARTHEST, MOST, Rows, places_of
from posebench.files import read_json
from posebench.types.arrays import Dataset, Floats, Ints
from posebench.types.errors import UserError
from posebench.types.faults import Fault, refuse


@dataclass(frozen=True, eq=False)
class Detections:
    """The person boxes of a detector file that lie in a dataset's images.

    Attributes:
        name: File name.
        sha256: Digest of the file.
        read: Boxes in the file, of any category and image.
        box: (N, 4) float64 x, y, width, height, px, as detected.
        score: (N,) float64.
        image_index: (N,) int64 row in ``Dataset.images``.
        position: (N,) int64 place in the file.
    """

    name: str
    sha256: str
    read: int
    box: Floats
    score: Floats
    image_index: Ints
    position: Ints

    def __len__(self) -> int:
        return len(self.score)


def read_detections(path: Path, dataset: Dataset) -> Detections:
    """Read a detector's boxes: a JSON list of {image_id, category_id, bbox, score}.

    Only the dataset's person category counts, and boxes in images of the dataset; every row must
    be sound all the same, so that what is wrong with a file does not depend on the images that
    are evaluated.  A box whose width or height is not positive is read, but no one is cropped by
    it.

    Raises:
        UserError: The file is no such list, has rows that are not as they must be (the sentence
            lists them), or has no person's box in any image of the dataset.
    """
    content, digest = read_json(path, "The box file")
    hint = "It must be a list of {image_id, category_id, bbox: [x, y, w, h], score}."
    if not isinstance(content, list) or not _any_object(content):
        raise UserError(
            f"{path} is not a list of detections: it holds {kind_of(content).words}.", hint
        )
    rows = Rows.of(content, lambda place: f"entry {place}")
    image_id, category = rows.whole("image_id"), rows.whole("category_id")
    box = rows.numbers("bbox", 4, most=FARTHEST)
    score = rows.number("score", least=-MOST, most=MOST)
    if rows.faults:
        raise refuse(str(path), [Fault("row", text) for _, text in rows.told()], hint)
    index = places_of(dataset.images.id, image_id)
    here = np.flatnonzero((index >= 0) & (category == dataset.category_id))
    if not len(here):
        raise _nobody(path, len(content), int((index >= 0).sum()), dataset)
    position = here[np.argsort(index[here], kind="stable")]
    return Detections(
        name=path.name,
        sha256=digest,
        read=len(content),
        box=box[position],
        score=score[position],
        image_index=index[position],
        position=position.astype(np.int64),
    )


def _any_object(rows: list[object]) -> bool:
    return not rows or any(isinstance(row, dict) for row in rows)


def _nobody(path: Path, count: int, here: int, dataset: Dataset) -> UserError:
    if here:
        return UserError(
            f"None of the {here} boxes of {path} in images of this dataset has the category "
            f"{dataset.category_id} of its persons.",
            f"Write category_id {dataset.category_id} for persons.",
        )
    return UserError(
        f"None of the {count} boxes of {path} lies in an image of this dataset.",
        "Check that boxes and annotations belong to the same images.",
    )
