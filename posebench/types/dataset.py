"""DatasetSpec: what the registry knows about one dataset."""

from __future__ import annotations

from pydantic import Field

from posebench.types.base import Frozen
from posebench.types.entry import Id


class BoxFile(Frozen):
    """A detector file that protocols call by name, and what proves that a file is this one.

    Attributes:
        path: Usual place below the data root.
        boxes: Boxes in the published file, of all images; None where posebench draws it.
        box_ap: AP of the boxes on the whole split, percent, to one decimal.
    """

    path: str
    boxes: int | None = None
    box_ap: float | None = None


class DatasetSpec(Frozen):
    """One dataset that numbers were published on.

    Attributes:
        id: Name that entries and ``--dataset`` use.
        keypoints: Name of the annotated keypoint set, see ``posebench.keypoints``.
        readable: Whether this version of posebench has a reader for its annotations.
        annotation_file: Path below the data root; ``{annotations}`` stands for the protocol's
            choice.
        image_folder: Folder of the images below the data root.
        box_files: Detector files by the name that protocols use; the first is the usual one.
        images: Images of the whole published split; None where posebench itself draws them, or
            where no split was published.
        licence: Terms of annotations and images.
        citation: BibTeX.
        how_to_get: One sentence for a user who does not have the files.
        links: Addresses that sentence speaks of.
    """

    id: Id
    title: str
    keypoints: str
    readable: bool = False
    annotation_file: str
    image_folder: str
    box_files: dict[str, BoxFile] = Field(default_factory=dict)
    images: int | None = None
    licence: str
    homepage: str = ""
    citation: str = ""
    how_to_get: str
    links: tuple[str, ...] = ()
