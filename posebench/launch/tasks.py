"""The unit of work: one share of one request, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from posebench.run.request import Request
from posebench.run.shards import evaluate_shard
from posebench.types.errors import UserError


@dataclass(frozen=True)
class Task:
    """One share of an evaluation.

    Attributes:
        number: Of the request among those launched together.
        request: What to evaluate.
        shard: (I, N), from 1.
        folder: For parts and manifest, on storage that every worker and the driver see.
    """

    number: int
    request: Request
    shard: tuple[int, int]
    folder: Path


@dataclass(frozen=True)
class Done:
    """A task that ended.

    Attributes:
        task: That ended.
        error: One sentence if it failed, else empty.
    """

    task: Task
    error: str = ""


class Launcher(Protocol):
    """Runs tasks somewhere, in any order."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Yield every task as it ends; a task that fails does not stop the others."""
        ...


def carry_out(task: Task) -> str:
    """Run a task here.

    Finished parts that lie in its folder are not estimated again.

    Returns:
        What went wrong, in one sentence; empty if nothing did.
    """
    try:
        evaluate_shard(task.request, task.shard, task.folder)
    except UserError as error:
        return f"{error.message} {error.hint or ''}".strip()
    except MemoryError:
        return "This machine has not enough memory for it."
    except Exception as error:  # one broken entry must not end a night's work
        return f"{type(error).__name__}: {error}"
    return ""


class LocalLauncher:
    """Runs tasks one after the other in this process."""

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Yield every task as it ends."""
        for task in tasks:
            yield Done(task, carry_out(task))
