"""Files are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from posebench.types.errors import UserError


def write_whole(path: Path, data: bytes) -> None:
    """Write through a temporary file in the same folder, flushed to disk, then renamed.

    Raises:
        UserError: The folder or file cannot be written.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}.", "Give another folder with --output."
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
