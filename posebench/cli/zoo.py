"""``posebench zoo``."""

from __future__ import annotations

import argparse
from pathlib import Path

from posebench.cli.common import Parser
from posebench.cli.terminal import emit, print_json

EXAMPLES = (
    "posebench zoo import mmpose --compare",
    "posebench zoo check mmpose --rows td_hm_hrnet_w32_8xb64_210e_coco_256x192",
    "posebench zoo check mmpose --output docs/mmpose_rows.md",
)


def add_arguments(parser: Parser) -> None:
    """Add what to do with which zoo."""
    words = "write its rows from the package, or build each and run one batch"
    parser.add_argument("action", choices=("import", "check"), help=words)
    parser.add_argument("zoo", metavar="ZOO", help="a zoo that an optional package brings: mmpose")
    words = "file to write (import: by default the registry's; check: a page)"
    parser.add_argument("--output", metavar="FILE", type=Path, help=words)
    words = "import: write nothing, status 1 if the file differs"
    parser.add_argument("--compare", action="store_true", help=words)
    parser.add_argument("--rows", metavar="ID", nargs="+", default=[], help="check: only these")


def run(arguments: argparse.Namespace) -> int:
    """Import or check a zoo.

    Returns:
        1 if ``--compare`` finds a difference.
    """
    return _import(arguments) if arguments.action == "import" else _check(arguments)


def _import(arguments: argparse.Namespace) -> int:
    from posebench.run.zoo import import_zoo

    found = import_zoo(arguments.zoo, arguments.output, write=not arguments.compare)
    if arguments.json:
        print_json({"file": found.path.name, "rows": found.rows, "changed": found.changed})
    else:
        said = "differs" if arguments.compare else "written"
        emit(f"{found.path.name}: {found.rows} rows, {said if found.changed else 'unchanged'}")
    return int(arguments.compare and found.changed)


def _check(arguments: argparse.Namespace) -> int:
    from posebench.cli.progress import progress
    from posebench.run.zoo_check import RUNS, check_zoo, write_table

    with progress("rows") as report:
        rows = check_zoo(arguments.zoo, names=arguments.rows, progress=report)
    if arguments.output:
        write_table(arguments.output, rows, arguments.zoo, arguments.command)
    runs = sum(row.outcome == RUNS for row in rows)
    if arguments.json:
        print_json({"zoo": arguments.zoo, "run": runs, "rows": [row.to_json() for row in rows]})
    else:
        for row in rows:
            emit(f"{row.id}  {row.outcome}")
        emit(f"{runs} of {len(rows)} rows build with random weights and run one batch.")
    return 0
