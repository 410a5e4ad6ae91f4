"""DatasetSpec: what the registry knows about one dataset."""

from __future__ import annotations

from posebench.types.base import Frozen
from posebench.types.entry import Id


class DatasetSpec(Frozen):
    """One dataset that numbers were published on.

    Attributes:
        id: Name that entries and ``--dataset`` use.
        keypoints: Name of the annotated keypoint set, see ``posebench.keypoints``.
        readable: Whether this version of posebench has a reader for its annotations.
        annotation_file: Path below the data root; ``{annotations}`` stands for the protocol's
            choice.
        image_folder: Folder of the images below the data root.
        detections: Usual path of the detector file below the data root; None where there is none.
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
    detections: str | None = None
    images: int | None = None
    licence: str
    homepage: str = ""
    citation: str = ""
    how_to_get: str
    links: tuple[str, ...] = ()
