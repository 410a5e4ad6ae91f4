"""Writing what a command was asked for."""

from __future__ import annotations

from pathlib import Path

from posebench.files import replace_file
from posebench.types.errors import UserError


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; several processes may write the same one.

    Raises:
        UserError: The folder or file cannot be written.
    """
    try:
        replace_file(path, data)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}.",
            "Free some space, or give another folder with --output.",
        ) from error
