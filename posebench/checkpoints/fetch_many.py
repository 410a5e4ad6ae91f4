"""Several files at once; one that fails does not stop the others."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from posebench.checkpoints.cache_files import Cancelled
from posebench.types.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")
# For threads that sit in a read when somebody presses Ctrl-C; they die with the process.
LAST_WAIT = 1.0
POLL = 0.1


@dataclass(frozen=True)
class Done(Generic[Item, Result]):
    """How one item ended: with a result or with an error."""

    item: Item
    result: Result | None = None
    error: UserError | None = None


def in_parallel(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    *,
    jobs: int,
    cancel: threading.Event,
    ended: Callable[[Done[Item, Result]], None] | None = None,
) -> list[Done[Item, Result]]:
    """Do the same with every item, some at a time, and return how each ended, in their order.

    Args:
        items: What to work on.
        work: Called in a thread of its own; a ``UserError`` ends only its item.
        jobs: Threads.
        cancel: Set here when the work is to stop; ``work`` should look at it.
        ended: Called in the caller's thread as each item ends.

    Raises:
        KeyboardInterrupt: After telling all threads to stop.
        Exception: Whatever else ``work`` raised, after telling the others to stop.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for position in range(len(items)):
        waiting.put(position)
    found: queue.SimpleQueue[tuple[int, Done[Item, Result] | BaseException]] = queue.SimpleQueue()

    def worker() -> None:
        while not cancel.is_set():
            try:
                position = waiting.get_nowait()
            except queue.Empty:
                return
            item = items[position]
            try:
                found.put((position, Done(item, result=work(item))))
            except UserError as error:
                found.put((position, Done(item, error=error)))
            except BaseException as error:
                found.put((position, error))

    # not an executor: at exit that waits for threads which sit in a read
    threads = [
        threading.Thread(target=worker, daemon=True) for _ in range(max(1, min(jobs, len(items))))
    ]
    for thread in threads:
        thread.start()
    results: dict[int, Done[Item, Result]] = {}
    try:
        while len(results) < len(items):
            try:
                position, one = found.get(timeout=POLL)
            except queue.Empty:
                if cancel.is_set() and not any(thread.is_alive() for thread in threads):
                    raise KeyboardInterrupt from None
                continue
            if isinstance(one, Cancelled):
                raise KeyboardInterrupt from one
            if isinstance(one, BaseException):
                raise one
            results[position] = one
            if ended is not None:
                ended(one)
    except BaseException:
        cancel.set()
        for thread in threads:
            thread.join(LAST_WAIT / len(threads))
        raise
    return [results[position] for position in sorted(results)]
