"""Some images of a dataset with their annotations: a sample, or those of given rows."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from posebench.types.arrays import Dataset, GroundTruth, Images, Ints, take
from posebench.types.dataset import Sample


def restrict(dataset: Dataset, sample: Sample) -> Dataset:
    """Return some images of a dataset, in the order of its file, with their annotations.

    Faults stay, also those of other images: what is wrong with a file does not depend on how much
    of it is evaluated.

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
    return replace(dataset, images=kept, truth=truth, complete=False)


def _sampled(ids: Ints, sample: Sample) -> Ints:
    """Rows of the images of a sample, ascending."""
    if sample.order == "file":
        return np.arange(sample.limit)
    digests = [hashlib.sha256(str(image_id).encode()).digest() for image_id in ids.tolist()]
    return np.sort(np.array(sorted(range(len(ids)), key=digests.__getitem__)[: sample.limit]))


def unannotated(name: str, images: Images, keypoint_set: str) -> Dataset:
    """Return images as a dataset in which no one is annotated.

    Args:
        name: The dataset's id.
        images: Any.
        keypoint_set: Of what will be estimated.
    """
    nothing = np.zeros(0, np.int64)
    truth = GroundTruth(
        id=nothing,
        image_id=nothing,
        box=np.zeros((0, 4)),
        area=np.zeros(0),
        keypoints=np.zeros((0, 1, 3)),
        num_keypoints=nothing,
        crowd=np.zeros(0, np.bool_),
        ignore=np.zeros(0, np.bool_),
    )
    return Dataset(name, keypoint_set, images, truth, 1, "none", "", False)
