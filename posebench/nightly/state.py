"""A nightly run under way: what it measured already is on the disk and is not measured again."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from posebench.files import write_whole
from posebench.nightly.suite import Cell
from posebench.records.store import from_json, to_json
from posebench.types.errors import UserError
from posebench.types.record import Record

MARK = "night.json"
# An interrupted run is finished as long as it is still about the same night.
LONGEST = timedelta(hours=20)


class State:
    """Folder of a nightly run under way.

    Attributes:
        night: Id of the run: when it began, UTC.
        parts: Where evaluations keep what they have finished.

    Args:
        folder: For what is measured; what is there stays only if it is of the same ``what`` and
            not too old.
        what: JSON values: everything that has to be the same for a run to be resumed.
        now: The time.
    """

    def __init__(self, folder: Path, what: Any, now: datetime) -> None:
        self._folder, self.parts = folder, folder / "parts"
        digest = hashlib.sha256(json.dumps(what).encode()).hexdigest()
        begun = self._begun(digest, now)
        self.night = begun or f"{now:%Y-%m-%dT%H:%M:%SZ}"
        if begun is None:
            self.remove()
            write_whole(folder / MARK, json.dumps({"night": self.night, "what": digest}).encode())

    def keep(self, cell: Cell, found: Record | str, when: datetime) -> None:
        """Store what a cell gave: a record, or why there is none."""
        name, content = ("failure", found) if isinstance(found, str) else ("record", to_json(found))
        data = json.dumps({name: content, "when": when.isoformat()})
        write_whole(self._file(cell), data.encode())

    def kept(self, cell: Cell) -> tuple[Record | str, datetime] | None:
        """Return what a cell gave and when; None where it was not measured yet."""
        try:
            content = json.loads(self._file(cell).read_bytes())
            when = datetime.fromisoformat(content["when"])
            found = from_json(content["record"]) if "record" in content else content["failure"]
        except (OSError, ValueError, KeyError, TypeError, UserError):
            return None  # missing or damaged: measured again
        return found, when

    def remove(self) -> None:
        """Forget the run; the mark goes first, so that no half of it is resumed."""
        (self._folder / MARK).unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, cell: Cell) -> Path:
        return self._folder / "found" / f"{cell.slug}.json"

    def _begun(self, digest: str, now: datetime) -> str | None:
        try:
            content = json.loads((self._folder / MARK).read_bytes())
            begun = datetime.fromisoformat(content["night"].replace("Z", "+00:00"))
            same = content["what"] == digest and timedelta() <= now - begun < LONGEST
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return str(content["night"]) if same else None
