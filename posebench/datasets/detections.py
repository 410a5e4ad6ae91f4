"""A detector's file of person boxes -> ``Detections``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posebench.datasets.coco import WRONG
from posebench.datasets.files import kind_of, read_json
from posebench.types.arrays import Dataset, Floats, Ints
from posebench.types.errors import UserError


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

    Only the dataset's person category counts, and boxes in images of the dataset.  A box whose
    width or height is not positive is read, but nobody is cropped by it.

    Raises:
        UserError: The file is no such list, holds numbers that are not finite, or has no
            person's box in any image of the dataset.
    """
    content, digest = read_json(path, "The box file")
    hint = "It must be a list of {image_id, category_id, bbox: [x, y, w, h], score}."
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise UserError(
            f"{path} is no list of detections: it holds {kind_of(content).words}.", hint
        )
    known = {image_id: i for i, image_id in enumerate(dataset.images.id.tolist())}
    try:
        here = [(place, det) for place, det in enumerate(content) if int(det["image_id"]) in known]
        rows = [
            (known[int(det["image_id"])], place, det["bbox"], det["score"])
            for place, det in here
            if det["category_id"] == dataset.category_id
        ]
        box = np.array([row[2] for row in rows], np.float64).reshape(len(rows), 4)
        score = np.array([row[3] for row in rows], np.float64).reshape(len(rows))
    except WRONG as error:
        raise UserError(
            f"{path} has an entry that is no detection ({type(error).__name__}: {error}).", hint
        ) from error
    if not rows:
        raise _nobody(path, content, here, dataset)
    finite = np.isfinite(box).all(axis=1) & np.isfinite(score)
    if not finite.all():
        raise UserError(
            f"{path} holds boxes or scores that are not finite numbers, the first in entry "
            f"{rows[finite.argmin()][1]}.",
            hint,
        )
    index = np.array([row[0] for row in rows], np.int64)
    order = np.argsort(index, kind="stable")
    return Detections(
        name=path.name,
        sha256=digest,
        read=len(content),
        box=box[order],
        score=score[order],
        image_index=index[order],
        position=np.array([row[1] for row in rows], np.int64)[order],
    )


def _nobody(path: Path, content: list[Any], here: list[Any], dataset: Dataset) -> UserError:
    if here:
        return UserError(
            f"None of the {len(here)} boxes of {path} in images of this dataset has the category "
            f"{dataset.category_id} of its persons.",
            f"Write category_id {dataset.category_id} for persons.",
        )
    return UserError(
        f"None of the {len(content)} boxes of {path} lies in an image of this dataset.",
        "Check that boxes and annotations belong to the same images.",
    )
