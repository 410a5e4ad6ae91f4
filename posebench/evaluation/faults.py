"""What to do about images and annotations that cannot be used: refuse all at once, or skip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from posebench.datasets.layout_checks import check_images, missing_images
from posebench.inference.image_io import bad_images
from posebench.types.arrays import Dataset
from posebench.types.dataset import DatasetSpec
from posebench.types.errors import UserError
from posebench.types.faults import OnError, counted, refuse
from posebench.types.progress import Progress
from posebench.types.record import Skipped


def usable(
    spec: DatasetSpec,
    dataset: Dataset,
    on_error: OnError,
    threads: int = 1,
    progress: Progress | None = None,
) -> Dataset:
    """Return a dataset that an evaluation may start on.

    Args:
        spec: Of the registry.
        dataset: Read with ``tolerant``.
        on_error: ``fail`` reads no image as long as all is well; ``skip`` reads each of them
            before anything is estimated, so that shares and resumed runs skip the same.
        threads: That read images.
        progress: Called with (``reading images``, done, all).

    Returns:
        With ``skip`` all of its faults are known.

    Raises:
        UserError: Half of the images or more are missing: they still have to be brought here.
            With ``fail`` also any fault; all of them are listed.
    """
    missing = len(missing_images(dataset))
    if 2 * missing >= len(dataset.images):
        check_images(spec, dataset)
    if on_error == "fail" and not missing and not dataset.faults:
        return dataset
    found = (*dataset.faults, *bad_images(dataset.images, threads, progress))
    if on_error == "fail":
        raise refuse(_where(dataset), found)
    return replace(dataset, faults=found, complete=dataset.complete and not found)


def all_faults(dataset: Dataset, threads: int) -> UserError | None:
    """Return the error that lists everything that cannot be used, None if all can by now.

    For a run that met the first bad image: the others shall not come one a run.
    """
    found = (*dataset.faults, *bad_images(dataset.images, threads))
    return refuse(_where(dataset), found) if found else None


def _where(dataset: Dataset) -> str:
    return f"{dataset.annotations_file} with its images"


def skipped_of(dataset: Dataset) -> Skipped | None:
    """Return what an evaluation went on without, for its record; None for nothing."""
    if not dataset.faults:
        return None
    truth, images = dataset.truth, dataset.images
    lost = np.delete(images.id, dataset.usable_images())
    gone = np.isin(truth.image_id, lost) | np.isin(truth.id, dataset.unusable_persons())
    kinds = [fault.kind for fault in dataset.faults]
    return Skipped(
        images=kinds.count("image"),
        annotations=kinds.count("annotation"),
        persons=int((gone & (truth.num_keypoints > 0) & ~truth.crowd).sum()),
        faults=tuple(fault.text for fault in dataset.faults),
    )


def skipped_note(dataset: Dataset) -> tuple[str, ...]:
    """Return one sentence for people who read the record, if anything was skipped."""
    skipped = skipped_of(dataset)
    if skipped is None:
        return ()
    words = counted(dataset.faults)
    return (f"skipped {words}; {skipped.persons} annotated persons count as missed for it",)
