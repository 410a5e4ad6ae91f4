"""``posebench report``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from posebench.cli.parser import RUNS, Parser
from posebench.cli.terminal import emit, print_json
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from posebench.records.store import LeftOut

EXAMPLES = (
    "posebench report --records reports/demo/records --output reports/site",
    "posebench report --records results --data-root coco",
    "posebench report --format markdown",
    "posebench report --json",
)


def add_arguments(parser: Parser) -> None:
    """Add the folders."""
    parser.add_argument(
        "--records",
        metavar="DIR",
        type=Path,
        default=RUNS,
        help=f"folder of records, searched through (default: {RUNS})",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("reports/site"),
        help="where index.html goes (default: reports/site)",
    )
    parser.add_argument(
        "--format",
        choices=("html", "markdown", "latex"),
        default="html",
        help="markdown, latex: the tables alone, on stdout (default: html)",
    )
    parser.add_argument(
        "--data-root",
        metavar="DIR",
        type=Path,
        help="a dataset in its usual layout: saved predictions beside the records are then held "
        "against its annotations (default: POSEBENCH_DATA; drawn datasets need none)",
    )
    parser.add_argument(
        "--verified",
        metavar="FILE",
        type=Path,
        help="what `posebench verify --all --json` printed (default: verified.json beside the "
        "records, where there is one)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Read the records and write the pages, or print the tables.

    Raises:
        UserError: There are none, or none of them can be read.
    """
    from posebench.records.store import read_records

    if arguments.records == RUNS and not RUNS.is_dir():
        raise UserError(
            f"There is no folder {RUNS} here, where `posebench eval` and `posebench speed` write.",
            "Name another one: `--records results` in a clone, `--records reports/demo/records` "
            "after `posebench demo`.",
        )
    if arguments.format == "html":
        return _write(arguments)
    records, left_out = read_records(arguments.records)
    _name(left_out)
    if not records:
        raise UserError(
            f"None of the files below {arguments.records} that are named like records can be read.",
            "The lines above say why.",
        )
    from posebench.site.tables import latex_tables, markdown_tables

    make = {"markdown": markdown_tables, "latex": latex_tables}[arguments.format]
    text = make(records)
    content = {"records": len(records), "left_out": _paths(left_out), "text": text}
    print_json(content) if arguments.json else emit(text)
    return 0


def _write(arguments: argparse.Namespace) -> int:
    """Write the site, and say where it is and what had to be left out."""
    from posebench import report

    found = report(
        arguments.records,
        arguments.output,
        data_root=arguments.data_root,
        verified=arguments.verified,
        registry=arguments.registry,
        notify=lambda words: emit(f"posebench: {words}", error=True),
    )
    _name(found.left_out)
    gone = _paths(found.left_out)
    if arguments.json:
        print_json({"page": str(found.page), "records": found.records, "left_out": gone})
    else:
        words = f"; left out: {len(gone)}" if gone else ""
        emit(f"{found.page} (records read from {arguments.records}: {found.records}{words})")
    return 0


def _paths(left_out: Sequence[LeftOut]) -> list[str]:
    return [file.path for file in left_out]


def _name(left_out: Sequence[LeftOut]) -> None:
    from posebench.site.text import one_line

    for file in left_out:
        words = one_line(f"{file.problem} {file.hint}")
        emit(f"posebench: left out: {words}", error=True)
