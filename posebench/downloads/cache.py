"""The cache of fetched weights: one copy of each file, under the SHA-256 of its bytes.

Below ``POSEBENCH_CACHE`` (or the user's cache folder)::

    checkpoints/objects/<two digits>/<sha256>/<name>   the files, written whole or not at all
    checkpoints/index/<key>.json                       published place -> sha256
    checkpoints/partial/<key>/                         what is being received
    checkpoints/locks/<key>.lock                       who is receiving it
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from posebench.checkpoints.files import sha256_of
from posebench.downloads.files import (
    inside,
    locked,
    safe_name,
    settle,
    unwritable,
    write_whole,
)
from posebench.types.entry import Checkpoint
from posebench.types.errors import UserError

VARIABLE = "POSEBENCH_CACHE"
KEY_DIGITS = 20
SHA256 = re.compile(r"[0-9a-f]{64}")
READ_ONLY = 0o444


def cache_folder() -> Path:
    """Folder for what posebench draws or fetches: ``POSEBENCH_CACHE`` or the user's cache."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(platformdirs.user_cache_dir("posebench"))


def key_of(checkpoint: Checkpoint) -> str:
    """Return the cache's name of a published place; rows that share a place share it.

    A file that no one published is known by the checkpoint's id.
    """
    place = checkpoint.location or f"id:{checkpoint.id}"
    text = f"{place}\n{checkpoint.file_name or ''}"
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


@dataclass(frozen=True)
class CachedFile:
    """A file in the cache.

    Attributes:
        path: Where it lies.
        sha256: Of its bytes when it was put there.
        size: Bytes.
        key: Name of its published place.
        id: The checkpoint it was first fetched for.
        location: Its published place, empty where there is none.
    """

    path: Path
    sha256: str
    size: int
    key: str
    id: str
    location: str


class Cache:
    """Published weights files on this machine; safe for several processes at once.

    Args:
        root: The folder; ``cache_folder()`` if not given. Nothing is made before it is needed.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_folder()
        self.base = self.root / "checkpoints"
        self.objects = self.base / "objects"
        self.index = self.base / "index"
        self.partial = self.base / "partial"
        self.locks = self.base / "locks"

    def find(self, checkpoint: Checkpoint) -> CachedFile | None:
        """Return a checkpoint's file, None where it is not (or no longer whole) in the cache."""
        return self._read(key_of(checkpoint))

    def held(self) -> tuple[CachedFile, ...]:
        """Return every file that the index names and that has its size, by id."""
        found = (self._read(path.stem) for path in self._index_files())
        return tuple(sorted((h for h in found if h is not None), key=lambda h: (h.id, h.key)))

    def lock_of(self, key: str) -> Path:
        """Return the lock's file of whoever fetches ``key``."""
        return self.locks / f"{key}.lock"

    def partial_of(self, key: str) -> Path:
        """Return the folder of what is being received for ``key``.

        Raises:
            UserError: A link on the way to it leads out of the cache.
        """
        return self._inside(self.partial / key)

    def add(self, checkpoint: Checkpoint, received: Path, name: str, sha256: str) -> CachedFile:
        """Take a complete, verified file into the cache; it leaves its place.

        Args:
            checkpoint: What it is.
            received: On the same filesystem, best in ``partial_of``.
            name: What its publisher calls it.
            sha256: Of its bytes, from the check.

        Raises:
            UserError: The cache cannot be written.
        """
        key, size = key_of(checkpoint), received.stat().st_size
        folder, index = self._inside(self._folder(sha256)), self._inside(self.index / f"{key}.json")
        try:
            with locked(self.locks / "objects.lock"):
                path = next(self._whole(folder, size), None)
                if path is None:
                    path = folder / safe_name(name)
                    received.chmod(0o644)
                    settle(received, path)
                    path.chmod(READ_ONLY)
                else:
                    received.unlink()
                held = CachedFile(path, sha256, size, key, checkpoint.id, checkpoint.location or "")
                content = asdict(held) | {"path": path.name}
                text = json.dumps(content, indent=1, sort_keys=True) + "\n"
                write_whole(index, text.encode())
        except OSError as error:
            raise unwritable(self.root, error) from error
        return held

    def damaged(self) -> Iterator[tuple[CachedFile, bool]]:
        """Yield every file of ``held`` with whether its bytes are no longer those of its name."""
        for held in self.held():
            try:
                changed = sha256_of(held.path) != held.sha256
            except UserError:
                changed = True
            yield held, changed

    def prune(self, *, everything: bool = False, dry_run: bool = False) -> list[tuple[str, int]]:
        """Remove what is of no use: damaged files, files without a name, names without a file,
        and what was received halfway by processes that are gone.

        Args:
            everything: Remove all weights, also the good ones.
            dry_run: Only say what would go.

        Returns:
            (what, bytes) of each thing.

        Raises:
            UserError: The cache cannot be written.
        """  # noqa: D205
        gone: list[tuple[str, int]] = []
        try:
            with locked(self.locks / "objects.lock"):
                kept = {
                    held.key: held for held, bad in self.damaged() if not bad and not everything
                }
                for path in self._index_files():
                    if path.stem not in kept:
                        gone.append((f"index/{path.name}", path.stat().st_size))
                        _remove(path, dry_run)
                folders = {held.path.parent for held in kept.values()}
                for folder in sorted(self.objects.glob("*/*")):
                    if folder not in folders:
                        gone.append((f"objects/{folder.name}", _bytes_below(folder)))
                        _remove(folder, dry_run)
            for folder in sorted(self.partial.glob("*")):
                with locked(self.lock_of(folder.name), wait=False) as free:
                    if free and folder.exists():
                        gone.append((f"partial/{folder.name}", _bytes_below(folder)))
                        _remove(folder, dry_run)
        except OSError as error:
            raise unwritable(self.root, error) from error
        return gone

    def _inside(self, path: Path) -> Path:
        return inside(self.base, path.relative_to(self.base))

    def _index_files(self) -> list[Path]:
        return sorted(self.index.glob("*.json"))

    def _folder(self, sha256: str) -> Path:
        return self.objects / sha256[:2] / sha256

    def _whole(self, folder: Path, size: int) -> Iterator[Path]:
        """Yield the files of an object's folder that have its size."""
        for path in sorted(folder.glob("*")):
            if path.is_file() and path.stat().st_size == size and not path.name.startswith("."):
                yield path

    def _read(self, key: str) -> CachedFile | None:
        """Read an index file; anything that is not as ``add`` writes it counts as absent."""
        try:
            content = json.loads((self.index / f"{key}.json").read_bytes())
            sha256, size, name = content["sha256"], content["size"], content["path"]
            if not SHA256.fullmatch(sha256) or safe_name(name) != name or content["key"] != key:
                return None
            path = self._folder(sha256) / name
            if not path.is_file() or path.stat().st_size != size:
                return None
            return CachedFile(path, sha256, size, key, str(content["id"]), str(content["location"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None


def _bytes_below(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def _remove(path: Path, dry_run: bool) -> None:
    if dry_run:
        return
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
