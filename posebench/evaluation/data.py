"""Where annotations, images and boxes lie, and what to say when they do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from posebench.datasets.detections import Detections, read_detections
from posebench.datasets.layout_checks import (
    check_heads,
    check_images,
    check_places,
    missing_images,
)
from posebench.datasets.readers import read_annotations
from posebench.datasets.sample import restrict
from posebench.downloads.cache import cache_folder
from posebench.downloads.data_root import DATA_ROOT, named_root
from posebench.inference.image_io import bad_images
from posebench.progress import Progress
from posebench.types.arrays import Dataset
from posebench.types.dataset import CompleteBy, DatasetSpec, Sample
from posebench.types.errors import UserError
from posebench.types.faults import OnError, refuse
from posebench.types.request import DataPaths


@dataclass(frozen=True)
class Drawing:
    """A folder of pictures and annotations that posebench draws itself.

    Attributes:
        folder: Its name in the cache.
        write: Draws it below a folder, unless it lies there whole, and returns where.
    """

    folder: str
    write: Callable[[Path], Path]


def _figures() -> Drawing:
    from posebench.synthetic.keypoints_dataset import write_synthetic

    return Drawing("synthetic", write_synthetic)


def _bodies() -> Drawing:
    from posebench.synthetic.body_dataset import write_synthetic_body

    return Drawing("synthetic_body", write_synthetic_body)


# Datasets that the package draws itself; all tasks but COCO's 17 keypoints share one folder.
DRAWN: dict[str, Callable[[], Drawing]] = {
    "synthetic": _figures,
    "synthetic_mpii": _bodies,
    "synthetic_halpe_26": _bodies,
    "synthetic_halpe_136": _bodies,
    "synthetic_wholebody": _bodies,
}


def under_root(spec: DatasetSpec, paths: DataPaths, relative: str) -> Path:
    """Return a path below the data root.

    Raises:
        UserError: No root was given, or it is not a folder.
    """
    root = data_root(spec, paths.data_root)
    if root is None:
        raise UserError(
            f"Where is {spec.title}? Neither --data-root nor {DATA_ROOT} is given.",
            f"It holds {Path(spec.annotation_file).parent}/ and {spec.image_folder}/. "
            f"{spec.how_to_get}",
        )
    if not root.is_dir():
        raise UserError(
            f"{spec.title} cannot be in {root}: there is no such folder.",
            f"Check --data-root and {DATA_ROOT}.",
        )
    return root / relative


def sample_of(limit: int) -> Sample:
    """Return what ``--limit`` asks for.

    Raises:
        UserError: The limit is not positive.
    """
    if limit < 1:
        raise UserError(f"--limit {limit} leaves no image.", "Give a number of images from 1 up.")
    return Sample(limit=limit)


def data_root(spec: DatasetSpec, given: Path | None) -> Path | None:
    """Return the folder of a dataset, drawing it first where posebench draws it itself."""
    if given is not None:
        return given
    if spec.id in DRAWN:
        drawing = DRAWN[spec.id]()
        return drawing.write(cache_folder() / drawing.folder)
    return named_root(None)


def open_dataset(
    spec: DatasetSpec,
    paths: DataPaths,
    annotations: str,
    *,
    with_images: bool = True,
    on_error: OnError = "fail",
    threads: int = 1,
    progress: Progress | None = None,
) -> Dataset:
    """Load a dataset's annotations.

    Args:
        spec: Of the registry.
        paths: Given paths; what is not given is looked for in the usual layout.
        annotations: The protocol's annotation file, a stem.
        with_images: Whether the images have to be there; scoring looks at none.
        on_error: What to do about images and annotations that cannot be used, see
            ``usable``.
        threads: That read images, where they are read.
        progress: Called with (``reading images``, done, all).

    Raises:
        UserError: Something is missing; the message says what was looked for and where.
    """
    file, folder = _places(spec, paths, annotations)
    if with_images or not file.is_file():
        check_places(spec, file, folder)
    dataset = read_annotations(
        spec.reader,
        file,
        folder,
        dataset_id=spec.id,
        keypoint_set=spec.keypoints,
        tolerant=with_images,
    )
    dataset = _compared_with_published(spec, dataset, annotations)
    if paths.limit is not None:
        dataset = restrict(dataset, sample_of(paths.limit))
    if with_images:
        dataset = usable(spec, dataset, on_error, threads, progress)
    check_heads(spec, dataset, file)
    return dataset


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


def _places(spec: DatasetSpec, paths: DataPaths, annotations: str) -> tuple[Path, Path]:
    """Annotation file and image folder: of the layout most of which is there, the usual first."""
    places = [
        (
            paths.annotations or under_root(spec, paths, file),
            paths.images or under_root(spec, paths, folder),
        )
        for file, folder in spec.layouts(annotations)
    ]
    return max(places, key=lambda place: place[0].is_file() + place[1].is_dir())


def _compared_with_published(spec: DatasetSpec, dataset: Dataset, annotations: str) -> Dataset:
    """Say whether an annotation file is the published one, and what shows it.

    A published digest decides; where none is known, a file of the usual name with as many images
    and persons as were published.  A file of another name, or of a dataset that no one published
    anything about, is somebody's own data.
    """
    stem = Path(dataset.annotations_file).stem
    usual = {Path(file).stem for file, _ in spec.layouts(annotations)}
    known = [spec.annotation_sha256[name].lower() for name in usual & set(spec.annotation_sha256)]
    pairs = ((spec.images, len(dataset.images)), (spec.persons, len(dataset.truth)))
    counts = [expected == found for expected, found in pairs if expected is not None]
    by: CompleteBy | None = None
    if dataset.annotations_sha256 in known:
        by = "sha256"
    elif stem in usual - set(spec.annotation_sha256) and counts and all(counts):
        by = "counts"
    own = by is None and (stem not in usual or not spec.published)
    return replace(dataset, complete=by is not None, complete_by=by, own_data=own)


def open_boxes(
    spec: DatasetSpec, paths: DataPaths, dataset: Dataset, name: str | None
) -> Detections:
    """Read the detector boxes a protocol asks for.

    Args:
        spec: Of the registry.
        paths: A given box file goes before the usual one.
        dataset: Whose images count.
        name: The protocol's name of the boxes; boxes that no one published are replaced by the
            dataset's usual ones.

    Raises:
        UserError: There is no such file.
    """
    usual = spec.box_files.get(name or "") or next(iter(spec.box_files.values()), None)
    if paths.boxes is None and usual is None:
        raise UserError(f"No detector file is known for {spec.title}.", "Give one with --boxes.")
    file = paths.boxes or under_root(spec, paths, usual.path if usual else "")
    if not file.is_file():
        raise UserError(
            f"The detector boxes {file} do not exist.",
            f"Give a file with --boxes. {spec.how_to_get}",
        )
    return read_detections(file, dataset)


def proven_name(spec: DatasetSpec, dataset: Dataset, found: Detections, area: float) -> str:
    """Return the name under which boxes may stand in a protocol: checked, not believed.

    A published file is recognised by its digest; where that is not known, by its number of boxes
    and, on the whole split, by its box AP to one decimal.

    Args:
        spec: Of the registry.
        dataset: That the boxes were read for.
        found: The boxes.
        area: Their AP on ``dataset``, percent.

    Returns:
        The published name, or the file's own.
    """
    for name, published in spec.box_files.items():
        if published.sha256 is not None:
            same = found.sha256 == published.sha256.lower()
        else:
            whole = not dataset.complete or published.box_ap == round(area, 1)
            same = found.read == published.boxes and whole
        if same:
            return name
    return found.name
