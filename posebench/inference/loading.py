"""Images -> batches of crops: each image is decoded once, threads crop its persons."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posebench.inference.crop import crop_person
from posebench.inference.image_io import ImageDigests, open_image
from posebench.types.arrays import Dataset, Ints, Persons
from posebench.types.entry import InputSpec

IMAGES_AHEAD = 4  # decoded images in flight per thread: enough to hide decoding, flat in memory

Rows = Ints
Crops = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops of some persons.

    Attributes:
        rows: (n,) rows of ``Persons``.
        crops: (B, H, W, 3) uint8 BGR; rows n to B are zero padding.
    """

    rows: Rows
    crops: Crops


def batches(
    dataset: Dataset,
    persons: Persons,
    spec: InputSpec,
    batch_size: int,
    threads: int,
    digests: ImageDigests | None = None,
) -> Iterator[Batch]:
    """Yield the persons' crops, in order of images, always ``batch_size`` a batch.

    The last batch is padded with zeros so that every forward pass has one shape and results
    do not depend on how many persons are left.  ``digests`` takes those of the image files.

    Raises:
        BadImage: An image is missing or broken.
    """
    height, width = spec.size
    rows: list[int] = []
    crops = np.zeros((batch_size, height, width, 3), np.uint8)
    for image_rows, image_crops in _cropped_images(dataset, persons, spec, threads, digests):
        for row, crop in zip(image_rows, image_crops, strict=True):
            crops[len(rows)] = crop
            rows.append(int(row))
            if len(rows) == batch_size:
                yield Batch(np.array(rows, np.int64), crops)
                rows, crops = [], np.zeros_like(crops)
    if rows:
        yield Batch(np.array(rows, np.int64), crops)


def _cropped_images(
    dataset: Dataset,
    persons: Persons,
    spec: InputSpec,
    threads: int,
    digests: ImageDigests | None,
) -> Iterator[tuple[Rows, list[Crops]]]:
    """Yield (rows, crops) image by image, in order, with a bounded number in flight."""
    order = np.argsort(persons.image_index, kind="stable")
    starts = np.flatnonzero(np.diff(persons.image_index[order])) + 1
    groups = np.split(order, starts) if len(order) else []

    def work(rows: Rows) -> list[Crops]:
        image = open_image(dataset.images, int(persons.image_index[rows[0]]), spec.exif, digests)
        return [crop_person(image, persons, int(row), spec) for row in rows]

    with ThreadPoolExecutor(max_workers=threads) as pool:
        pending: deque[tuple[Rows, Future[list[Crops]]]] = deque()
        todo = iter(groups)
        try:
            for rows in todo:
                pending.append((rows, pool.submit(work, rows)))
                if len(pending) > threads * IMAGES_AHEAD:
                    done, future = pending.popleft()
                    yield done, future.result()
            while pending:
                done, future = pending.popleft()
                yield done, future.result()
        finally:
            for _, future in pending:
                future.cancel()
