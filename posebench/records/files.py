"""Files are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from posebench.checkpoints.cache_files import settle
from posebench.types.errors import UserError


def write_whole(path: Path, data: bytes) -> None:
    """Write through a temporary file in the same folder, flushed to disk, then renamed.

    Nobody holds a lock here: the temporary name is one that no other process has.

    Raises:
        UserError: The folder or file cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        settle(Path(temporary), path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}.",
            "Free some space, or give another folder with --output.",
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
