"""``--launcher``: where the work of a command runs."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from posebench.progress import printable

if TYPE_CHECKING:
    from posebench.launch.many import TaskStatus
    from posebench.launch.on_ray import RayLauncher


def launcher(arguments: argparse.Namespace) -> RayLauncher | None:
    """Return the cluster that was asked for; None is this process."""
    if arguments.launcher == "local":
        return None
    from posebench.launch.on_ray import RayLauncher

    return RayLauncher(arguments.address)


@contextlib.contextmanager
def board() -> Iterator[Callable[[TaskStatus], None] | None]:
    """A table of all models on stderr that fills as tasks end; None where no one looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), transient=True) as live:
        yield lambda found: live.update(status_table(found))


def status_table(found: TaskStatus) -> Any:
    """Lay out a board: what is at work or has failed, and below how many are in each state."""
    from rich.table import Table
    from rich.text import Text

    counts = ", ".join(f"{count} {state}" for state, count in found["counts"].items() if count)
    caption = f"{counts}; {found['seconds']:,.0f} s"
    table = Table("model", "state", "shares", "work", "", caption=caption)
    for line in found["requests"]:
        if line["state"] not in ("waiting", "done"):
            shares, work = "{done} of {shares}".format(**line), "{seconds:,.0f} s".format(**line)
            model, error = (Text(printable(line[name])) for name in ("model", "error"))
            table.add_row(model, line["state"], shares, work, error)
    return table
