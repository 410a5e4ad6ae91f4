"""A file or folder out of a zip or tar archive that is not trusted.

Only plain files are ever written, by our own code, into a hidden place beside their final one;
paths that leave the folder, links, devices and archives that unfold beyond reason are refused
before the first byte is written.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import shutil
import stat
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from posebench.downloads.files import (
    check_cancelled,
    inside,
    safe_name,
    settle,
    unwritable,
)
from posebench.types.errors import UserError

# JSON shrinks to a tenth; a thousandth is an attack.
MOST_UNFOLDING = 64
SMALL = 1 << 24
MOST_MEMBERS = 1_000_000
BLOCK = 1 << 20
GARBLED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError,
           NotImplementedError, RuntimeError, ValueError, LookupError, struct.error)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """One plain file of an archive.

    Attributes:
        target: Where it goes, relative to what was wanted; empty for a single file.
        size: Bytes it says it unfolds to.
        open: Opens it.
    """

    target: tuple[str, ...]
    size: int
    open: Callable[[], IO[bytes]]


def unpack_archive(
    archive: Path,
    root: Path,
    wanted: str,
    *,
    cancel: threading.Event | None = None,
) -> Path:
    """Bring one file or folder of an archive to its place; whole, or not at all.

    A folder that exists already is completed file by file.

    Args:
        archive: Zip or tar, the latter also compressed.
        root: Folder that ``wanted`` is relative to.
        wanted: Path of a file or folder; in the archive, any folders may stand above it.
        cancel: Set to stop.

    Returns:
        The place.

    Raises:
        Cancelled: ``cancel`` was set.
        UserError: The archive is damaged or hostile or lacks it, or the place cannot be written or
            is outside ``root``.
    """
    parts = _parts(archive, wanted)
    final = inside(root, Path(*parts))
    staged = final.with_name(f".{final.name}.part")
    try:
        with _open(archive) as handle:
            members = _chosen(archive, handle, parts)
            _check_room(archive, members, root)
            _clear(staged)
            _write(members, staged, cancel)
        _move(staged, final)
    except GARBLED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{archive} is a damaged archive: {reason.rstrip('.')}.", "Fetch it again."
        ) from error
    except OSError as error:
        raise unwritable(final, error) from error
    finally:
        with contextlib.suppress(OSError):
            _clear(staged)
    return final


@contextlib.contextmanager
def _open(archive: Path) -> Iterator[zipfile.ZipFile | tarfile.TarFile]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            yield packed
    else:
        with tarfile.open(archive) as taped:
            yield taped


def _chosen(
    archive: Path, handle: zipfile.ZipFile | tarfile.TarFile, wanted: tuple[str, ...]
) -> list[Member]:
    """Return the wanted members, all of them checked."""
    bound = max(SMALL, MOST_UNFOLDING * archive.stat().st_size)
    found: dict[tuple[str, ...], Member] = {}
    unfolded = 0
    for count, (name, size, plain, opens) in enumerate(_members(handle)):
        unfolded += size
        if unfolded > bound or count >= MOST_MEMBERS:
            raise _hostile(archive, f"it unfolds to more than {bound} bytes or has too many files")
        target = _target(_parts(archive, name), wanted)
        if target is None or any(part.startswith(".") for part in target):
            continue
        if plain is None:
            raise _hostile(archive, f"{name!r} is a link or device")
        if not plain:
            continue
        if target in found:
            raise _hostile(archive, f"{name!r} stands in it twice")
        found[target] = Member(target, size, opens)
    if not found:
        raise UserError(
            f"{archive} has no {'/'.join(wanted)}.", "The publisher may have replaced the archive."
        )
    if () in found and len(found) > 1:
        raise _hostile(archive, f"{'/'.join(wanted)} is a file and a folder")
    return list(found.values())


def _members(
    handle: zipfile.ZipFile | tarfile.TarFile,
) -> Iterator[tuple[str, int, bool | None, Callable[[], Any]]]:
    """Yield (name, bytes, whether a plain file: None for neither file nor folder, opener)."""
    if isinstance(handle, zipfile.ZipFile):
        for info in handle.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            plain: bool | None = not info.is_dir()
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                plain = None
            yield info.filename, info.file_size, plain, partial(handle.open, info)
        return
    for entry in handle:
        is_file = entry.isreg() and not entry.issparse()
        taped = is_file if is_file or entry.isdir() else None
        yield entry.name, entry.size, taped, partial(handle.extractfile, entry)


def _parts(archive: Path, name: str) -> tuple[str, ...]:
    """Split a path that must stay below its folder.

    Raises:
        UserError: It does not, or has names that mean something else elsewhere.
    """
    if name.startswith("/"):
        raise _hostile(archive, f"{name!r} is an absolute path")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    for part in parts:
        if part == ".." or (safe_name(part) != part and not part.startswith(".")):
            raise _hostile(archive, f"{name!r} is not a path inside a folder")
    return parts


def _target(parts: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return what of a member's path lies below the wanted one, None where it is elsewhere."""
    for start in range(len(parts) - len(wanted) + 1):
        if parts[start : start + len(wanted)] == wanted:
            return parts[start + len(wanted) :]
    return None


def _check_room(archive: Path, members: list[Member], root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    needed, free = sum(member.size for member in members), shutil.disk_usage(root).free
    if needed > free:
        raise UserError(
            f"{archive.name} unfolds to {needed} bytes, but only {free} are free at {root}.",
            "Free some space, or give a folder on another disk.",
        )


def _write(members: list[Member], staged: Path, cancel: threading.Event | None) -> None:
    for member in members:
        path = staged.joinpath(*member.target)
        path.parent.mkdir(parents=True, exist_ok=True)
        left = member.size
        with member.open() as source, path.open("xb") as file:
            while block := source.read(BLOCK):
                left -= len(block)
                if left < 0:
                    raise ValueError(f"{'/'.join(member.target)} is larger than it says")
                file.write(block)
                check_cancelled(cancel)
        if left:
            raise EOFError(f"{'/'.join(member.target) or staged.name} ends early")


def _move(staged: Path, final: Path) -> None:
    """Give what is complete its place."""
    if staged.is_file():
        settle(staged, final)
        return
    # one flush for thousands of images, before any of them is seen
    if hasattr(os, "sync"):
        os.sync()
    if not final.exists():
        staged.replace(final)
        return
    for path in sorted(staged.rglob("*")):
        if path.is_file():
            target = inside(final, path.relative_to(staged))
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)


def _clear(staged: Path) -> None:
    if staged.is_dir() and not staged.is_symlink():
        shutil.rmtree(staged)
    else:
        staged.unlink(missing_ok=True)


def _hostile(archive: Path, reason: str) -> UserError:
    return UserError(
        f"{archive} is not unpacked: {reason}.", "Look at the publisher's page for another archive."
    )
