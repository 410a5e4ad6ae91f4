"""What the verbs share: the parser, tables and JSON on stdout."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from posebench.types.errors import UserError

# Options whose values are paths of the machine; records keep only the last part.
PATH_OPTIONS = (
    "--checkpoint",
    "--data-root",
    "--annotations",
    "--images",
    "--output",
    "--records",
    "--registry",
    "--boxes",
)


class Parser(argparse.ArgumentParser):
    """An argument parser that raises ``UserError`` and knows the options of every verb.

    Args:
        verb: Name of the verb.
        description: One line.
        examples: Command lines that can be run as they stand.
    """

    def __init__(self, verb: str, description: str, examples: Sequence[str]) -> None:
        super().__init__(
            prog=f"posebench {verb}",
            description=f"{description[0].upper()}{description[1:]}.",
            epilog="\n  ".join(("examples:", *examples)),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--json", action="store_true", help="JSON alone on stdout, errors too")
        self.add_argument(
            "--registry",
            metavar="DIR",
            type=Path,
            action="append",
            default=[],
            help="a folder of further models, in the format of registry/ (repeatable)",
        )

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting, so that errors have one form everywhere.

        Raises:
            UserError: Always.
        """
        hint = f"`{self.prog} --help` shows the options."
        unknown = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        if unknown:
            from posebench.registry.validate import suggestion

            options = re.findall(r"--[\w-]+", self.format_help())
            hint = f"{suggestion(unknown[1], options)} {hint}".strip()
        raise UserError(f"{message[:1].upper()}{message[1:]}.", hint)


def positive(text: str) -> int:
    """Read a whole number from 1 up.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 up")
    return int(text)


def print_json(content: Any) -> None:
    """Print strict JSON (no NaN) and nothing else."""
    json.dump(content, sys.stdout, indent=1, ensure_ascii=False, allow_nan=False)
    sys.stdout.write("\n")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Lay out a text table.

    Args:
        head: Column titles.
        rows: Cells, as many a row as there are titles.
        right: Titles of the columns that are aligned to the right.
    """
    lines = [list(head), *[list(row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if title in right else cell.ljust(width)
            for cell, width, title in zip(line, widths, head, strict=True)
        ).rstrip()
        for line in lines
    )


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Lay out ``name  value`` lines; empty values are left out."""
    width = max((len(name) for name, _ in pairs), default=0)
    return "\n".join(f"{name:{width}}  {value}" for name, value in pairs if value)


def command_line(verb: str, words: Sequence[str]) -> str:
    """Return the command for a record: as typed, paths reduced to their last part."""
    kept = []
    previous = ""
    for word in words:
        option, equals, value = word.partition("=")
        if equals and option in PATH_OPTIONS:
            word = f"{option}={Path(value).name}"
        elif previous in PATH_OPTIONS:
            word = Path(word).name
        kept.append(word)
        previous = word
    return shlex.join(("posebench", verb, *kept))


def number(value: float | None, sign: str = "") -> str:
    """Two decimals, or a dash where nothing was measured."""
    return "-" if value is None else f"{value:{sign}.2f}"


def span(interval: tuple[float, float] | None) -> str:
    """``low to high``, or a dash."""
    return "-" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"
