"""``posebench report``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from posebench.cli.common import RUNS, Parser
from posebench.cli.terminal import emit, print_json
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from posebench.types.record import Record

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
        UserError: There are none, or one of them cannot be read.
    """
    from posebench.records.store import load_records

    if arguments.records == RUNS and not RUNS.is_dir():
        raise UserError(
            f"There is no folder {RUNS} here, where `posebench eval` and `posebench speed` write.",
            "Name another one: `--records results` in a clone, `--records reports/demo/records` "
            "after `posebench demo`.",
        )
    records = load_records(arguments.records)
    if arguments.format != "html":
        from posebench.report.tables import latex_tables, markdown_tables

        make = {"markdown": markdown_tables, "latex": latex_tables}[arguments.format]
        text = make(records)
        print_json({"records": len(records), "text": text}) if arguments.json else emit(text)
        return 0
    page = _write(arguments, records)
    if arguments.json:
        print_json({"page": str(page), "records": len(records)})
    else:
        emit(f"{page} (records read from {arguments.records}: {len(records)})")
    return 0


def _write(arguments: argparse.Namespace, records: list[Record]) -> Path:
    from posebench.registry import load_registry
    from posebench.report import write_site
    from posebench.report.background import VERIFIED, read_verified, registry_background
    from posebench.report.studies import find_explanations, find_studies

    verified = arguments.verified or arguments.records / VERIFIED
    asked = arguments.verified is not None or verified.is_file()
    registry = load_registry(tuple(arguments.registry))
    background = registry_background(registry, read_verified(verified) if asked else None)
    studies = find_studies(
        arguments.records,
        records,
        data_root=arguments.data_root,
        registry=arguments.registry,
        warn=lambda words: emit(f"posebench: {words}", error=True),
    )
    explanations = find_explanations(arguments.records)
    return write_site(records, arguments.output, background, studies, explanations)
