"""``posebench doctor``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from posebench.cli.parser import Parser
from posebench.cli.tables import wrapped
from posebench.cli.terminal import emit, print_json
from posebench.progress import printable

if TYPE_CHECKING:
    from posebench.api.doctor import Finding

EXAMPLES = ("posebench doctor", "posebench doctor --data-root data --json")


def add_arguments(parser: Parser) -> None:
    """Add where datasets lie."""
    parser.add_argument(
        "--data-root", metavar="DIR", type=Path, help="where datasets lie (default: POSEBENCH_DATA)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print what was found.

    Returns:
        1 if something is broken that every use needs.
    """
    from posebench.api.doctor import examine

    found = examine(tuple(arguments.registry), arguments.data_root)
    broken = sum(finding.status == "broken" for finding in found)
    if arguments.json:
        print_json({"findings": [finding.to_json() for finding in found], "broken": broken})
    else:
        emit(_text(found))
    return int(broken > 0)


def _text(found: list[Finding]) -> str:
    width = max(len(finding.name) for finding in found)
    lines, area = [], ""
    for finding in found:
        if finding.area != area:
            lines += ([""] if area else []) + [finding.area]
            area = finding.area
        detail = wrapped(finding.detail, width + 13)
        lines.append(f"  {finding.status:7}  {finding.name:{width}}  {detail}")
        if finding.mend:  # a command stays on one line, to be copied
            lines.append(f"  {'':7}  {'':{width}}  -> {printable(finding.mend)}")
    counts = {finding.status: 0 for finding in found}
    for finding in found:
        counts[finding.status] += 1
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    return "\n".join([*lines, "", f"{said}."])
