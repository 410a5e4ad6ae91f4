"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def replace_file(path: Path, data: bytes, *, locked: bool = False) -> None:
    """Write a file through a temporary one in the same folder, flushed to disk, then renamed.

    Args:
        path: Where it goes; its folder is made.
        data: Its content.
        locked: The caller holds a lock, so the temporary name can always be the same: killed
            processes leave at most one such file behind, which the next one overwrites.

    Raises:
        OSError: The folder or file cannot be written; what was there before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ending = "part" if locked else secrets.token_hex(6)
    temporary = path.with_name(f".{path.name}.{ending}")
    try:
        temporary.write_bytes(data)
        settle(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def settle(temporary: Path, final: Path) -> None:
    """Flush a complete file to disk and give it its final name.

    Raises:
        OSError: The file cannot be flushed or renamed.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(final)
    _flush_folder(final.parent)


def _flush_folder(folder: Path) -> None:
    """Flush a folder's entries; some systems cannot, and lose no more than the rename."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
