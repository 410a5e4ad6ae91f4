"""Where annotations, images and boxes lie, and what to say when they do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from posebench.datasets.detections import Detections, read_detections
from posebench.datasets.layout_checks import check_heads, check_places
from posebench.datasets.readers import read_annotations
from posebench.datasets.sample import restrict
from posebench.downloads.cache import cache_folder
from posebench.downloads.data_root import DATA_ROOT, named_root
from posebench.evaluation.faults import usable
from posebench.types.arrays import Dataset
from posebench.types.dataset import CompleteBy, DatasetSpec, Sample
from posebench.types.errors import UserError
from posebench.types.faults import OnError
from posebench.types.progress import Progress


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


@dataclass(frozen=True)
class Sources:
    """What the user said about where data lies.

    Attributes:
        data_root: Folder in the usual layout; None means ``POSEBENCH_DATA``.
        annotations: Annotation file; None means the usual place under the root.
        images: Image folder; None likewise.
        boxes: Detector file; None likewise.
        limit: Only so many images, see ``Sample``.
    """

    data_root: Path | None = None
    annotations: Path | None = None
    images: Path | None = None
    boxes: Path | None = None
    limit: int | None = None

    def under_root(self, spec: DatasetSpec, *parts: str) -> Path:
        """Return a path below the data root.

        Raises:
            UserError: No root was given, or it is no folder.
        """
        root = data_root(spec, self.data_root)
        if root is None:
            raise UserError(
                f"Where does {spec.title} lie? Neither --data-root nor {DATA_ROOT} is given.",
                f"It holds {Path(spec.annotation_file).parent}/ and {spec.image_folder}/. "
                f"{spec.how_to_get}",
            )
        if not root.is_dir():
            raise UserError(
                f"{spec.title} cannot lie in {root}: there is no such folder.",
                f"Check --data-root and {DATA_ROOT}.",
            )
        return root.joinpath(*parts)


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
    sources: Sources,
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
        sources: Given paths; what is not given is looked for in the usual layout.
        annotations: The protocol's annotation file, a stem.
        with_images: Whether the images have to be there; scoring looks at none.
        on_error: What to do about images and annotations that cannot be used, see
            ``posebench.evaluation.faults.usable``.
        threads: That read images, where they are read.
        progress: Called with (``reading images``, done, all).

    Raises:
        UserError: Something is missing; the message says what was looked for and where.
    """
    file, folder = _places(spec, sources, annotations)
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
    if sources.limit is not None:
        dataset = restrict(dataset, sample_of(sources.limit))
    if with_images:
        dataset = usable(spec, dataset, on_error, threads, progress)
    check_heads(spec, dataset, file)
    return dataset


def _places(spec: DatasetSpec, sources: Sources, annotations: str) -> tuple[Path, Path]:
    """Annotation file and image folder: of the layout most of which is there, the usual first."""
    places = [
        (
            sources.annotations or sources.under_root(spec, file),
            sources.images or sources.under_root(spec, folder),
        )
        for file, folder in spec.layouts(annotations)
    ]
    return max(places, key=lambda place: place[0].is_file() + place[1].is_dir())


def _compared_with_published(spec: DatasetSpec, dataset: Dataset, annotations: str) -> Dataset:
    """Say whether an annotation file is the published one, and what shows it.

    A published digest decides; where none is known, a file of the usual name with as many images
    and persons as were published.  A file of another name, or of a dataset that nobody published
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
    spec: DatasetSpec, sources: Sources, dataset: Dataset, name: str | None
) -> Detections:
    """Read the detector boxes a protocol asks for.

    Args:
        spec: Of the registry.
        sources: A given box file goes before the usual one.
        dataset: Whose images count.
        name: The protocol's name of the boxes; boxes that nobody published are replaced by the
            dataset's usual ones.

    Raises:
        UserError: There is no such file.
    """
    usual = spec.box_files.get(name or "") or next(iter(spec.box_files.values()), None)
    if sources.boxes is None and usual is None:
        raise UserError(f"No detector file is known for {spec.title}.", "Give one with --boxes.")
    file = sources.boxes or sources.under_root(spec, usual.path if usual else "")
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
