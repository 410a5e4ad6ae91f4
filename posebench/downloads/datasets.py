"""A dataset's files: fetched, unpacked and put where ``registry/datasets.yaml`` says they lie."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from posebench.downloads.drive import FILE, FOLDER
from posebench.downloads.files import inside, locked, settle, unwritable
from posebench.downloads.http_file import Progress
from posebench.downloads.receive import Received, Receiver
from posebench.downloads.unpack import unpack_archive
from posebench.types.dataset import BoxFile, DataFile, DatasetSpec
from posebench.types.errors import UserError

# Below the data root, so that a large archive lies on the disk that was chosen for data.
WORKPLACE = ".posebench-fetch"
DRIVE = re.compile(r"https://drive\.google\.com/(file/d|drive/folders)/([\w-]+)")
ENDS = {b"{": b"}", b"[": b"]"}


@dataclass(frozen=True)
class Bundle:
    """Files of a dataset that come in one download.

    Attributes:
        url: Where it is published.
        files: What is wanted of it.
        spec: Their dataset.
        box_file: What the registry knows about it, if it holds detector boxes.
    """

    url: str
    files: tuple[DataFile, ...]
    spec: DatasetSpec
    box_file: BoxFile | None = None

    @property
    def size(self) -> int | None:
        """Bytes of the download, where known."""
        return self.files[0].bytes

    @property
    def location(self) -> str:
        """``gdrive:`` and ``gdrive-folder:`` for pages of Google Drive, else the address."""
        found = DRIVE.match(self.url)
        if found is None:
            return self.url
        return f"{FILE if found[1] == 'file/d' else FOLDER}{found[2]}"


def is_there(spec: DatasetSpec, file: DataFile, root: Path) -> bool:
    """Whether a file or folder of a dataset lies at its place, not empty.

    The folder of images must have as many of them as the published split, where that is known.
    """
    path = root / file.path
    if not file.path.endswith("/"):
        return path.is_file() and path.stat().st_size > 0
    if not path.is_dir():
        return False
    least = spec.images or 1 if file.path.rstrip("/") == spec.image_folder else 1
    return sum(1 for _ in zip(path.iterdir(), range(least), strict=False)) >= least


def missing_bundles(spec: DatasetSpec, root: Path) -> list[Bundle]:
    """Return the downloads that bring what is not there yet."""
    by_url: dict[tuple[str, str | None], list[DataFile]] = {}
    for file in spec.files:
        if file.url is not None and not is_there(spec, file, root):
            # several files of one folder on Drive are several downloads
            single = None if file.archive else file.path
            by_url.setdefault((file.url, single), []).append(file)
    return [
        Bundle(url, tuple(files), spec, _boxes_of(spec, files[0]))
        for (url, _), files in by_url.items()
    ]


def _boxes_of(spec: DatasetSpec, file: DataFile) -> BoxFile | None:
    """Return what is known about a box file; what lies beside one holds the same boxes."""
    beside = Path(file.path).parent
    published = (box for box in spec.box_files.values() if Path(box.path).parent == beside)
    return next(published, None) if file.path.endswith(".json") else None


def fetch_bundle(
    bundle: Bundle,
    root: Path,
    receiver: Receiver,
    *,
    progress: Progress | None = None,
    waiting: Callable[[], None] | None = None,
) -> list[Path]:
    """Fetch a download and put what is wanted of it into its place.

    Args:
        bundle: From ``missing_bundles``.
        root: The data root.
        receiver: Receives the download.
        progress: Called with (bytes so far, bytes in all or None).
        waiting: Called when another process is at it already.

    Returns:
        The places.

    Raises:
        Cancelled: The policy's ``cancel`` was set; a later call resumes.
        UserError: It cannot be had, is not what was expected, or cannot be written; or a place is
            outside the root.
    """
    key = hashlib.sha256(f"{bundle.url}\n{bundle.files[0].path}".encode()).hexdigest()[:20]
    folder = inside(root, Path(WORKPLACE, key))
    # before anything is received
    places = [inside(root, file.path) for file in bundle.files]
    cancel = receiver.policy.cancel
    with locked(folder.with_name(f"{key}.lock"), cancel=cancel, waiting=waiting):
        if all(is_there(bundle.spec, file, root) for file in bundle.files):
            # another process brought them while this one waited
            return places
        try:
            name = Path(bundle.files[0].path).name
            received = receiver.receive(
                bundle.location, folder, name, size=bundle.size, progress=progress
            )
            try:
                places = [_place(bundle, file, received, root, cancel) for file in bundle.files]
            except UserError:
                # a damaged download does not get better by being resumed
                shutil.rmtree(folder, ignore_errors=True)
                raise
            shutil.rmtree(folder, ignore_errors=True)
        except OSError as error:
            raise unwritable(folder, error) from error
    with contextlib.suppress(OSError):
        folder.with_name(f"{key}.lock").unlink(missing_ok=True)
        folder.parent.rmdir()
    return places


def _place(
    bundle: Bundle, file: DataFile, received: Received, root: Path, cancel: threading.Event
) -> Path:
    """Unpack one file or folder, or move what is not an archive."""
    if file.archive:
        return unpack_archive(received.path, root, file.path.rstrip("/"), cancel=cancel)
    if received.path.suffix == ".json" or file.path.endswith(".json"):
        _check_json(bundle, received.path)
    final = inside(root, file.path)
    settle(received.path, final)
    return final


def _check_json(bundle: Bundle, received: Path) -> None:
    """Refuse JSON that is cut short, and boxes that are not as many as were published.

    Raises:
        UserError: It is one of these.
    """
    with received.open("rb") as file:
        first = file.read(64).lstrip()[:1]
        file.seek(max(0, received.stat().st_size - 64))
        last = file.read().rstrip()[-1:]
    again = "Fetch it again; if it stays so, its publisher has replaced it."
    if ENDS.get(first) != last:
        raise UserError(f"The file from {bundle.url} is not a whole JSON file.", again)
    expected = bundle.box_file.boxes if bundle.box_file else None
    if expected is None:
        return
    try:
        content = json.loads(received.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"The file from {bundle.url} is not JSON ({error}).", again) from error
    if not isinstance(content, list) or len(content) != expected:
        count = f"{len(content)} boxes" if isinstance(content, list) else "no list of boxes"
        raise UserError(
            f"The file from {bundle.url} has {count}, the published one has {expected}.", again
        )
