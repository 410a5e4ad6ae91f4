"""``posebench report``."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from posebench.cli.common import Parser, print_json
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from posebench.records.store import LeftOut
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
    """Read the records and write the pages, or print the tables."""
    from posebench.records.store import read_records

    records, left_out = read_records(arguments.records)
    _name(left_out)
    if not records:
        raise UserError(
            f"None of the files below {arguments.records} that are named like records can be read.",
            "The lines above say why.",
        )
    names = [file.path for file in left_out]
    if arguments.format != "html":
        from posebench.report.tables import latex_tables, markdown_tables

        make = {"markdown": markdown_tables, "latex": latex_tables}[arguments.format]
        text = make(records)
        content = {"records": len(records), "left_out": names, "text": text}
        print_json(content) if arguments.json else print(text)
        return 0
    with contextlib.redirect_stdout(sys.stderr):
        page = _write(arguments, records, left_out)
    if arguments.json:
        print_json({"page": str(page), "records": len(records), "left_out": names})
    else:
        gone = f"; left out: {len(left_out)}" if left_out else ""
        print(f"{page} (records read from {arguments.records}: {len(records)}{gone})")
    return 0


def _write(
    arguments: argparse.Namespace, records: list[Record], left_out: tuple[LeftOut, ...]
) -> Path:
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
        warn=lambda words: print(f"posebench: {words}", file=sys.stderr),
    )
    explanations, damaged = find_explanations(arguments.records)
    _name(damaged)
    return write_site(
        records, arguments.output, background, studies, explanations, (*left_out, *damaged)
    )


def _name(left_out: Sequence[LeftOut]) -> None:
    from posebench.report.text import one_line

    for file in left_out:
        print(f"posebench: left out: {one_line(f'{file.problem} {file.hint}')}", file=sys.stderr)
