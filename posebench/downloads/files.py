"""Files that appear whole or not at all, names that stay inside their folder, and locks."""

from __future__ import annotations

import contextlib
import errno
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from posebench.files import replace_file, settle  # noqa: F401 (for the cache's other modules)
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from filelock import BaseFileLock

# What a filesystem without locks answers; which of them differs between systems.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
POLL = 0.2
# Bytes; filesystems take 255, and what is added to a name while it is written needs some.
LONGEST_NAME = 190
write_whole = partial(replace_file, locked=True)


class Cancelled(Exception):
    """Somebody asked to stop; what was received so far is kept."""


def check_cancelled(cancel: threading.Event | None) -> None:
    """Stop here if somebody asked to.

    Raises:
        Cancelled: Somebody did.
    """
    if cancel is not None and cancel.is_set():
        raise Cancelled


def unwritable(path: Path, error: OSError) -> UserError:
    """Say why a file of the cache or of a dataset cannot be written."""
    return UserError(
        f"{path} cannot be written: {error.strerror or error}.",
        "Free some space or give another folder (POSEBENCH_CACHE, --data-root).",
    )


def safe_name(name: str) -> str:
    """Return a published name as one that any filesystem takes, in the folder it is put into.

    Path separators, control characters and what Windows reserves become ``_``; a name that is
    empty or begins with a dot gets ``_`` in front.
    """
    cleaned = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]', "_", name).rstrip(". ")
    cleaned = cleaned.encode("utf-8", "ignore")[-LONGEST_NAME:].decode("utf-8", "ignore")
    if not cleaned or cleaned.startswith("."):
        cleaned = f"_{cleaned}"
    reserved = r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?"
    return f"_{cleaned}" if re.fullmatch(reserved, cleaned) else cleaned


def inside(root: Path, relative: str | Path) -> Path:
    """Return a place below a folder, after looking at the links on the way to it.

    Names are checked where they come from (``types.paths``); this is the last look before a file
    is written. The folder itself may be a link.

    Args:
        root: The folder.
        relative: Of the place, below it; nothing has to be there yet.

    Raises:
        UserError: The place, or a link on the way to it, is outside the folder.
    """
    place = root / relative
    try:
        real, top = place.resolve(), root.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, names too long
        raise UserError(f"{place} cannot be written: {error}.", "Check the links there.") from error
    if not real.is_relative_to(top):
        raise UserError(
            f"{place} is not written: it leads to {real}, outside {root}.",
            "Remove the link on the way to it, or give the folder it leads to.",
        )
    return place


@contextlib.contextmanager
def locked(
    path: Path,
    *,
    cancel: threading.Event | None = None,
    waiting: Callable[[], None] | None = None,
    wait: bool = True,
) -> Iterator[bool]:
    """Hold a lock against other processes and threads; it ends with the process, even killed.

    Where the filesystem has no locks, a file that names its owner stands in.

    Args:
        path: The lock's file; it stays behind.
        cancel: Ends the waiting.
        waiting: Called once when somebody else holds the lock.
        wait: Wait for the other one.

    Yields:
        Whether the lock is held; always true with ``wait``.

    Raises:
        Cancelled: ``cancel`` was set while waiting.
        UserError: The lock's file cannot be written.
    """
    from filelock import FileLock, SoftFileLock

    lock: BaseFileLock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            held = _acquire(lock, cancel, waiting, wait)
        except (NotImplementedError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                raise
            lock = SoftFileLock(path.with_name(f"{path.name}.owner"))
            held = _acquire(lock, cancel, waiting, wait)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield held
    finally:
        if held:
            lock.release()


def _acquire(
    lock: BaseFileLock,
    cancel: threading.Event | None,
    waiting: Callable[[], None] | None,
    wait: bool,
) -> bool:
    from filelock import Timeout

    first = True
    while True:
        check_cancelled(cancel)
        try:
            with warnings.catch_warnings():
                # filelock tells its own fallback, which is ours too
                warnings.simplefilter("ignore", UserWarning)
                lock.acquire(timeout=0 if first else POLL, poll_interval=POLL / 4)
            return True
        except Timeout:
            if not wait:
                return False
            if first and waiting is not None:
                waiting()
            first = False
