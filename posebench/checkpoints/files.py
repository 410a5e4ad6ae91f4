"""What is checked before a weights file is opened: that it is a file, its size, its digests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from posebench.checkpoints.archives import packed_params, unpack
from posebench.types.errors import UserError

BLOCK = 1 << 20
# GluonCV publishes the first eight digits of each SHA-1; fewer would prove nothing.
PREFIX_DIGITS = 8


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hexadecimal digits.

    Raises:
        UserError: The file is missing, not a file, empty or unreadable.
    """
    return _digest(path, "sha256")


def sha1_of(path: Path) -> str:
    """Return the SHA-1 as MXNet's zoos publish it: of a zip's single ``.params`` file, else whole.

    Raises:
        UserError: The file is missing, not a file, empty or unreadable.
    """
    return _digest(path, "sha1", packed=True)


def verify_file(
    path: Path,
    sha256: str | None = None,
    size: int | None = None,
    sha1: str | None = None,
    sha256_prefix: str | None = None,
) -> None:
    """Compare a file with what its publisher says about it; what is None is not compared.

    Args:
        path: The weights file.
        sha256: Full digest, hexadecimal.
        size: Bytes.
        sha1: Full digest or its published first digits, hexadecimal (MXNet zoos). Of a zip
            with a single ``.params`` file it is that file's, which is what they publish.
        sha256_prefix: First digits of the SHA-256, eight or more (OpenMMLab).

    Raises:
        UserError: The file is missing, not a file, empty or unreadable, or differs.
    """
    wrong = mismatch(
        size_of(path),
        lambda name: _digest(path, name, packed=name == "sha1"),
        size=size,
        sha256=sha256,
        sha256_prefix=sha256_prefix,
        sha1=sha1,
    )
    if wrong is not None:
        found, expected = wrong
        raise UserError(
            f"{path} has {found}, the published file has {expected}.",
            "Download the file again, or leave it out if you meant other weights.",
        )


def mismatch(
    found_size: int,
    digest: Callable[[str], str],
    *,
    size: int | None,
    sha256: str | None,
    sha256_prefix: str | None,
    sha1: str | None,
) -> tuple[str, str] | None:
    """Compare a file's size and digests with the published ones; None is not compared.

    A size and a SHA-256 are compared whole, published first digits exactly as many as they are
    and only if there are at least eight.

    Args:
        found_size: Bytes of the file.
        digest: Returns the file's own digest, ``sha256`` or ``sha1``; called only when needed.
        size: Bytes of the published file.
        sha256: Its digest.
        sha256_prefix: The first digits of it, where no more were published.
        sha1: Its digest, or the first digits of it.

    Returns:
        What the file has and what was published, in words; None where all of it is equal.
    """
    if size is not None and found_size != size:
        return f"{found_size} bytes", str(size)
    for name, expected, least in (
        ("sha256", sha256, 64),
        ("sha256", sha256_prefix, PREFIX_DIGITS),
        ("sha1", sha1, PREFIX_DIGITS),
    ):
        if expected is not None:
            own = digest(name)
            if len(expected) < least or not own.startswith(expected.lower()):
                return f"{name} {own}", expected.lower()
    return None


def size_of(path: Path) -> int:
    """Return the bytes of a regular, non-empty file.

    Raises:
        UserError: The path is missing, no regular file, empty or unreadable.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(
            f"{path} cannot be opened: {error.strerror or error}.", "Check the path."
        ) from error
    if path.is_dir():
        raise UserError(f"{path} is a folder, not a weights file.", "Name the file inside it.")
    if not path.is_file():
        raise UserError(f"{path} is not a regular file.", "Give a weights file.")
    if size == 0:
        raise UserError(f"{path} is empty.", "Download the file again.")
    return size


def read_head(path: Path, count: int) -> bytes:
    """Return the first ``count`` bytes of a file, fewer if it is shorter.

    Raises:
        UserError: See ``size_of``.
    """
    size_of(path)
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise _unreadable(path, error) from error


def read_all(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        UserError: See ``size_of``.
    """
    size_of(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _digest(path: Path, name: str, *, packed: bool = False) -> str:
    """Digest a file's bytes, or with ``packed`` those of the weights file it packs."""
    size_of(path)
    member = packed_params(path) if packed else None
    digest = hashlib.new(name)
    for block in _blocks(path) if member is None else unpack(path, member):
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield block
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be read: {error.strerror or error}.", "Check its permissions.")
