"""The unit of work: one share of one request, or their joining, and what became of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from posebench import __version__
from posebench.launch.files import Fetching, bring
from posebench.launch.memory import forget_peak, peak
from posebench.run.request import Request
from posebench.run.shards import evaluate_shard, merge
from posebench.types.errors import UserError
from posebench.types.record import Record


@dataclass(frozen=True)
class Task:
    """One share of an evaluation, or the joining of all its shares.

    Attributes:
        number: Of the request among those launched together.
        request: What to evaluate.
        shard: (I, N), from 1; None joins the shares that lie in the folder.
        folder: For parts and manifests, on storage that every worker sees.
        memory: Bytes that such a task was seen to hold; None where it was never seen.
        fetching: Whether, and under which terms, a node gets the files that it lacks.
        command: For the record.
    """

    number: int
    request: Request
    shard: tuple[int, int] | None
    folder: Path
    memory: int | None = None
    fetching: Fetching | None = None
    command: str = ""


@dataclass(frozen=True)
class Result:
    """What comes back from a worker, by value: a record at most, never predictions.

    Attributes:
        error: One sentence if it failed, else empty.
        record: Of joined shares.
        seconds: It took.
        memory: Most bytes that the process held meanwhile; None where nobody counts.
        version: Of posebench on the worker.
    """

    error: str = ""
    record: Record | None = None
    seconds: float = 0.0
    memory: int | None = None
    version: str = __version__


@dataclass(frozen=True)
class Done:
    """A task that ended.

    Attributes:
        task: That ended.
        result: Of it.
    """

    task: Task
    result: Result


class Launcher(Protocol):
    """Runs tasks somewhere, in any order."""

    def run(self, waiting: deque[Task]) -> Iterator[Done]:
        """Take tasks from the left and yield each as it ends, until nothing waits or runs.

        Whoever iterates may add tasks, take some back or change them between two steps. A task
        that fails does not stop the others.
        """
        ...


def carry_out(task: Task) -> Result:
    """Run a task in this process; finished parts in its folder are not estimated again."""
    start = time.monotonic()
    forget_peak()
    record, error = None, ""
    try:
        if task.fetching is not None:
            bring(task.request, task.fetching)
        if task.shard is None:
            record = merge([task.folder], command=task.command)
        else:
            evaluate_shard(task.request, task.shard, task.folder, command=task.command)
    except UserError as found:
        error = str(found)
    except MemoryError:
        error = "This machine has not enough memory for it."
    except Exception as found:  # one broken entry must not end a night's work
        error = f"{type(found).__name__}: {found}"
    return Result(error, record, time.monotonic() - start, peak())


class LocalLauncher:
    """Runs tasks one after the other in this process.

    Args:
        fetching: Whether, and under which terms, missing files are fetched.
    """

    def __init__(self, fetching: Fetching | None = None) -> None:
        self._fetching = fetching

    def run(self, waiting: deque[Task]) -> Iterator[Done]:
        """Yield every task as it ends."""
        while waiting:
            task = replace(waiting.popleft(), fetching=self._fetching)
            yield Done(task, carry_out(task))
