"""Progress on stderr: bars on a terminal, and lines in a file for those who ask for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from posebench.cli.terminal import emit, printable
from posebench.types.progress import Progress


@contextmanager
def progress(unit: str = "persons", *, lines: bool = False) -> Iterator[Progress | None]:
    """Show (what, done, all) calls as a bar with the rate.

    Args:
        unit: What is counted.
        lines: Without a terminal, print a line as each step begins; else None is yielded there.
    """
    if not sys.stderr.isatty():
        yield _lines() if lines else None
        return
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.speed:,.0f} {unit}/s" if task.speed and task.total else "")

    class Count(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text(f"{task.completed:.0f}/{task.total:.0f}" if task.total else "")

    tasks: dict[str, Any] = {}
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        Count(),
        Rate(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:

        def report(what: str, done: int, count: int) -> None:
            for other in [name for name in tasks if name != what]:
                bars.remove_task(tasks.pop(other))
            if what not in tasks:
                # A step whose length nobody knows (count 0) shows a moving bar.
                tasks[what] = bars.add_task(printable(what), total=count or None)
            bars.update(tasks[what], completed=done)

        yield report


def _lines() -> Progress:
    begun: set[str] = set()

    def report(what: str, _done: int, _count: int) -> None:
        if what not in begun:
            begun.add(what)
            emit(f"posebench: {what}", error=True)

    return report
