"""Whose weights a file holds: what its digest proves, and what its name or its metadata say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from posebench.adapters.copies import CONVERT_AGAIN, Origin, origin_of
from posebench.types.entry import Checkpoint, Entry
from posebench.types.errors import UserError


@dataclass(frozen=True)
class Provenance:
    """What is known of a weights file.

    Attributes:
        origin: The published file that it is a copy of; None where it is not a copy.
        verified: Whether that file, or the file itself, is the published one by its digest; False
            where no digest was published.
        named_as: Keys of other rows, with other weights, that publish a file of that name; empty
            where the digest proves whose it is.
    """

    origin: Origin | None
    verified: bool
    named_as: tuple[str, ...]


def provenance_of(
    path: Path, entry: Entry, rows: Iterable[Entry], *, downloaded_sha256: str | None = None
) -> Provenance:
    """Compare a weights file with what was published for a row, before it is opened.

    Args:
        path: The file.
        entry: The row it was given for.
        rows: All rows of the registry, whose files have names of their own.
        downloaded_sha256: Digest that the file had when it came into the cache.

    Raises:
        UserError: It differs from the published file, or is a copy of another row's weights.
    """
    from posebench.checkpoints import verify_file

    known, rows = entry.checkpoint, tuple(rows)
    origin = _origin(path)
    if origin is None:
        sha256 = known.sha256 or downloaded_sha256
        verify_file(path, sha256, known.size, known.sha1, known.sha256_prefix)
    else:
        _check_row(origin, entry, rows, path)
        origin.check(known, path)
    proven = known.has_digest or downloaded_sha256 is not None
    name = path.name if origin is None else origin.name
    return Provenance(
        origin, known.has_digest, () if proven else tuple(rows_of_file(name, known, rows))
    )


def rows_of_file(name: str, known: Checkpoint, rows: Iterable[Entry]) -> list[str]:
    """Return the keys of rows that publish a file of this name, unless ``known`` does so, too."""
    if name in known.names:
        return []
    return [
        row.key
        for row in rows
        if name in row.checkpoint.names and not known.is_file_of(row.checkpoint)
    ]


def _origin(path: Path) -> Origin | None:
    """Return what a file is a copy of, None for a published file."""
    from posebench.checkpoints import guess_container, read_metadata

    if guess_container(path) != "safetensors":
        return None
    return origin_of(read_metadata(path), path)


def _check_row(origin: Origin, entry: Entry, rows: tuple[Entry, ...], path: Path) -> None:
    """Raise where a copy was made of another row's weights; rows may share a file."""
    if origin.row == entry.key:
        return
    other = next((row for row in rows if row.key == origin.row), None)
    if other is None or not other.checkpoint.is_file_of(entry.checkpoint):
        raise UserError(
            f"{path} is a copy of the weights of {origin.row}, not of those of {entry.key}.",
            f"Evaluate {origin.row} with it. {CONVERT_AGAIN}",
        )
