"""The weights file of an entry on this machine: given, shipped, or in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from posebench.downloads.cache import Cache
from posebench.downloads.drive import drive_page
from posebench.types.entry import Checkpoint, Entry
from posebench.types.errors import UserError


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights.

    Attributes:
        path: Where it is.
        downloaded_sha256: Its digest, where posebench downloaded it itself.
    """

    path: Path
    downloaded_sha256: str | None = None


def find_weights(entry: Entry, given: Path | None = None) -> WeightsFile | None:
    """Return the weights file of an entry; None where there is none on this machine.

    Args:
        entry: The registry row.
        given: A file that the caller names goes before the shipped and the downloaded one.

    Raises:
        UserError: The package does not hold a file that it should ship.
    """
    path = given or shipped_file(entry.checkpoint)
    if path is not None:
        return WeightsFile(path)
    cached = Cache().find(entry.checkpoint)
    return WeightsFile(cached.path, cached.sha256) if cached else None


def shipped_file(checkpoint: Checkpoint) -> Path | None:
    """Return the file inside the package that ``package:<path>`` names.

    Raises:
        UserError: The path leaves the package, or nothing is there.
    """
    if not checkpoint.shipped:
        return None
    from importlib.resources import files

    root = Path(str(files("posebench"))).resolve()
    path = (root / checkpoint.shipped).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise UserError(
            f"The checkpoint '{checkpoint.id}' is not inside the package: '{checkpoint.location}'.",
            "Install posebench again, or correct the location.",
        )
    return path


def how_to_get_weights(entry: Entry) -> str:
    """Say where an entry's file is published and how to hand it over."""
    checkpoint = entry.checkpoint
    if checkpoint.location is None:
        return "No one published it where posebench knows; pass yours with --checkpoint FILE."
    location = drive_page(checkpoint.location)
    file = f" ({checkpoint.file_name})" if checkpoint.file_name else ""
    return (
        f"`posebench fetch {entry.key}` gets it, or download it from {location}{file} and pass it "
        "with --checkpoint FILE."
    )
