"""DatasetSpec: what the registry knows about one dataset."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from posebench.types.base import Frozen, Name, Real, Whole, within
from posebench.types.entry import Bytes, Id, Sha256, WebAddress
from posebench.types.paths import (
    FileName,
    PathTemplate,
    RelativePath,
    RelativePlace,
    fill_template,
)

Number = Annotated[Whole, within(0, 1_000_000_000)]
# What shows that a dataset is the whole published split.
CompleteBy = Literal["sha256", "counts"]


class Sample(Frozen):
    """How the images of a subset were chosen.

    Attributes:
        limit: Number of images asked for.
        order: ``sha256_of_id`` takes the images whose id, written in decimal digits, has the
            smallest SHA-256: the same ones for every model, and those of a smaller limit among
            them.  ``file`` took the first ones of the annotation file (schema version 1).
    """

    limit: int = Field(ge=1)
    order: Literal["sha256_of_id", "file"] = "sha256_of_id"


class BoxFile(Frozen):
    """A detector file that protocols call by name, and what proves that a file is this one.

    Attributes:
        path: Usual place below the data root.
        sha256: Digest of the file, where somebody has seen it.
        boxes: Boxes in the published file, of all images; None where the number is not known.
        box_ap: AP of the boxes on the whole split, percent, to one decimal.
    """

    path: RelativePath
    sha256: Sha256 | None = None
    boxes: Number | None = None
    box_ap: Annotated[Real, within(0, 100)] | None = None


class DataFile(Frozen):
    """One file or folder that a user needs on disk, and where it comes from.

    Attributes:
        path: Below the data root, as it lies when everything is unpacked; a folder ends in /.
        what: What it holds, in a few words.
        url: Where it, or the archive that holds it, is published.
        archive: Name of the download that holds it; None where it is downloaded as it is.
        bytes: Size of the download, where known.
        licence: Its own terms.
    """

    path: RelativePlace
    what: str
    url: WebAddress | None = None
    archive: FileName | None = None
    bytes: Bytes | None = None
    licence: str = ""


class DatasetSpec(Frozen):
    """One dataset that numbers were published on.

    Attributes:
        id: Name that entries and ``--dataset`` use.
        keypoints: Name of the annotated keypoint set, see ``posebench.keypoints``.
        reader: Layout of the annotations, see ``posebench.datasets.readers``. ``coco``: COCO's
            keypoint files; ``halpe``: Halpe's 136 keypoints or a part of them; ``wholebody``:
            COCO-WholeBody's lists of parts; ``hands``: the single hands in them; ``mpii``:
            HRNet's list of MPII's persons with the file of head boxes beside it; ``crowdpose``:
            COCO's layout with a crowd index for each image and no areas; or the name of a reader
            that another package brings.
        official_scorer: The evaluator of the dataset's own authors, or where they published none
            for these keypoints, COCO's.
        annotation_file: Path below the data root; ``{annotations}`` stands for the protocol's
            choice.
        image_folder: Folder of the images below the data root.
        other_layouts: Further pairs of annotation file and image folder, looked for in this
            order where the usual files are not there.
        box_files: Detector files by the name that protocols use; the first is the usual one.
        images: Images of the whole published split; None where the number is not known, or not
            needed beside ``annotation_sha256``.
        persons: Annotated persons (rows, crowds included) of the whole split, likewise.
        annotation_sha256: SHA-256 of the published annotation files, by stem, as the reader
            takes it (of MPII's list and head sizes together); only files whose bytes somebody has
            seen are here.
        files: What has to be there, and where each comes from.
        licence: Terms of annotations and images.
        citation: BibTeX.
        how_to_get: One sentence for a user who does not have the files.
    """

    id: Id
    title: str
    keypoints: Id
    reader: Name
    official_scorer: Name
    annotation_file: PathTemplate
    image_folder: RelativePath
    other_layouts: tuple[tuple[PathTemplate, RelativePath], ...] = ()
    box_files: dict[str, BoxFile] = Field(default_factory=dict)
    images: Number | None = None
    persons: Number | None = None
    annotation_sha256: dict[str, Sha256] = Field(default_factory=dict)
    files: tuple[DataFile, ...] = ()
    licence: str
    homepage: WebAddress = ""
    citation: str = ""
    how_to_get: str

    def layouts(self, annotations: str) -> tuple[tuple[str, str], ...]:
        """Return pairs of annotation file and image folder below the data root.

        Args:
            annotations: The protocol's choice, which takes the place of ``{annotations}``.

        Returns:
            The usual pair first, then the others in the order in which they are looked for.
        """
        pairs = ((self.annotation_file, self.image_folder), *self.other_layouts)
        return tuple((fill_template(file, annotations), folder) for file, folder in pairs)

    @property
    def published(self) -> bool:
        """Whether anything is known of files that somebody published."""
        known = self.annotation_sha256, self.images, self.persons, self.files, self.homepage
        return any(known)
