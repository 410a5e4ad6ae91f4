"""How far many requests are, for the terminal and for a file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posebench.records.files import write_whole

WAITING, RUNNING, JOINING, DONE, FAILED = "waiting", "running", "joining", "done", "failed"


@dataclass
class Line:
    """How far one request is.

    Attributes:
        model: As asked for.
        shares: It was cut into.
        done: Shares that ended.
        seconds: Its tasks took so far, added up.
        state: ``waiting`` (no share has ended), ``running``, ``joining``, ``done``, ``failed``.
        error: One sentence if it failed.
    """

    model: str
    shares: int
    done: int = 0
    seconds: float = 0.0
    state: str = WAITING
    error: str = ""


@dataclass
class Board:
    """How far all requests are.

    Attributes:
        lines: One a request.
        seconds: Since the start.
    """

    lines: list[Line]
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def counts(self) -> dict[str, int]:
        """How many requests are in each state."""
        states = [line.state for line in self.lines]
        return {s: states.count(s) for s in (WAITING, RUNNING, JOINING, DONE, FAILED)}

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        lines = [vars(line) for line in self.lines]
        return {"seconds": round(self.seconds, 3), "counts": self.counts, "requests": lines}

    def write(self, path: Path) -> None:
        """Write the board as JSON, whole or not at all."""
        write_whole(path, json.dumps(self.to_json(), indent=1).encode())


Report = Callable[[Board], None]
