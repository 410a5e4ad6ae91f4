"""``checkpoints.lock``: what the files were when they were first fetched.

Most zoos publish no digests. The first fetch writes down what came; every later one, on any
machine that has the lock, must bring the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from posebench.downloads.cache import SHA256, Cache
from posebench.downloads.files import locked, unwritable, write_whole
from posebench.registry import registry_of, shipped_folder
from posebench.types.entry import Checkpoint
from posebench.types.errors import UserError

LOCK = "checkpoints.lock"
# The registry inside an installed package: an update would lose what is written there.
INSTALLED = "_registry"


@dataclass(frozen=True)
class LockedChecksum:
    """One line of a lock.

    Attributes:
        sha256: Of the file as it was first fetched.
        size: Bytes.
        location: Where from; the line counts only as long as the registry says the same.
        file: The lock that has the line; not part of it.
    """

    sha256: str
    size: int
    location: str
    file: Path = field(default=Path(), compare=False)


class ChecksumLock:
    """The locks of all registry folders and the user's own, in this order.

    Args:
        cache: The user's own lock lies in its folder.
        folders: Further registry folders.
        shipped: posebench's own registry folder, if not the usual one.
    """

    def __init__(
        self, cache: Cache, folders: Sequence[Path] = (), shipped: Path | None = None
    ) -> None:
        self.cache = cache
        self.shipped = shipped or shipped_folder()
        self.own = cache.root / LOCK
        self.files = (self.shipped / LOCK, *(folder / LOCK for folder in folders), self.own)

    def find(self, checkpoint: Checkpoint) -> LockedChecksum | None:
        """Return what the first lock that knows a checkpoint says about it."""
        for file in self.files:
            line = read_checkpoint_lock(file).get(checkpoint.id)
            if line is not None and line.location == (checkpoint.location or ""):
                return line
        return None

    def record(self, checkpoint: Checkpoint, sha256: str, size: int) -> Path:
        """Write down what was fetched, where nothing is written down yet.

        posebench's own rows go into its registry where that is a folder one can write to (a
        clone), all else into the user's lock.

        Returns:
            The lock that has the line now.

        Raises:
            UserError: No lock can be written, or another process recorded other bytes.
        """
        line = LockedChecksum(sha256, size, checkpoint.location or "")
        last: OSError | None = None
        for file in self._writable(checkpoint):
            try:
                with locked(self.cache.locks / f"{LOCK}.lock"):
                    now = self.find(checkpoint)
                    if now is not None:
                        check_checksum(checkpoint, now, sha256)
                        return now.file
                    lines = read_checkpoint_lock(file) | {checkpoint.id: line}
                    content = {
                        key: {k: v for k, v in asdict(lines[key]).items() if k != "file"}
                        for key in sorted(lines)
                    }
                    write_whole(file, (json.dumps(content, indent=2) + "\n").encode())
                return file
            except OSError as error:
                last = error
        raise unwritable(self.own, last or OSError("no place for it"))

    def _writable(self, checkpoint: Checkpoint) -> tuple[Path, ...]:
        if self.shipped.name == INSTALLED:
            return (self.own,)
        ours = checkpoint.id in registry_of(self.shipped).checkpoints
        return (self.shipped / LOCK, self.own) if ours else (self.own,)


def check_checksum(checkpoint: Checkpoint, line: LockedChecksum, sha256: str) -> None:
    """Compare a file's digest with what was written down.

    Raises:
        UserError: It is another file.
    """
    if sha256 != line.sha256:
        raise UserError(
            f"The file of {checkpoint.id} has sha256 {sha256}, the one first fetched from the "
            f"same place had {line.sha256}.",
            "Its publisher may have replaced it. If you trust the new one, remove the line "
            f"{checkpoint.id} from {line.file} and fetch again.",
        )


def read_checkpoint_lock(file: Path) -> dict[str, LockedChecksum]:
    """Return a lock's lines by checkpoint id; empty where there is no such file.

    Raises:
        UserError: The file is not a lock.
    """
    try:
        content = json.loads(file.read_bytes())
        lines = {key: LockedChecksum(**line, file=file) for key, line in content.items()}
        if not all(SHA256.fullmatch(v.sha256) and isinstance(v.size, int) for v in lines.values()):
            raise ValueError("a digest has not 64 hexadecimal digits")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{file} is not a list of fetched files ({error}).", "Restore it, or remove it."
        ) from error
    return lines
