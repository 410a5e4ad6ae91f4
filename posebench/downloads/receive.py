"""One published file, from wherever its publisher put it: a web server or Google Drive."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from posebench.downloads.drive import (
    FILE,
    FOLDER,
    drive_file,
    drive_folder,
    drive_page,
    member_of,
)
from posebench.downloads.files import safe_name
from posebench.downloads.http import RetryPolicy
from posebench.downloads.http_file import Progress, download
from posebench.types.errors import UserError


class Received(NamedTuple):
    """A file that has arrived.

    Attributes:
        path: Where it is.
        name: What its publisher calls it, empty where no one says.
        pieced: Whether it was put together from several answers.
    """

    path: Path
    name: str
    pieced: bool


class Receiver:
    """Receives files; a folder of Google Drive is listed once, however many files it holds.

    Args:
        policy: How patient to be, and who may stop it.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self.policy = policy
        self._listings: dict[str, dict[str, str]] = {}
        self._listing = threading.Lock()

    def receive(
        self,
        location: str,
        folder: Path,
        name: str,
        *,
        size: int | None = None,
        progress: Progress | None = None,
    ) -> Received:
        """Receive a file into a folder; what an earlier call left there is resumed.

        Args:
            location: A web address, ``gdrive:ID`` or ``gdrive-folder:ID``.
            folder: The file's own; no other process may use it.
            name: Of the file in a folder of Drive; elsewhere, where the address has none.
            size: Bytes it must have, where known.
            progress: Called with (bytes so far, bytes in all or None).

        Raises:
            Cancelled: The policy's ``cancel`` was set; what was received stays.
            UserError: The file cannot be had, or cannot be written.
        """
        if location.startswith((FILE, FOLDER)):
            path = drive_file(
                self._identity(location, name), folder / "drive", self.policy, progress
            )
            return Received(path, path.name, False)
        published = unquote(urlsplit(location).path).rpartition("/")[2] or name
        target = folder / safe_name(published)
        pieced = download(location, target, self.policy, size=size, progress=progress)
        return Received(target, published, pieced)

    def _identity(self, location: str, name: str) -> str:
        """Return the id of a file on Drive."""
        if location.startswith(FILE):
            return location.removeprefix(FILE)
        folder, page = location.removeprefix(FOLDER), drive_page(location)
        if not name:
            raise UserError(
                f"{page} is a folder, but the registry does not name the file in it.",
                "Add file_name to the row of the model.",
            )
        with self._listing:
            if folder not in self._listings:
                self._listings[folder] = drive_folder(folder, self.policy)
        return member_of(self._listings[folder], name, page)
