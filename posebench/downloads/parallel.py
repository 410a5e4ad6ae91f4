"""Several files at once; one that fails does not stop the others."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from posebench.downloads.files import Cancelled
from posebench.types.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")
# For threads that sit in a read when somebody presses Ctrl-C; they die with the process.
LAST_WAIT = 1.0
POLL = 0.1


def in_parallel(
    items: Sequence[Item],
    work: Callable[[Item], Result],
    *,
    jobs: int,
    cancel: threading.Event,
) -> Iterator[tuple[Item, Result | UserError]]:
    """Do the same with every item, some at a time, and yield how each ended, as it ends.

    Args:
        items: What to work on.
        work: Called in a thread of its own; a ``UserError`` ends only its item.
        jobs: Threads.
        cancel: Set here when the work is to stop; ``work`` should look at it.

    Raises:
        KeyboardInterrupt: After telling all threads to stop.
        Exception: Whatever else ``work`` raised, after telling the others to stop.
    """
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    ended: queue.SimpleQueue[tuple[Item, Result | BaseException]] = queue.SimpleQueue()

    def worker() -> None:
        while not cancel.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                ended.put((item, work(item)))
            except BaseException as error:
                ended.put((item, error))

    # not an executor: at exit that waits for threads which sit in a read
    count = max(1, min(jobs, len(items)))
    threads = [threading.Thread(target=worker, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    left = len(items)
    try:
        while left:
            try:
                item, result = ended.get(timeout=POLL)
            except queue.Empty:
                if cancel.is_set() and not any(thread.is_alive() for thread in threads):
                    raise KeyboardInterrupt from None
                continue
            if isinstance(result, Cancelled):
                raise KeyboardInterrupt from result
            if isinstance(result, BaseException) and not isinstance(result, UserError):
                raise result
            left -= 1
            yield item, result
    except BaseException:
        cancel.set()
        for thread in threads:
            thread.join(LAST_WAIT / count)
        raise
