"""``posebench nightly``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from posebench.cli.launcher import launcher
from posebench.cli.parser import RUNS, Parser, add_launcher
from posebench.cli.terminal import emit, print_json, progress
from posebench.progress import Progress

if TYPE_CHECKING:
    from posebench.launch.many import TaskStatus

EXAMPLES = (
    "posebench nightly --suite demo",
    "posebench nightly --suite zoo.yaml --launcher ray --address auto",
    "posebench nightly --suite demo --accept",
)


def add_arguments(parser: Parser) -> None:
    """Add suite, folders and launcher."""
    parser.add_argument(
        "--suite",
        metavar="FILE",
        required=True,
        help="what to measure: a YAML file, or the name of a shipped suite (demo)",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("reports/nightly"),
        help="where site, summary.md and junit.xml go (default: reports/nightly)",
    )
    parser.add_argument(
        "--history",
        metavar="DIR",
        type=Path,
        default=RUNS / "history",
        help=f"of earlier nights, appended to (default: {RUNS}/history)",
    )
    parser.add_argument(
        "--accept",
        action="store_true",
        help="take this night's numbers for the usual ones from now on",
    )
    add_launcher(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, compare, write.

    Returns:
        1 for a regression, 2 where something could not be run.
    """
    from posebench.nightly.fingerprint import code_fingerprint
    from posebench.nightly.nightly_run import run_nightly
    from posebench.nightly.pages import publish, summary, to_json
    from posebench.nightly.suite import cells, read_suite
    from posebench.nightly.work import Measuring
    from posebench.registry import load_registry

    suite = read_suite(arguments.suite)
    known = load_registry(tuple(arguments.registry))
    wanted = cells(suite, known)
    with progress("models") as say:
        work = Measuring(
            launcher(arguments),
            registry=tuple(arguments.registry),
            shares=arguments.shares or (1 if arguments.launcher == "local" else 4),
            report=_told(say) if say else None,
            command=arguments.command,
        )
        night = run_nightly(
            suite,
            wanted,
            work,
            arguments.output,
            arguments.history,
            facts=code_fingerprint(),
            protocols=known.protocols,
            accept=arguments.accept,
            say=say,
            publish=publish,
        )
    if arguments.json:
        print_json(to_json(night))
    else:
        emit(f"{summary(night)}\n{arguments.output / 'site' / 'nightly.html'}")
    return night.status


def _told(say: Progress) -> Callable[[TaskStatus], None]:
    """Turn a board into a bar."""

    def report(found: TaskStatus) -> None:
        counts = found["counts"]
        say("evaluating", counts["done"] + counts["failed"], len(found["requests"]))

    return report
