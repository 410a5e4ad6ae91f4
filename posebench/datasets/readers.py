"""Every annotation layout posebench reads, by the name that ``datasets.yaml`` uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from posebench.keypoints import keypoint_set as named_set
from posebench.plugins import PluginTable
from posebench.types.arrays import Dataset
from posebench.types.errors import UserError


class Reader(Protocol):
    """Annotation file and image folder -> ``Dataset``; raises ``UserError`` if they do not fit.

    A reader of another package makes its ``Dataset`` of ``Images`` and ``GroundTruth``, whose
    docstrings give shapes and units; ``complete`` stays False, which the caller judges.

    Example:
        ``tests/plugin_package/posebench_dots/data.py`` has one of thirty lines.
    """

    def __call__(
        self,
        annotations: Path,
        images: Path,
        *,
        dataset_id: str,
        keypoint_set: str,
        tolerant: bool = False,
    ) -> Dataset:
        """Read; what makes the split whole is for the caller to judge."""


READERS: PluginTable[Reader] = PluginTable(
    "reader",
    "posebench.readers",
    {
        "coco": "posebench.datasets.coco:load_coco",
        "halpe": "posebench.datasets.halpe:load_halpe",
        "wholebody": "posebench.datasets.wholebody:load_wholebody",
        "hands": "posebench.datasets.wholebody:load_hands",
        "mpii": "posebench.datasets.mpii:load_mpii",
        "crowdpose": "posebench.datasets.crowdpose:load_crowdpose",
    },
)


def read_annotations(
    reader: str,
    annotations: Path,
    images: Path,
    *,
    dataset_id: str,
    keypoint_set: str,
    tolerant: bool = False,
) -> Dataset:
    """Read annotations with the reader of a name, and refuse what is not a dataset.

    Args:
        reader: A key of ``READERS``.
        annotations: File.
        images: Folder.
        dataset_id: Id in the registry.
        keypoint_set: Name of the annotated keypoint set, of K keypoints.
        tolerant: Keep going past annotations that cannot be used: ``Dataset.faults`` has them.

    Raises:
        UserError: The reader is unknown, refuses the file, or gives something else.
    """
    read = READERS[reader]
    found: Any = read(
        annotations, images, dataset_id=dataset_id, keypoint_set=keypoint_set, tolerant=tolerant
    )
    wrong = _wrong(found, dataset_id, keypoint_set)
    if wrong:
        raise UserError(
            f"The reader {reader!r} of {READERS.owner(reader)} gave {wrong}.",
            "Update the package that brings it.",
        )
    dataset: Dataset = found
    return dataset


def _wrong(found: Any, dataset_id: str, keypoint_set: str) -> str:
    """Say what is wrong with what a reader gave; empty if nothing is."""
    if not isinstance(found, Dataset):
        return f"an object of type {type(found).__name__}, not a Dataset"
    if (found.id, found.keypoint_set) != (dataset_id, keypoint_set):
        return f"{found.id} with {found.keypoint_set}, not {dataset_id} with {keypoint_set}"
    truth, images = found.truth, found.images
    shapes = {
        "image ids": (images.id.shape, (len(images.file_name),)),
        "keypoints": (truth.keypoints.shape, (len(truth), len(named_set(keypoint_set)), 3)),
        "boxes": (truth.box.shape, (len(truth), 4)),
        "image ids of persons": (truth.image_id.shape, (len(truth),)),
        "areas": (truth.area.shape, (len(truth),)),
    }
    for what, (shape, expected) in shapes.items():
        if shape != expected:
            return f"{what} of shape {shape}, not {expected}"
    stray = set(truth.image_id.tolist()) - set(images.id.tolist())
    return f"a person of image {min(stray)}, which it does not have" if stray else ""
