"""Columnar types: one numpy array per field, N rows. Never mutated after construction.

Pixel coordinates are continuous image coordinates in which the centre of the top-left pixel is
(0, 0), x to the right, y down, as in COCO annotations and OpenCV.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from posebench.types.dataset import CompleteBy, Sample
from posebench.types.faults import Fault

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


def _freeze(instance: object) -> None:
    for each in fields(instance):  # type: ignore[arg-type]
        value = getattr(instance, each.name)
        if isinstance(value, np.ndarray):
            value = value.view()
            value.flags.writeable = False
            object.__setattr__(instance, each.name, value)


def _columns(instance: object) -> dict[str, Any]:
    values = {f.name: getattr(instance, f.name) for f in fields(instance)}  # type: ignore[arg-type]
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a dataset.

    Attributes:
        id: (M,) int64 dataset ids.
        file_name: M names relative to ``root``.
        width: (M,) int64 pixels; 0 where the annotations do not say (MPII).
        height: (M,) int64 pixels, likewise.
        root: Folder of the files.
        crowd_index: (M,) how much the persons overlap, 0 to 1 (CrowdPose); else None.
    """

    id: Ints
    file_name: tuple[str, ...]
    width: Ints
    height: Ints
    root: Path
    crowd_index: Floats | None = None

    def __post_init__(self) -> None:
        _freeze(self)

    def __len__(self) -> int:
        return len(self.id)

    def path(self, index: int) -> Path:
        """Return the file of image ``index`` (row number, not id)."""
        return self.root / self.file_name[index]


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Annotated persons, one row each.

    Attributes:
        id: (G,) int64 annotation ids.
        image_id: (G,) int64.
        box: (G, 4) float64 x, y, width, height, px, as annotated.
        area: (G,) float64 px^2, the annotation's own (segment) area.
        keypoints: (G, K, 3) float64 x, y px and visibility.
        num_keypoints: (G,) int64 labelled keypoints: as COCO's file says, else counted.
        crowd: (G,) bool.
        ignore: (G,) bool, the annotation's own ignore flag.
        centre: (G, 2) float64 px as annotated (MPII counts from 1); None where the dataset has
            boxes only.
        scale: (G,) float64 person height in units of 200 px, likewise.
        head_size: (G,) float64 px, diagonal of the annotated head box (MPII); else None.
    """

    id: Ints
    image_id: Ints
    box: Floats
    area: Floats
    keypoints: Floats
    num_keypoints: Ints
    crowd: NDArray[np.bool_]
    ignore: NDArray[np.bool_]
    centre: Floats | None = None
    scale: Floats | None = None
    head_size: Floats | None = None

    def __post_init__(self) -> None:
        _freeze(self)

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with ground truth.

    Attributes:
        id: Id in ``registry/datasets.yaml``.
        keypoint_set: Name of the annotated keypoint set.
        category_id: Category of the persons in the file.
        annotations_sha256: Digest of the annotation file's bytes.
        complete: Whether this is the whole published split.
        complete_by: What shows that the annotation file is the published one; None where it is
            not, or nothing shows it.
        own_data: Whether the annotations are somebody's own, see ``DatasetInfo``.
        sample: How its images were chosen; None for all of the annotation file.
        faults: Images and annotations that cannot be used. Their persons stay in ``truth``: a
            row that could not be read stands there as one that no prediction can match.
    """

    id: str
    keypoint_set: str
    images: Images
    truth: GroundTruth
    category_id: int
    annotations_file: str
    annotations_sha256: str
    complete: bool
    faults: tuple[Fault, ...] = ()
    sample: Sample | None = None
    complete_by: CompleteBy | None = None
    own_data: bool = False

    def usable_images(self) -> Ints:
        """Return the rows of the images that can be used."""
        bad = [fault.image for fault in self.faults if fault.image is not None]
        return np.setdiff1d(np.arange(len(self.images)), np.array(bad, np.int64))

    def unusable_persons(self) -> Ints:
        """Return the ids of the ground-truth rows that stand for unreadable annotations."""
        return np.array([i for fault in self.faults for i in fault.persons], np.int64)


@dataclass(frozen=True, eq=False)
class Persons:
    """Persons to estimate: where to crop.

    Attributes:
        image_index: (N,) int64 row in ``Dataset.images``.
        person_id: (N,) int64 annotation id for ground truth, position in the file for detections.
        box: (N, 4) float64 x, y, width, height, px, after sanitising.
        centre: (N, 2) float32 px, as the references hold it.
        scale: (N, 2) float32 padded width and height over ``pixel_std``.
        score: (N,) float64 box score; 1 for ground truth.
        source: ``gt``, ``detector`` or the file's name.
    """

    image_index: Ints
    person_id: Ints
    box: Floats
    centre: Floats
    scale: Floats
    score: Floats
    source: str

    def __post_init__(self) -> None:
        _freeze(self)

    def __len__(self) -> int:
        return len(self.person_id)


@dataclass(frozen=True, eq=False)
class Predictions:
    """Raw output of a model, before rescoring and suppression.

    Attributes:
        keypoints: (N, K, 2) float32 px in the original image.
        joint_scores: (N, K) float32 peak values.
        box: (N, 4) float64 x, y, width, height, px: what was cropped, before padding.
        box_score: (N,) float64.
        crop_area: (N,) float64 px^2 of the padded crop (OKS-NMS uses it).
        image_id: (N,) int64.
        person_id: (N,) int64, see ``Persons``.
        keypoint_set: Name of the keypoint set of the K joints.
    """

    keypoints: Floats
    joint_scores: Floats
    box: Floats
    box_score: Floats
    crop_area: Floats
    image_id: Ints
    person_id: Ints
    keypoint_set: str

    def __post_init__(self) -> None:
        _freeze(self)

    def __len__(self) -> int:
        return len(self.person_id)


Columns = TypeVar("Columns", GroundTruth, Persons, Predictions)


def take(columns: Columns, rows: Any) -> Columns:
    """Return some rows of a columnar type, in the order given (indices or a mask)."""
    changes: dict[str, Any] = {name: value[rows] for name, value in _columns(columns).items()}
    return replace(columns, **changes)


def join(parts: Sequence[Columns]) -> Columns:
    """Return the rows of several parts below each other; what is not a column is the first's."""
    names = _columns(parts[0])
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in names
    }
    return replace(parts[0], **joined)


@dataclass(frozen=True, eq=False)
class Results:
    """Predictions after rescoring and suppression.

    Attributes:
        predictions: The raw rows they were computed from.
        score: (N,) float64 instance scores.
        kept: (N,) bool, False for suppressed persons.
    """

    predictions: Predictions
    score: Floats
    kept: NDArray[np.bool_]

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True)
class Scores:
    """What an evaluator found.

    Attributes:
        values: Metric name -> value, accuracy in percent; NaN where nothing was annotated.
        intervals: Metric name -> (low, high) 95 % percentile interval over images.
        scorer: Name and version of the evaluator, e.g. ``pycocotools 2.0.11``.
        persons: Annotated persons that count (with labelled keypoints, no crowds).
        images: Images with such a person.
        samples: Metric name -> (B,) values of the bootstrap samples that the intervals were made
            of; empty where there are none.
    """

    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    scorer: str
    persons: int
    images: int = 0
    samples: Mapping[str, Floats] = field(default_factory=dict)
