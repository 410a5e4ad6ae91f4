"""Weights that a zoo ships packed: a zip with a single ``.params`` file, as GluonCV's."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

from posebench.types.errors import UserError

SUFFIX = ".params"
# The member that every zip of torch has; such an archive is a weights file itself.
TORCH_MEMBER = "/data.pkl"
# Trained weights hardly shrink: a member that unfolds to more than this is not a weights file.
MOST_UNFOLDING = 16
BLOCK = 1 << 20


def packed_params(path: Path) -> str | None:
    """Return the name of the only ``.params`` member of a zip, None for anything else.

    Raises:
        UserError: The zip holds several of them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except Exception:  # zipfile raises many kinds for garbled bytes; its reader says what is wrong
        return None
    # finder and its like leave copies of the names behind
    own = [n for n in names if n.endswith(SUFFIX) and not n.startswith("__MACOSX/")]
    if not own or any(name.endswith(TORCH_MEMBER) for name in names):
        return None
    if len(own) > 1:
        raise UserError(
            f"{path} packs {len(own)} weights files: {', '.join(sorted(own)[:3])}.",
            "Unpack it and name the file to evaluate.",
        )
    return own[0]


def unpack(path: Path, member: str) -> Iterator[bytes]:
    """Yield a member of a zip block by block.

    Raises:
        UserError: The archive is cut short or garbled, encrypted, or unfolds beyond reason.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(member).file_size
            if size > MOST_UNFOLDING * path.stat().st_size:
                raise zipfile.BadZipFile(f"{member} unfolds to {size} bytes")
            with archive.open(member) as stream:
                while block := stream.read(BLOCK):
                    yield block
    except Exception as error:  # zipfile's unpackers raise many kinds for garbled bytes
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(
        f"{path} is a damaged zip archive: {reason.rstrip('.')}.",
        "It may be cut short; download it again.",
    )
