"""``posebench verify``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from posebench.cli.parser import Parser, add_models
from posebench.cli.tables import table
from posebench.cli.terminal import emit, print_json
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from posebench.verification.verify import Verification

EXAMPLES = (
    "posebench verify tinypose_256x192",
    "posebench verify lpn_50 --dataset coco --json",
    "posebench verify --all",
)


def add_arguments(parser: Parser) -> None:
    """Add the models."""
    add_models(parser)
    parser.add_argument("--all", action="store_true", help="every model that has an original")
    parser.add_argument("--dataset", help="disambiguates a short name")


def run(arguments: argparse.Namespace) -> int:
    """Print one line a row.

    Returns:
        1 if a row failed.

    Raises:
        UserError: Neither models nor ``--all``, or both.
    """
    from posebench import verify
    from posebench.cli.terminal import progress
    from posebench.verification.verify import FAILED

    if bool(arguments.models) == arguments.all:
        raise UserError("Name models to verify, or give --all.", "`posebench list` names them.")
    with progress("models") as report:
        found = verify(
            arguments.models,
            dataset=arguments.dataset,
            registry=arguments.registry,
            progress=report,
        )
    if arguments.json:
        print_json([finding.to_json() for finding in found])
    else:
        emit(_text(found))
    return int(any(finding.status == FAILED for finding in found))


def _text(found: list[Verification]) -> str:
    head = ("model", "status", "difference", "allowed", "compared with", "parameters", "s", "note")
    rows = [
        (
            finding.key,
            finding.status,
            "-" if finding.error is None else f"{finding.error:.1e}",
            "-" if finding.tolerance is None else f"{finding.tolerance:.0e}",
            f"{finding.golden} ({finding.compared})" if finding.golden else "-",
            "-" if finding.parameters is None else f"{finding.parameters:,}",
            f"{finding.seconds:.1f}",
            finding.note,
        )
        for finding in found
    ]
    counts = {status: 0 for status in ("ok", "structure only", "failed")}
    for finding in found:
        counts[finding.status] += 1
    summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    right = ("difference", "allowed", "parameters", "s")
    text = table(
        head,
        rows,
        right=right,
        drop=("parameters", "s", "allowed", "compared with"),
        cut=("compared with", "note"),
    )
    return f"{text}\n\n{len(found)} models: {summary}."
