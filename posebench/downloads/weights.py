"""One published weights file: from where its zoo put it into the cache, checked on the way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from posebench.checkpoints.files import mismatch, sha1_of, sha256_of, size_of
from posebench.downloads.cache import Cache, CachedFile, key_of
from posebench.downloads.checksum_lock import ChecksumLock, check_checksum
from posebench.downloads.drive import FILE, FOLDER, drive_page
from posebench.downloads.files import locked, unwritable
from posebench.downloads.http import SCHEMES, RetryPolicy
from posebench.downloads.http_file import Progress
from posebench.downloads.receive import Received, Receiver
from posebench.types.entry import PACKAGE, Checkpoint
from posebench.types.errors import UserError

# Hosts that give files to signed-in people only.
BY_HAND = ("pan.baidu.com", "yun.baidu.com")
BAIDU = "baidu:"
# Fills a folder.
Receive = Callable[[Path], Received]
PASS_IT = "pass it with `posebench fetch MODEL --from FILE`"


def download_method(checkpoint: Checkpoint) -> str:
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
        return f"No one published it where posebench knows; if you have the file, {PASS_IT}.{note}"
    if location.startswith(BAIDU):
        location = f"https://pan.baidu.com/s/{location.removeprefix(BAIDU)}"
    return f"Download it from {location}{file} in a browser and {PASS_IT}.{note}"


class Fetcher:
    """Brings weights files into a cache.

    Args:
        cache: Where to.
        locks: What was fetched before.
        policy: How patient to be, and who may stop it.
    """

    def __init__(
        self, cache: Cache, locks: ChecksumLock, policy: RetryPolicy | None = None
    ) -> None:
        self.cache = cache
        self.locks = locks
        self.receiver = Receiver(policy or RetryPolicy())

    def fetch(
        self,
        checkpoint: Checkpoint,
        progress: Progress | None = None,
        waiting: Callable[[], None] | None = None,
    ) -> CachedFile:
        """Return a checkpoint's file from the cache, fetching it first if need be.

        Of several processes or threads that want the same file, one fetches it.

        Args:
            checkpoint: Of the registry.
            progress: Called with (bytes so far, bytes in all or None).
            waiting: Called when another process is fetching it already.

        Raises:
            Cancelled: The policy's ``cancel`` was set.
            UserError: It cannot be had, is not what was expected, or cannot be written.
        """

        def receive(folder: Path) -> Received:
            return self._receive(checkpoint, folder, progress)

        return self._once(checkpoint, receive, waiting)

    def take(self, checkpoint: Checkpoint, file: Path) -> CachedFile:
        """Take a file that somebody downloaded by hand; it is checked like a fetched one.

        Raises:
            UserError: It cannot be read, is not what was expected, or cannot be written.
        """
        size_of(file)

        def copied(folder: Path) -> Received:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            copy = folder / "data"
            shutil.copyfile(file, copy)
            return Received(copy, file.name, False)

        return self._once(checkpoint, copied, None, str(file))

    def _once(
        self,
        checkpoint: Checkpoint,
        receive: Receive,
        waiting: Callable[[], None] | None,
        source: str = "",
    ) -> CachedFile:
        """Return the cached file, or receive, check and keep it while no one else does."""
        if not source and (found := self._cached(checkpoint)) is not None:
            return found
        key = key_of(checkpoint)
        folder, cancel = self.cache.partial_of(key), self.receiver.policy.cancel
        with locked(self.cache.lock_of(key), cancel=cancel, waiting=waiting):
            # somebody may have fetched it while this one waited
            if not source and (found := self._cached(checkpoint)) is not None:
                return found
            received, sha256 = self._checked(checkpoint, folder, receive, source)
            if checkpoint.sha256 is None:
                self.locks.record(checkpoint, sha256, size_of(received.path))
            name = received.name or checkpoint.id
            held = self.cache.add(checkpoint, received.path, name, sha256)
            shutil.rmtree(folder, ignore_errors=True)
            return held

    def _checked(
        self, checkpoint: Checkpoint, folder: Path, receive: Receive, source: str
    ) -> tuple[Received, str]:
        """Receive and check; what was put together from pieces gets a second chance, whole."""
        source = source or drive_page(checkpoint.location or "")
        while True:
            try:
                received = receive(folder)
            except OSError as error:
                raise unwritable(folder, error) from error
            try:
                return received, self._check(checkpoint, received.path, source)
            except UserError:
                shutil.rmtree(folder, ignore_errors=True)
                if not received.pieced:
                    raise

    def _cached(self, checkpoint: Checkpoint) -> CachedFile | None:
        """Return the cached file, if registry and lock (which may be newer) agree with it."""
        held = self.cache.find(checkpoint)
        known = checkpoint.sha256.lower() if checkpoint.sha256 else None
        if held is not None and known is None:
            line = self.locks.find(checkpoint)
            known = line.sha256 if line else None
        return held if held and known in (None, held.sha256) else None

    def _receive(self, checkpoint: Checkpoint, folder: Path, progress: Progress | None) -> Received:
        if download_method(checkpoint) not in ("http", "drive"):
            raise UserError(f"{checkpoint.id} cannot be fetched.", by_hand(checkpoint))
        line = self.locks.find(checkpoint)
        return self.receiver.receive(
            checkpoint.location or "",
            folder,
            checkpoint.file_name or "",
            size=checkpoint.size or (line.size if line else None),
            progress=progress,
        )

    def _check(self, checkpoint: Checkpoint, path: Path, source: str) -> str:
        """Compare a received file with everything that is known about it; return its SHA-256.

        Raises:
            UserError: It is another file, or not a whole weights file.
        """
        sha256 = sha256_of(path)
        wrong = mismatch(
            size_of(path),
            lambda name: sha256 if name == "sha256" else sha1_of(path),
            size=checkpoint.size,
            sha256=checkpoint.sha256,
            sha256_prefix=checkpoint.sha256_prefix,
            sha1=checkpoint.sha1,
        )
        if wrong is not None:
            found, expected = wrong
            raise UserError(
                f"The file from {source} has {found}, the published file has {expected}.",
                "Fetch it again; if it stays so, its publisher has replaced it.",
            )
        if checkpoint.sha256 is None:
            line = self.locks.find(checkpoint)
            if line is not None:
                check_checksum(checkpoint, line, sha256)
            else:
                _read_through(checkpoint, path, source)
        return sha256


def _read_through(checkpoint: Checkpoint, path: Path, source: str) -> None:
    """Read a file of unknown digest to its end, before its digest is written down for good.

    Raises:
        UserError: It is cut short, or no weights file of its kind.
    """
    from posebench.checkpoints.reader import read_checkpoint

    # readers speak of the file by its path, which no one knows here
    try:
        read_checkpoint(path, checkpoint.container)
    except UserError as error:
        told = error.message.replace(str(path), f"The file from {source}")
        raise UserError(told, error.hint) from error
