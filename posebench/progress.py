"""How long work says how far it is: one kind of callback, and bars for those who look."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[str, int, int], None]
"""Called with (what, done, all): the step, and how much of it is done; all is 0 if not known."""

# C0 and C1 controls, marks that turn the direction of text, line separators, lone surrogates (which
# stand for the bytes of file names that are not UTF-8).
_CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
UNSAFE = re.compile(f"[{_CONTROLS}]")
_UNSAFE_IN_LINE = re.compile(f"[\t\n{_CONTROLS}]")
_ESCAPED_BYTES = range(0xDC80, 0xDD00)


def printable(text: str, *, lines: bool = False) -> str:
    r"""Return text without anything that a terminal obeys.

    Control characters become ``\x1b`` and the like, which can be read. A byte of a file name that
    is not UTF-8 becomes ``\xff``.

    Args:
        text: Of any origin.
        lines: Whether tabs and line ends stay as they are.
    """
    return (UNSAFE if lines else _UNSAFE_IN_LINE).sub(_visible, text)


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code in _ESCAPED_BYTES:
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"


@contextmanager
def shown(progress: Progress | None, unit: str = "persons") -> Iterator[Progress | None]:
    """Give what a caller wants to be called with, else bars where somebody looks at them.

    Args:
        progress: The caller's own; None asks for bars.
        unit: What is counted.
    """
    if progress is not None:
        yield progress
        return
    with bars(unit) as report:
        yield report


def _in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    return shell is not None and getattr(shell.get_ipython(), "kernel", None) is not None


@contextmanager
def bars(unit: str = "persons") -> Iterator[Progress | None]:
    """Show (what, done, all) calls as a bar with the rate, where somebody looks.

    Args:
        unit: What is counted.

    Yields:
        What to call; None without a terminal or notebook.
    """
    if not (sys.stderr.isatty() or _in_notebook()):
        yield None
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
                # A step whose length no one knows (count 0) shows a moving bar.
                tasks[what] = bars.add_task(printable(what), total=count or None)
            bars.update(tasks[what], completed=done)

        yield report
