"""Google Drive's files and folders, through gdown, which keeps up with Drive's pages.

gdown waits forever unless told otherwise, and leaves ``.part`` files behind: it always gets a
timeout here, and a folder of its own that is emptied first.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from posebench.downloads.files import Cancelled, inside, safe_name, unwritable
from posebench.downloads.http import (
    HEAD_BYTES,
    RETRY_LATER,
    RetryableError,
    RetryPolicy,
    reason_of,
    refuse_page,
)
from posebench.downloads.http_file import Progress
from posebench.install import install_command
from posebench.types.errors import UserError

FILE = "gdrive:"
FOLDER = "gdrive-folder:"
PAGES = {
    FILE: "https://drive.google.com/file/d/",
    FOLDER: "https://drive.google.com/drive/folders/",
}
# Bytes that gdown counts at once, and how much faster than elsewhere they must come.
GDOWN_BLOCK = 1 << 19
FASTER = 16
LOOK = 0.1


def drive_page(location: str) -> str:
    """Return the web address that a location on Drive stands for; others stay as they are."""
    for scheme, page in PAGES.items():
        if location.startswith(scheme):
            return page + location.removeprefix(scheme)
    return location


def drive_file(
    identity: str,
    folder: Path,
    policy: RetryPolicy,
    progress: Progress | None = None,
) -> Path:
    """Receive one file from Drive.

    A break is resumed within this call, as long as Drive says that the content is the same;
    a later call begins anew.

    Args:
        identity: The file's id.
        folder: Emptied first; the file lies in it under the name that Drive gives it.
        policy: How patient to be.
        progress: Called with (bytes so far, bytes in all or None).

    Raises:
        Cancelled: The policy's ``cancel`` was set.
        UserError: gdown is not installed, or Drive does not give the file.
    """
    gdown = _gdown()
    page = f"{PAGES[FILE]}{identity}"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with _Watch(policy, progress) as watch:
            path = Path(
                gdown.download(
                    id=identity,
                    output=f"{folder}/",
                    quiet=True,
                    use_cookies=False,
                    timeout=(policy.timeout, policy.timeout),
                    retries=policy.retries,
                    cancel=watch.stop,
                    progress=watch,
                )
            )
    except Exception as error:
        raise _told(error, page, folder, policy) from error
    # the name is the publisher's
    path = inside(folder, path.name)
    with path.open("rb") as file:
        refuse_page(page, "", file.read(HEAD_BYTES))
    return path


def drive_folder(identity: str, policy: RetryPolicy) -> dict[str, str]:
    """List a folder of Drive with all folders in it.

    Returns:
        Path below the folder -> file id.

    Raises:
        UserError: gdown is not installed, or Drive does not show the folder.
    """
    gdown = _gdown()
    page = f"{PAGES[FOLDER]}{identity}"
    try:
        files = gdown.download_folder(
            id=identity,
            quiet=True,
            use_cookies=False,
            skip_download=True,
            timeout=(policy.timeout, policy.timeout),
        )
    except Exception as error:
        raise _told(error, page, None, policy) from error
    return {str(file.path): str(file.id) for file in files}


def member_of(listing: dict[str, str], name: str, page: str) -> str:
    """Return the id of the file that a folder's listing has under ``name``.

    Args:
        listing: From ``drive_folder``.
        name: File name, or the end of its path where several folders have such a file.
        page: The folder's address, for messages.

    Raises:
        UserError: No file, or several, are called so.
    """
    # Drive allows what gdown, and safe_name, write as an underscore
    wanted = {name, safe_name(name)}
    found = {
        path: identity
        for path, identity in listing.items()
        if any(path == one or path.endswith(f"/{one}") for one in wanted)
    }
    if len(found) == 1:
        return next(iter(found.values()))
    shown = ", ".join(sorted(found or listing)[:5])
    what = f"{len(found)} files called" if found else "no file called"
    raise UserError(
        f"The folder {page} has {what} {name!r}.",
        f"It has {shown or 'nothing that everybody may see'}"
        f"{'' if len(found or listing) <= 5 else ', ...'}; "
        "correct file_name in the registry, or pass the file with --from FILE.",
    )


def _gdown() -> Any:
    try:
        import gdown
    except ImportError as error:
        raise UserError(
            "Files on Google Drive need the package gdown.",
            f"{install_command('fetch')}, or download the file by hand and pass it with "
            "--from FILE.",
        ) from error
    return gdown


class _Watch:
    """Stops a download when asked to, and when nothing was counted for too long.

    gdown counts blocks of half a MiB, and a server that sends byte after byte is never silent.
    """

    def __init__(self, policy: RetryPolicy, progress: Progress | None) -> None:
        self.stop = threading.Event()
        self._policy, self._progress = policy, progress
        self._patience = policy.window + GDOWN_BLOCK / (FASTER * policy.slowest)
        self._last = time.monotonic()
        self._ended = threading.Event()

    def __call__(self, done: int, total: int | None) -> None:
        self._last = time.monotonic()
        if max(done, total or 0) > self._policy.most:
            raise RetryableError(f"it has more than {self._policy.most} bytes")
        if self._progress is not None:
            self._progress(done, total)

    def __enter__(self) -> _Watch:
        threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _look(self) -> None:
        while not self._ended.wait(LOOK):
            if self._policy.cancel.is_set() or time.monotonic() - self._last > self._patience:
                self.stop.set()


def _told(error: Exception, page: str, folder: Path | None, policy: RetryPolicy) -> Exception:
    """Return what a failure inside gdown means to a user."""
    kind = type(error).__name__
    if isinstance(error, UserError | Cancelled):
        return error
    if kind == "DownloadCancelled":
        if policy.cancel.is_set():
            return Cancelled()
        return UserError(f"{page} cannot be fetched: it comes too slowly.", RETRY_LATER)
    if kind == "TypeError":
        newer = f"{install_command('fetch')} --upgrade."
        return UserError(f"This gdown is too old ({error}).", newer)
    if kind == "FileURLRetrievalError":
        return UserError(
            f"Google Drive does not give {page}: it is gone, not public, or was fetched too "
            "often today.",
            "Open the page in a browser; if it has the file, pass it with --from FILE.",
        )
    # requests' errors are OSErrors too: only those with a path are the disk's
    if isinstance(error, OSError) and folder is not None and error.filename is not None:
        return unwritable(folder, error)
    with contextlib.suppress(Exception):
        return UserError(f"{page} cannot be fetched: {reason_of(error)}.", RETRY_LATER)
    return error
