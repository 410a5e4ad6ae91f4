"""A night under way: what was measured already lies on the disk and is not measured again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from posebench.nightly.suite import Cell, Suite
from posebench.records.files import write_whole
from posebench.records.store import from_json, to_json
from posebench.types.errors import UserError
from posebench.types.record import Record

MARK = "night.json"
# An interrupted night is finished as long as it is still about the same night.
LONGEST = timedelta(hours=20)


class State:
    """Folder of a night under way.

    Attributes:
        night: Its id: when it began, UTC.
        resumed: Whether an interrupted one is gone on with.

    Args:
        folder: For what is measured; made, or gone on with if it is of the same suite, cells and
            code and not too old.
        suite: To measure.
        cells: Of the suite.
        facts: Of the code.
        now: The time.
    """

    def __init__(
        self,
        folder: Path,
        suite: Suite,
        cells: Sequence[Cell],
        facts: Mapping[str, str],
        now: datetime,
    ) -> None:
        self._folder = folder
        what = json.dumps([suite.model_dump(), [c.key for c in cells], dict(facts)])
        digest = hashlib.sha256(what.encode()).hexdigest()
        begun = self._begun(digest, now)
        self.resumed = begun is not None
        self.night = begun or f"{now:%Y-%m-%dT%H:%M:%SZ}"
        if not self.resumed:
            self.remove()
            content = {"night": self.night, "what": digest}
            write_whole(folder / MARK, json.dumps(content).encode())

    @property
    def parts(self) -> Path:
        """Where evaluations keep their parts."""
        return self._folder / "parts"

    def keep(self, cell: Cell, found: Record | str, when: datetime) -> None:
        """Store what a cell gave."""
        content: dict[str, Any] = {"failure": found, "when": when.isoformat()}
        if isinstance(found, Record):
            content = {"record": to_json(found), "when": when.isoformat()}
        write_whole(self._file(cell), json.dumps(content).encode())

    def kept(self, cell: Cell) -> tuple[Record | str, datetime] | None:
        """Return what a cell gave and when; None where it was not measured yet."""
        file = self._file(cell)
        if not file.is_file():
            return None
        try:
            content = json.loads(file.read_bytes())
            when = datetime.fromisoformat(content["when"])
            if "record" in content:
                return from_json(content["record"]), when
            return str(content["failure"]), when
        except (ValueError, KeyError, TypeError, UserError):
            return None  # no file of ours: measured again

    def remove(self) -> None:
        """Forget the night; the mark goes first, so that no half of it is gone on with."""
        (self._folder / MARK).unlink(missing_ok=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, cell: Cell) -> Path:
        return self._folder / "found" / f"{cell.slug}.json"

    def _begun(self, digest: str, now: datetime) -> str | None:
        try:
            content = json.loads((self._folder / MARK).read_bytes())
            begun = datetime.fromisoformat(content["night"].replace("Z", "+00:00"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        same = content.get("what") == digest and timedelta() <= now - begun < LONGEST
        return str(content["night"]) if same else None
