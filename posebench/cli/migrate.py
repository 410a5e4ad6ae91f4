"""``posebench migrate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from posebench.cli.parser import Parser
from posebench.cli.terminal import emit, print_json

EXAMPLES = ("posebench migrate results",)


def add_arguments(parser: Parser) -> None:
    """Add the folder."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with records")


def run(arguments: argparse.Namespace) -> int:
    """Migrate and say what became of each file.

    Returns:
        1 if a record could not be migrated.
    """
    from posebench.records.store import migrate
    from posebench.types.record import SCHEMA_VERSION

    done = migrate(arguments.folder)
    failed = [each for each in done if each.new is None]
    if arguments.json:
        migrated = [{"old": str(each.old), "new": str(each.new)} for each in done if each.new]
        left = [{"file": str(each.old), "reason": each.problem} for each in failed]
        print_json({"schema_version": SCHEMA_VERSION, "migrated": migrated, "left": left})
    else:
        for each in done:
            emit(f"{each.old} -> {each.new}" if each.new else f"{each.old} stays: {each.problem}")
        emit(f"{len(done) - len(failed)} records migrated to schema version {SCHEMA_VERSION}.")
    return int(bool(failed))
