"""``posebench report``."""

from __future__ import annotations

import argparse
from pathlib import Path

from posebench.cli.common import Parser, print_json

EXAMPLES = (
    "posebench report --records reports/demo/records --output reports/site",
    "posebench report --json",
)


def add_arguments(parser: Parser) -> None:
    """Add the folders."""
    parser.add_argument(
        "--records",
        metavar="DIR",
        type=Path,
        default=Path("results"),
        help="folder of records, searched through (default: results)",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("reports/site"),
        help="where index.html goes (default: reports/site)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Read the records and write the page."""
    from posebench.records.store import load_records
    from posebench.report import write_site

    records = load_records(arguments.records)
    page = write_site(records, arguments.output)
    if arguments.json:
        print_json({"page": str(page), "records": len(records)})
    else:
        print(f"{page} (records read from {arguments.records}: {len(records)})")
    return 0
