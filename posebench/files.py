"""Files that appear whole or not at all, and JSON that says everything once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections import Counter
from pathlib import Path
from typing import Any

from posebench.types.errors import UserError

LARGEST = 4 << 30  # bytes; the largest published annotations have a tenth of that


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


def read_bytes(path: Path, what: str) -> bytes:
    """Read a file whole.

    Raises:
        UserError: It is missing or unreadable; ``what`` names it in the sentence.
    """
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{what} {path} cannot be read: it is not a file.")
        if path.stat().st_size > LARGEST:
            raise UserError(f"{what} {path} has more than {LARGEST:,} bytes.")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror}.") from error


def strict_json(data: bytes | str, *, finite: bool = False) -> Any:
    """Return the value of a JSON text that says everything once.

    Args:
        data: The text.
        finite: Refuse NaN and infinities, which are not JSON, also.

    Raises:
        ValueError: It is none, is nested too deeply, or has a key twice in one object.
    """
    try:
        if finite:
            return json.loads(data, object_pairs_hook=_once, parse_constant=_not_finite)
        return json.loads(data, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        key = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {key[:40]!r} stands twice in one object")
    return found


def _not_finite(word: str) -> float:
    raise ValueError(f"{word} is not a number")


def parse_json(data: bytes, path: Path, what: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        UserError: It is none.
    """
    try:
        return strict_json(data)
    except ValueError as error:
        raise UserError(f"{what} {path} is not valid JSON ({error}).") from error


def read_json(path: Path, what: str) -> tuple[Any, str]:
    """Read a JSON file whole.

    Returns:
        The value and the SHA-256 of the file's bytes.

    Raises:
        UserError: The file is missing, unreadable or no JSON.
    """
    data = read_bytes(path, what)
    return parse_json(data, path, what), hashlib.sha256(data).hexdigest()
