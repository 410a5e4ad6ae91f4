"""One published weights file: from where its zoo put it into the cache, checked on the way."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from posebench.checkpoints.cache import Cache, Held, key_of
from posebench.checkpoints.cache_files import locked, safe_name, unwritable
from posebench.checkpoints.download import Progress, download
from posebench.checkpoints.download_drive import (
    FILE,
    FOLDER,
    drive_file,
    drive_folder,
    drive_page,
    member_of,
)
from posebench.checkpoints.download_http import SCHEMES, Policy
from posebench.checkpoints.fetch_lock import Locks, check_locked
from posebench.checkpoints.files import PREFIX_DIGITS, sha1_of, sha256_of, size_of
from posebench.types.entry import PACKAGE, Checkpoint
from posebench.types.errors import UserError

# Hosts that give files to signed-in people only.
BY_HAND = ("pan.baidu.com", "yun.baidu.com")
BAIDU = "baidu:"
# Fills a folder; returns the file, its published name and whether it came in pieces.
Receive = Callable[[Path], tuple[Path, str, bool]]
PASS_IT = "pass it with `posebench fetch MODEL --from FILE`"


def way_of(checkpoint: Checkpoint) -> str:
    """Return how a file is had: ``shipped``, ``none``, ``http``, ``drive`` or ``by hand``."""
    location = checkpoint.location or ""
    if location.startswith(PACKAGE):
        return "shipped"
    if checkpoint.container == "none":
        return "none"
    if location.startswith((FILE, FOLDER)):
        return "drive"
    if location.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
        return "by hand" if urlsplit(location).hostname in BY_HAND else "http"
    return "by hand"


def by_hand(checkpoint: Checkpoint) -> str:
    """Tell a person where a file is that no program can fetch, and what to do with it."""
    location = drive_page(checkpoint.location or "")
    file = f" ({checkpoint.file_name})" if checkpoint.file_name else ""
    note = f" {checkpoint.note[:1].upper()}{checkpoint.note[1:]}." if checkpoint.note else ""
    if not location:
        return f"Nobody published it where posebench knows; if you have the file, {PASS_IT}.{note}"
    if location.startswith(BAIDU):
        location = f"https://pan.baidu.com/s/{location.removeprefix(BAIDU)}"
    return f"Download it from {location}{file} in a browser and {PASS_IT}.{note}"


class Fetcher:
    """Brings weights files into a cache.

    Args:
        cache: Where to.
        locks: What was fetched before.
        policy: How patient to be.
        cancel: Set to stop.
    """

    def __init__(
        self,
        cache: Cache,
        locks: Locks,
        policy: Policy | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        self.cache = cache
        self.locks = locks
        self.policy = policy or Policy()
        self.cancel = cancel
        self._listings: dict[str, dict[str, str]] = {}
        self._listing = threading.Lock()

    def fetch(
        self,
        checkpoint: Checkpoint,
        progress: Progress | None = None,
        waiting: Callable[[], None] | None = None,
    ) -> Held:
        """Return a checkpoint's file from the cache, fetching it first if need be.

        Of several processes or threads that want the same file, one fetches it.

        Args:
            checkpoint: Of the registry.
            progress: Called with (bytes so far, bytes in all or None).
            waiting: Called when another process is fetching it already.

        Raises:
            Cancelled: ``cancel`` was set.
            UserError: It cannot be had, is not what was expected, or cannot be written.
        """

        def receive(folder: Path) -> tuple[Path, str, bool]:
            return self._receive(checkpoint, folder, progress)

        return self._once(checkpoint, receive, waiting)

    def take(self, checkpoint: Checkpoint, file: Path) -> Held:
        """Take a file that somebody downloaded by hand; it is checked like a fetched one.

        Raises:
            UserError: It cannot be read, is not what was expected, or cannot be written.
        """
        size_of(file)

        def copied(folder: Path) -> tuple[Path, str, bool]:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            copy = folder / "data"
            shutil.copyfile(file, copy)
            return copy, file.name, False

        return self._once(checkpoint, copied, None, str(file))

    def _once(
        self,
        checkpoint: Checkpoint,
        receive: Receive,
        waiting: Callable[[], None] | None,
        source: str = "",
    ) -> Held:
        found = self._cached(checkpoint)
        if found is not None and not source:
            return found
        key = key_of(checkpoint)
        folder = self.cache.partial_of(key)
        with locked(self.cache.lock_of(key), cancel=self.cancel, waiting=waiting):
            # somebody may have fetched it while this one waited
            found = self._cached(checkpoint)
            if found is not None and not source:
                return found
            path, name = self._checked(checkpoint, folder, receive, source)
            if checkpoint.sha256 is None:
                self.locks.record(checkpoint, sha256_of(path), path.stat().st_size)
            held = self.cache.add(checkpoint, path, name)
            shutil.rmtree(folder, ignore_errors=True)
            return held

    def _checked(
        self, checkpoint: Checkpoint, folder: Path, receive: Receive, source: str
    ) -> tuple[Path, str]:
        """Receive and check; what was put together from pieces gets a second chance, whole."""
        while True:
            try:
                path, name, pieced = receive(folder)
            except OSError as error:
                raise unwritable(folder, error) from error
            try:
                self._check(checkpoint, path, source or drive_page(checkpoint.location or ""))
                return path, name
            except UserError:
                shutil.rmtree(folder, ignore_errors=True)
                if not pieced:
                    raise

    def _cached(self, checkpoint: Checkpoint) -> Held | None:
        """Return the cached file, if registry and lock (which may be newer) agree with it."""
        held = self.cache.find(checkpoint)
        if held is None:
            return None
        known = checkpoint.sha256
        if known is not None and held.sha256 != known.lower():
            return None
        line = self.locks.find(checkpoint)
        if known is None and line is not None and line.sha256 != held.sha256:
            return None
        return held

    def _receive(
        self, checkpoint: Checkpoint, folder: Path, progress: Progress | None
    ) -> tuple[Path, str, bool]:
        """Return the received file, its published name and whether it came in pieces."""
        location, way = checkpoint.location or "", way_of(checkpoint)
        if way == "http":
            target = folder / "data"
            line = self.locks.find(checkpoint)
            pieced = download(
                location,
                target,
                policy=self.policy,
                size=checkpoint.size or (line.size if line else None),
                progress=progress,
                cancel=self.cancel,
            )
            named = unquote(urlsplit(location).path).rpartition("/")[2]
            return target, named or checkpoint.file_name or checkpoint.id, pieced
        if way == "drive":
            path = drive_file(
                self._identity(checkpoint),
                folder / "drive",
                policy=self.policy,
                progress=progress,
                cancel=self.cancel,
            )
            return path, path.name, False
        raise UserError(f"{checkpoint.id} cannot be fetched.", by_hand(checkpoint))

    def _identity(self, checkpoint: Checkpoint) -> str:
        """Return the id of a file on Drive, looking into its folder once."""
        location = checkpoint.location or ""
        if location.startswith(FILE):
            return location.removeprefix(FILE)
        folder = location.removeprefix(FOLDER)
        if not checkpoint.file_name:
            raise UserError(
                f"{checkpoint.id} lies in a folder, but the registry names no file.",
                "Add file_name to its row.",
            )
        with self._listing:
            if folder not in self._listings:
                self._listings[folder] = drive_folder(folder, policy=self.policy)
        return member_of(self._listings[folder], checkpoint.file_name, drive_page(location))

    def _check(self, checkpoint: Checkpoint, path: Path, source: str) -> None:
        """Hold a received file against everything that is known about it.

        Raises:
            UserError: It is another file, or no whole weights file.
        """
        size, sha256 = size_of(path), sha256_of(path)
        pairs = [("bytes", checkpoint.size, size), ("sha256", checkpoint.sha256, sha256)]
        pairs.append(("sha256", checkpoint.sha256_prefix, sha256))
        if checkpoint.sha1 is not None:
            pairs.append(("sha1", checkpoint.sha1, sha1_of(path)))
        for name, expected, found in pairs:
            text = str(expected).lower()
            enough = name != "sha1" or len(text) >= PREFIX_DIGITS
            if expected is not None and not (str(found).startswith(text) and enough):
                raise UserError(
                    f"The file from {source} has {name} {found}, the published file has {text}.",
                    "Fetch it again; if it stays so, its publisher has replaced it.",
                )
        line = self.locks.find(checkpoint)
        if checkpoint.sha256 is None and line is not None:
            check_locked(checkpoint, line, sha256)
        elif checkpoint.sha256 is None:
            _read_through(checkpoint, path, source)


def _read_through(checkpoint: Checkpoint, path: Path, source: str) -> None:
    """Read a file of unknown digest to its end, before its digest is written down for good.

    Raises:
        UserError: It is cut short, or no weights file of its kind.
    """
    from posebench.checkpoints.reader import read_checkpoint

    # readers speak of the file by its path, which nobody knows here
    try:
        read_checkpoint(path, checkpoint.container)
    except UserError as error:
        told = error.message.replace(str(path), f"The file from {source}")
        raise UserError(told, error.hint) from error


def name_of(checkpoint: Checkpoint) -> str:
    """Return what to call a checkpoint's file before it is fetched."""
    return safe_name(checkpoint.file_name or checkpoint.id)
