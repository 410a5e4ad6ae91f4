"""The zoo of an optional package: its index as a zoo file, and which of its rows build and run.

``python tools/zoo.py import mmpose`` writes ``registry/zoos/mmpose.yaml`` from the installed
package, and with ``--compare`` only says, with status 1, whether it would change.
``python tools/zoo.py check mmpose --output docs/mmpose_rows.md`` builds every row with random
weights, runs one batch and writes a page; ``--rows ID ...`` takes only some.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from check_rows import RUNS, check_zoo, write_table
from mmpose_zoo import zoo_text

from posebench.mmpose.index import package_folder
from posebench.registry import load_registry
from posebench.registry.loader import shipped_folder
from posebench.types.errors import UserError


def compare_or_write(output: Path | None = None, *, write: bool = True) -> tuple[int, bool]:
    """Make mmpose's zoo file from its installed package.

    Args:
        output: The file; by default the registry's own.
        write: Or only compare.

    Returns:
        How many rows it has, and whether it differs from what is there.

    Raises:
        UserError: The package is missing, or no protocol describes how a model is evaluated.
    """
    path = output or shipped_folder() / "zoos" / "mmpose.yaml"
    text = zoo_text(package_folder(), load_registry().protocols)
    changed = not path.is_file() or path.read_text(encoding="utf-8") != text
    if write and changed:
        path.write_text(text, encoding="utf-8")
    return text.count("\n  - id: "), changed


def main() -> int:
    """Run one of the two, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("import", "check"))
    parser.add_argument("zoo", choices=("mmpose",))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--compare", action="store_true", help="import: write nothing")
    parser.add_argument("--rows", metavar="ID", nargs="+", default=[], help="check: only these")
    arguments = parser.parse_args()
    try:
        if arguments.action == "import":
            count, changed = compare_or_write(arguments.output, write=not arguments.compare)
            print(f"{count} rows, {'changed' if changed else 'unchanged'}")
            return int(arguments.compare and changed)
        rows = check_zoo(arguments.zoo, names=arguments.rows)
    except UserError as error:
        raise SystemExit(f"{error} {error.hint}") from error
    if arguments.output:
        command = f"python tools/zoo.py {shlex.join(sys.argv[1:])}"
        write_table(arguments.output, rows, arguments.zoo, command)
    runs = sum(row.outcome == RUNS for row in rows)
    for row in rows:
        print(f"{row.id}  {row.outcome}")
    print(f"{runs} of {len(rows)} rows build with random weights and run one batch.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
