"""``--launcher``: where the work of a verb runs."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from posebench.cli.common import positive

if TYPE_CHECKING:
    from posebench.launch.many import Report


def add_launcher(group: Any) -> None:
    """Add the launcher's options."""
    group.add_argument(
        "--launcher",
        choices=("local", "ray"),
        default="local",
        help="this process (default), or tasks on a Ray cluster",
    )
    group.add_argument(
        "--address", metavar="ADDRESS", help="of the Ray cluster; auto finds one, none starts one"
    )
    group.add_argument(
        "--shares", type=positive, metavar="N", help="tasks a model on Ray (default: 4)"
    )


def launcher(arguments: argparse.Namespace) -> Any:
    """Return the launcher that was asked for."""
    if arguments.launcher == "local":
        from posebench.launch.tasks import LocalLauncher

        return LocalLauncher()
    from posebench.launch.on_ray import RayLauncher

    return RayLauncher(arguments.address)


@contextlib.contextmanager
def board() -> Iterator[Report | None]:
    """A table of all models on stderr that fills as tasks end; None where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    with Live(console=Console(stderr=True), transient=True) as live:

        def report(found: Any) -> None:
            table = Table("model", "shares", "")
            for line in found.lines:
                table.add_row(line.model, f"{line.done} of {line.shares}", line.error)
            live.update(table)

        yield report
