"""Many requests at once: shares as tasks, records as they become whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from posebench import __version__
from posebench.launch.board import DONE, FAILED, JOINING, RUNNING, Board, Line, Report
from posebench.launch.memory import Peaks
from posebench.launch.tasks import Done, Launcher, Result, Task
from posebench.run.data import DATA_ROOT
from posebench.run.request import PATHS, Request
from posebench.types.record import Record

MEMORY_FILE = "memory.json"


@dataclass(frozen=True)
class Failure:
    """A request that gave no record.

    Attributes:
        model: As asked for.
        error: What went wrong, in one sentence.
    """

    model: str
    error: str


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
    a stop, estimates nothing again. When a share fails, those of its request that have not begun
    are left out; other requests go on.

    Args:
        requests: What to evaluate.
        launcher: Where.
        folder: For parts, on storage that every worker sees.
        shares: Tasks a request; joining them is one more.
        report: Called whenever a task ended.
        board_file: JSON file that says how far everything is.
        command: For the records.

    Returns:
        A record or a failure for each request, in their order.
    """
    folder = folder.absolute()
    work = _Work([_everywhere(request) for request in requests], folder, shares, command)
    for done in launcher.run(work.waiting):
        work.note(done)
        if board_file:
            work.board.write(board_file)
        if report:
            report(work.board)
    return [work.found[number] for number in range(len(requests))]


class _Work:
    """What waits, what runs and what has been found."""

    def __init__(
        self, requests: Sequence[Request], folder: Path, shares: int, command: str
    ) -> None:
        self.board = Board([Line(request.model, shares) for request in requests])
        self.found: dict[int, Record | Failure] = {}
        self._peaks = Peaks(folder / MEMORY_FILE)
        self.waiting = deque(
            Task(
                number,
                request,
                (share, shares),
                folder / _name(request, shares),
                self._peaks.of(request),
                command=command,
            )
            for number, request in enumerate(requests)
            for share in range(1, shares + 1)
        )

    def note(self, done: Done) -> None:
        """Take note of a task that ended; afterwards the right tasks wait."""
        task, result = done.task, done.result
        line = self.board.lines[task.number]
        line.seconds += result.seconds
        line.error = line.error or _error(task, result)
        if line.error:
            line.state = FAILED
            self.found[task.number] = Failure(line.model, line.error)
            self._replace([t for t in self.waiting if t.number != task.number])
        elif task.shard is None:
            assert result.record is not None
            line.state = DONE
            self.found[task.number] = result.record
        else:
            line.done += 1
            line.state = RUNNING if line.done < line.shares else JOINING
            self._remember(task, result)
            if line.state == JOINING:  # before other work: what is whole is safe early
                self.waiting.appendleft(replace(task, shard=None))

    def _remember(self, task: Task, result: Result) -> None:
        if self._peaks.note(task.request, result.memory):
            self._replace([self._measured(waiting) for waiting in self.waiting])

    def _measured(self, task: Task) -> Task:
        return replace(task, memory=self._peaks.of(task.request))

    def _replace(self, tasks: Sequence[Task]) -> None:
        self.waiting.clear()
        self.waiting.extend(tasks)


def _error(task: Task, result: Result) -> str:
    """What speaks against a result; also what the worker itself could not see."""
    if result.error:
        return result.error
    if result.version != __version__:
        return (
            f"A worker has posebench {result.version}, this process {__version__}: "
            "install one version on all nodes."
        )
    if task.shard is not None:
        number, shares = task.shard
        if not (task.folder / f"shard-{number}-of-{shares}.json").is_file():
            return (
                f"Share {number} of {shares} was estimated, but {task.folder} does not show it "
                "here: --output must be on storage that every node sees."
            )
    return ""


def _everywhere(request: Request) -> Request:
    """Paths that mean the same in every process, whatever its folder and its environment."""
    named = os.environ.get(DATA_ROOT)
    root = request.data_root or (Path(named) if named else None)
    given: dict[str, Any] = {name: getattr(request, name) for name in PATHS} | {"data_root": root}
    paths = {name: path.absolute() for name, path in given.items() if path is not None}
    boxes = request.boxes
    if boxes not in (None, "gt", "detector"):
        boxes = str(Path(boxes).absolute())
    folders = tuple(Path(path).absolute() for path in request.registry)
    return replace(request, **paths, boxes=boxes, registry=folders)


def _name(request: Request, shares: int) -> str:
    """Folder of a request's parts: the same for the same request, whatever runs beside it."""
    text = json.dumps(request.to_json() | {"threads": None, "shares": shares}, sort_keys=True)
    return f"{request.model.replace('/', '-')}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
