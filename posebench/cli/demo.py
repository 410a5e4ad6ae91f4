"""``posebench demo``."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from posebench.cli.common import Parser, print_json
from posebench.cli.progress import progress
from posebench.cli.results import claims_table, speed_table
from posebench.types.record import Record

EXAMPLES = ("posebench demo", "posebench demo --output /tmp/demo --json")


def add_arguments(parser: Parser) -> None:
    """Add the output folder."""
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        default=Path("reports/demo"),
        help="where index.html and records/ go (default: reports/demo)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, time, store, write the page.

    Returns:
        1 if one of our own claims was not reproduced.
    """
    from posebench.records.store import save_all, to_json
    from posebench.report import write_site
    from posebench.run import demo

    with contextlib.redirect_stdout(sys.stderr), progress() as report:
        records = demo(arguments.output, progress=report)
    save_all(records, arguments.output / "records")
    page = write_site(records, arguments.output)
    held = all(claims_hold(record) for record in records)
    if arguments.json:
        content = [to_json(record) for record in records]
        print_json({"page": str(page), "reproduced": held, "records": content})
    else:
        print(claims_table([record for record in records if record.kind == "eval"]))
        print(f"\n{speed_table([record for record in records if record.timings])}")
        print(f"\nThe page: {page}")
    if not held:
        print("posebench: not every claim of the demo models was reproduced.", file=sys.stderr)
    return 0 if held else 1


def claims_hold(record: Record) -> bool:
    """Whether every claim of the record was reproduced."""
    return all(result.verdict == "reproduced" for result in record.claims)
