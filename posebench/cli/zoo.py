"""``posebench zoo``."""

from __future__ import annotations

import argparse
from pathlib import Path

from posebench.cli.common import Parser, print_json

EXAMPLES = ("posebench zoo import mmpose", "posebench zoo import mmpose --compare")


def add_arguments(parser: Parser) -> None:
    """Add what to do with which zoo."""
    parser.add_argument("action", choices=("import",), help="write its rows from the package")
    parser.add_argument("zoo", metavar="ZOO", help="a zoo that an optional package brings: mmpose")
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="(default: the registry's file)"
    )
    parser.add_argument(
        "--compare", action="store_true", help="write nothing; 1 if it would change"
    )


def run(arguments: argparse.Namespace) -> int:
    """Import a zoo.

    Returns:
        1 if ``--compare`` finds a difference.
    """
    from posebench.run.zoo import import_zoo

    found = import_zoo(arguments.zoo, arguments.output, write=not arguments.compare)
    if arguments.json:
        print_json({"file": found.path.name, "rows": found.rows, "changed": found.changed})
    else:
        said = "differs" if arguments.compare and found.changed else "written"
        said = said if found.changed else "unchanged"
        print(f"{found.path.name}: {found.rows} rows, {said}")
    return int(arguments.compare and found.changed)
