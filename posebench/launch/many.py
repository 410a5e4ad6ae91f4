"""Many requests at once: shares as tasks, records as they become whole."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from posebench.launch.tasks import Launcher, Task
from posebench.records.files import write_whole
from posebench.run.request import Request
from posebench.run.shards import merge
from posebench.types.errors import UserError
from posebench.types.record import Record

Report = Callable[["Board"], None]


@dataclass(frozen=True)
class Failure:
    """A request that gave no record.

    Attributes:
        model: As asked for.
        error: What went wrong, in one sentence.
    """

    model: str
    error: str


@dataclass
class Line:
    """How far one request is."""

    model: str
    shares: int
    done: int = 0
    error: str = ""


@dataclass
class Board:
    """How far all requests are, for the terminal and for a file.

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

    def write(self, path: Path) -> None:
        """Write the board as JSON, whole or not at all."""
        lines = [vars(line) for line in self.lines]
        write_whole(path, json.dumps({"seconds": self.seconds, "requests": lines}).encode())


def evaluate_all(
    requests: Sequence[Request],
    launcher: Launcher,
    folder: Path,
    *,
    shares: int = 1,
    report: Report | None = None,
    board_file: Path | None = None,
    command: str = "",
) -> list[Record | Failure]:
    """Evaluate many requests, each in shares.

    Parts stay in the folder, named by what they hold: a second run, or one that goes on after
    a stop, estimates nothing again.

    Args:
        requests: What to evaluate.
        launcher: Where.
        folder: For parts, on storage that every worker sees.
        shares: Tasks a request.
        report: Called whenever a task ended.
        board_file: JSON file that says how far everything is.
        command: For the records.

    Returns:
        A record or a failure for each request, in their order.
    """
    board = Board([Line(request.model, shares) for request in requests])
    places = [folder / _name(request, shares) for request in requests]
    tasks = [
        Task(number, request, (share, shares), places[number])
        for number, request in enumerate(requests)
        for share in range(1, shares + 1)
    ]
    found: dict[int, Record | Failure] = {}
    for done in launcher.run(tasks):
        line = board.lines[done.task.number]
        line.done += 1
        line.error = line.error or done.error
        if line.done == shares:
            found[done.task.number] = _finish(line, places[done.task.number], command)
        if board_file:
            board.write(board_file)
        if report:
            report(board)
    return [found[number] for number in range(len(requests))]


def _name(request: Request, shares: int) -> str:
    """Folder of a request's parts: the same for the same request, whatever runs beside it."""
    text = json.dumps(request.to_json() | {"threads": None, "shares": shares}, sort_keys=True)
    return f"{request.model.replace('/', '-')}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _finish(line: Line, folder: Path, command: str) -> Record | Failure:
    if not line.error:
        try:
            return merge([folder], command=command)
        except UserError as error:
            line.error = error.message
    return Failure(line.model, line.error)
