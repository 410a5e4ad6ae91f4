"""Finished chunks on disk: written whole, described, and believed only where they prove it.

A chunk is one ``.npz`` a protocol and a ``.json`` that is written last and describes them: without
it there is no chunk.  Files are read as if they came from anybody.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from posebench.downloads.files import NO_LOCKS
from posebench.files import write_whole
from posebench.inference.image_io import BadImage, ImageDigests, file_digest
from posebench.progress import Progress
from posebench.records.predictions import load_predictions, save_predictions
from posebench.types.arrays import Dataset, Predictions
from posebench.types.base import Frozen, first_problem
from posebench.types.errors import UserError
from posebench.types.record import Sha256

LARGEST = 1 << 28  # bytes of a description; one image takes about 90
MOST = 10**9  # persons or images of an evaluation
Number = Annotated[int, Field(ge=0, le=MOST)]
Key = Annotated[str, Field(pattern=r"^[a-z0-9_.]{1,200}-[0-9a-f]{16}$")]


class Unusable(Exception):
    """A stored chunk that does not fit; the words continue a sentence on it."""


class ChunkRef(Frozen):
    """Names a chunk.

    Attributes:
        key: Of its evaluation, see ``posebench.evaluation.resume.evaluation_key``.
        start: Number of its first person or image.
        stop: Number after its last.
        sha256: Digest of its description, which has those of its files.
    """

    key: Key
    start: Number
    stop: Number
    sha256: Sha256


class ChunkDescription(Frozen):
    """What a chunk holds.

    Attributes:
        files: Digest of each file of predictions, in the order of the protocols.
        images: (image id, digest of the file's bytes) of all images it was made from.
    """

    format: Literal[2] = 2
    key: Key
    start: Number
    stop: Number
    files: tuple[Sha256, ...]
    images: tuple[tuple[int, Sha256], ...]


@dataclass(frozen=True)
class ChunkPlan:
    """Where the finished chunks of an evaluation are kept.

    Attributes:
        folder: Of all evaluations; None keeps nothing.
        resume: Use what an interrupted run of the same evaluation left.
        shard: (I, N) estimates only the I-th of N shards, from 1, and leaves its chunks.
        finished: (folder, chunks) of every shard that is to be joined; given, nothing is
            estimated.
    """

    folder: Path | None = None
    resume: bool = False
    shard: tuple[int, int] | None = None
    finished: tuple[tuple[Path, tuple[ChunkRef, ...]], ...] = ()


NOTHING_KEPT = ChunkPlan()


@dataclass(frozen=True, eq=False)
class Work:
    """Something that can be done piece by piece.

    Attributes:
        count: Persons or images in all.
        batch: How many belong together.
        protocols: Predictions that a piece gives.
        key: Names the evaluation; only runs with the same one share chunks.
        run: (start, stop, progress, digests) -> one ``Predictions`` a protocol.
        rows: (start, stop) -> rows of the images that the piece reads.
        check: (start, stop, predictions) -> what is wrong with stored predictions, or nothing.
    """

    count: int
    batch: int
    protocols: int
    key: str
    run: Callable[[int, int, Progress | None, ImageDigests], list[Predictions]]
    rows: Callable[[int, int], list[int]]
    check: Callable[[int, int, Predictions], str]


class ResumeStore:
    """The chunks of one evaluation in one folder.

    Args:
        folder: Of this evaluation alone.
        key: Of the evaluation.
        protocols: Predictions that each chunk holds.
    """

    def __init__(self, folder: Path, key: str, protocols: int) -> None:
        self.folder = folder
        self._key = key
        self._protocols = protocols

    def clear(self) -> None:
        """Remove every chunk."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def file(self, ref: ChunkRef) -> Path:
        """Return where a chunk is described."""
        return self.folder / f"{ref.start:09d}-{ref.stop:09d}.json"

    def save(
        self,
        start: int,
        stop: int,
        found: Sequence[Predictions],
        images: tuple[tuple[int, str], ...],
    ) -> ChunkRef:
        """Write a chunk.

        Args:
            start: Number of its first person or image.
            stop: Number after its last.
            found: One ``Predictions`` a protocol.
            images: (image id, digest of the file's bytes) of those it was made from.

        Raises:
            UserError: The folder cannot be written.
        """
        files = tuple(
            save_predictions(each, self._predictions(start, stop, number))
            for number, each in enumerate(found)
        )
        description = ChunkDescription(
            key=self._key, start=start, stop=stop, files=files, images=images
        )
        data = description.model_dump_json().encode()
        sha256 = hashlib.sha256(data).hexdigest()
        ref = ChunkRef(key=self._key, start=start, stop=stop, sha256=sha256)
        write_whole(self.file(ref), data)
        return ref

    def find(
        self, start: int, end: int, dataset: Dataset, work: Work, digests: ImageDigests
    ) -> tuple[int, list[Predictions], ChunkRef] | None:
        """Return where a stored chunk that begins at ``start`` stops, its predictions and its name.

        Args:
            start: Number of its first person or image.
            end: Where it has to stop at the latest.
            dataset: Its images must have the bytes that the chunk was made from.
            work: What the chunk must fit.
            digests: Takes those of its images.

        Returns:
            None where there is no chunk, or none that fits.
        """
        for path in sorted(self.folder.glob(f"{start:09d}-*.json")):
            with contextlib.suppress(Unusable):
                data = _bytes(path)
                described = _description(data)
                sha256 = hashlib.sha256(data).hexdigest()
                ref = ChunkRef(
                    key=described.key, start=described.start, stop=described.stop, sha256=sha256
                )
                if described.start == start and self.file(ref) == path:
                    return ref.stop, self.load(ref, end, dataset, work, digests), ref
        return None

    def load(
        self, ref: ChunkRef, end: int, dataset: Dataset, work: Work, digests: ImageDigests
    ) -> list[Predictions]:
        """Return the predictions of a chunk, one a protocol.

        Args:
            ref: Of the chunk.
            end: Where it has to stop at the latest.
            dataset: See ``find``.
            work: Likewise.
            digests: Likewise.

        Raises:
            Unusable: It is missing, was changed, or belongs to something else.
        """
        data = _bytes(self.file(ref))
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise Unusable("it was changed since it was written")
        described = _description(data)
        if (described.key, described.start, described.stop) != (self._key, ref.start, ref.stop):
            raise Unusable("it describes another chunk than its name says")
        if not described.start < described.stop <= end:
            raise Unusable(f"it goes from {described.start} to {described.stop} of {end}")
        if len(described.files) != self._protocols:
            raise Unusable(f"it has {len(described.files)} of {self._protocols} files")
        found = []
        for number, expected in enumerate(described.files):
            path = self._predictions(ref.start, ref.stop, number)
            if _sha256(path) != expected:
                raise Unusable(f"{path.name} was changed since it was written")
            try:
                found.append(load_predictions(path))
            except UserError as error:
                raise Unusable(str(error).rstrip(".")) from error
            if wrong := work.check(ref.start, ref.stop, found[-1]):
                raise Unusable(f"{path.name} does not fit: {wrong}")
        _check_images(dict(described.images), work.rows(ref.start, ref.stop), dataset, digests)
        return found

    def _predictions(self, start: int, stop: int, number: int) -> Path:
        return self.folder / f"{start:09d}-{stop:09d}-{number:02d}.npz"


def _check_images(
    described: dict[int, str], rows: Sequence[int], dataset: Dataset, digests: ImageDigests
) -> None:
    """See that a chunk was made from the image files that are here now."""
    ids = [int(dataset.images.id[row]) for row in rows]
    if set(described) != set(ids):
        raise Unusable("it was made from other images")
    for row, image_id in zip(rows, ids, strict=True):
        path = dataset.images.path(row)
        try:
            digest = file_digest(path)
        except BadImage as error:
            raise Unusable(f"its image {path.name} {error.reason}") from error
        if digest != described[image_id]:
            raise Unusable(f"it was made from another image file {path.name} than the one here")
        digests.add(image_id, digest, path)


def _description(data: bytes) -> ChunkDescription:
    try:
        return ChunkDescription.model_validate_json(data, strict=True)
    except ValidationError as error:
        raise Unusable(f"its description is damaged ({': '.join(first_problem(error))})") from error


def _bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise Unusable("it is missing")
        if path.stat().st_size > LARGEST:
            raise Unusable(f"its description has more than {LARGEST:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"it cannot be read ({error.strerror})") from error


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise Unusable(f"{path.name} cannot be read ({error.strerror})") from error


@contextlib.contextmanager
def own_folder(parent: Path, key: str) -> Iterator[Path]:
    """Hold a folder for the chunks of one whole evaluation while no other process uses it.

    Equal evaluations may run at the same time: the first one has the folder that ``--resume``
    looks into, any other one a folder of its own, which goes when it ends.

    Yields:
        The folder, which may not exist yet.

    Raises:
        UserError: ``parent`` cannot be written.
    """
    number, folder, lock = 0, parent / f"{key}-run", None
    while lock is None:
        lock = _locked(folder)
        if lock is None:
            number += 1
            folder = parent / f"{key}-run-{number}"
    try:
        yield folder
    finally:
        if number:
            shutil.rmtree(folder, ignore_errors=True)
        # while it is held: whoever waits for this very file then sees that it is gone
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _locked(folder: Path) -> FileLock | None:
    """Return the lock of a folder, None while another process has it.

    Raises:
        UserError: The folder above it cannot be written.
    """
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(blocking=False)
    except Timeout:
        return None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise UserError(
                f"{folder.parent} cannot be written: {error.strerror}.",
                "Free some space, or give another folder with --output.",
            ) from error
    return lock
