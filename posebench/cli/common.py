"""What the verbs share: the parser, tables, and where records lie."""

from __future__ import annotations

import argparse
import math
import re
import shlex
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from posebench.cli.terminal import emit, printable, width
from posebench.types.errors import UserError

# Where records go and are read from unless somebody says otherwise; ``results/`` of a clone holds
# those that are shipped.
RUNS = Path("runs")
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
# A positional argument and the option that may be written instead.
NAMED = {
    "model": "model_option",
    "models": "models_option",
    "predictions": "predictions_option",
}
SHORTEST = 16  # columns that a cell keeps
DIGITS = 18  # of a number that anybody means


def add_model(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the one model that a verb is about, as MODEL or as ``--model NAME``."""
    words = "zoo/id, id, short name, or a part of them that only one model has"
    parser.add_argument("model", metavar="MODEL", nargs="?", help=words)
    parser.add_argument(
        "--model", dest=NAMED["model"], metavar="NAME", action="append", help="the same"
    )


def add_models(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add any number of models, as MODEL or as ``--model NAME``, repeatable."""
    words = "zoo/id, id, short name, or a part of them that only one model has"
    parser.add_argument("models", metavar="MODEL", nargs="*", help=words)
    parser.add_argument(
        "--model", dest=NAMED["models"], metavar="NAME", action="append", help="the same"
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

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and take a model by its place or by ``--model``.

        Raises:
            UserError: An option is wrong, or the model is missing or named twice.
        """
        parsed = super().parse_args(args, namespace)
        for place, option in NAMED.items():
            if hasattr(parsed, option):
                setattr(parsed, place, self._named(parsed, place, option))
        return parsed

    def _named(self, parsed: argparse.Namespace, place: str, option: str) -> Any:
        given, also = getattr(parsed, place), getattr(parsed, option) or []
        if isinstance(given, list):
            return [*given, *also]
        found = [name for name in (given, *also) if name is not None]
        name = place.upper()
        if not found:
            raise UserError(
                f"{name} is missing.",
                f"Give it after `{self.prog}`, or as --{place} {name}. {self._help()}",
            )
        if len(found) > 1:
            raise UserError(
                f"{name} is given {len(found)} times: {', '.join(map(str, found))}.",
                f"`{self.prog}` takes one.",
            )
        return found[0]

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting, so that errors have one form everywhere.

        Raises:
            UserError: Always.
        """
        hint = self._help()
        unknown = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        if unknown:
            from posebench.types.suggestions import suggestion

            options = re.findall(r"--[\w-]+", self.format_help())
            hint = f"{suggestion(unknown[1], options)} {hint}".strip()
        raise UserError(f"{message[:1].upper()}{message[1:].rstrip('.')}.", hint)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is not among the choices, and say which comes nearest.

        Raises:
            UserError: It is not one of the choices.
        """
        if action.choices is None or value in action.choices:
            return
        from posebench.types.suggestions import suggestion

        choices = [str(choice) for choice in action.choices]
        name = "/".join(action.option_strings) or str(action.metavar or action.dest).upper()
        hint = f"{suggestion(str(value), choices)} Known: {', '.join(choices)}.".strip()
        raise UserError(f"{name} {value!r} is not known.", hint)

    def _help(self) -> str:
        return f"`{self.prog} --help` shows the options."

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help as everything else is printed."""
        emit(message.rstrip("\n"))


def positive(text: str) -> int:
    """Read a whole number from 1 up.

    Raises:
        argparse.ArgumentTypeError: It is not one.
    """
    if not (text.isascii() and text.isdecimal() and 1 <= len(text) <= DIGITS and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


def finite(text: str) -> float:
    """Read a number that is neither infinite nor NaN.

    Raises:
        argparse.ArgumentTypeError: It is not one.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[str] = (),
    *,
    drop: Sequence[str] = (),
    cut: Sequence[str] = (),
) -> str:
    """Lay out a text table: complete where it is piped, as wide as the terminal at most.

    On a terminal that is too narrow, columns of ``cut`` are shortened first; then columns of
    ``drop`` are left out, the least important first, and a last line says so.

    Args:
        head: Column titles.
        rows: Cells, as many a row as there are titles.
        right: Titles of the columns that are aligned to the right.
        drop: Titles of columns that may be left out, the least important first.
        cut: Titles of columns whose cells may be shortened.
    """
    lines = [[printable(cell) for cell in line] for line in (head, *rows)]
    columns = {title: [line[at] for line in lines] for at, title in enumerate(head)}
    room, gone = width(), []
    for title in (*drop, None):
        shown = _shortened(columns, cut, room)
        if title is None or _fits(shown, room):
            break
        gone.append(title)
        del columns[title]
    text = _laid_out(shown, right)
    if gone:
        words = f"left out on this terminal: {', '.join(gone)}; a pipe or --json shows all."
        text += "\n\n" + textwrap.fill(words, room or len(words))
    return text


def _fits(columns: Mapping[str, Sequence[str]], room: int | None) -> bool:
    return room is None or sum(_widest(cells) + 2 for cells in columns.values()) - 2 <= room


def _widest(cells: Iterable[str]) -> int:
    return max(map(len, cells))


def _shortened(
    columns: Mapping[str, Sequence[str]], cut: Sequence[str], room: int | None
) -> dict[str, Sequence[str]]:
    """Cut cells, the widest column first, until everything fits or nothing more may go."""
    shown = dict(columns)
    while not _fits(shown, room):
        title = max((t for t in cut if t in shown), key=lambda t: _widest(shown[t]), default=None)
        if title is None or (most := _widest(shown[title]) - 1) < SHORTEST:
            break
        shown[title] = [c if len(c) <= most else f"{c[: most - 3]}..." for c in columns[title]]
    return shown


def _laid_out(columns: Mapping[str, Sequence[str]], right: Sequence[str]) -> str:
    aligned = [
        [cell.rjust(wide) if title in right else cell.ljust(wide) for cell in cells]
        for title, cells in columns.items()
        for wide in (_widest(cells),)
    ]
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*aligned, strict=True))


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Lay out ``name  value`` lines; empty values are left out."""
    wide = max((len(name) for name, _ in pairs), default=0)
    return "\n".join(f"{name:{wide}}  {wrapped(value, wide + 2)}" for name, value in pairs if value)


def wrapped(text: str, indent: int) -> str:
    """Break a text between words where the terminal ends; whole where it is piped.

    Args:
        text: One line.
        indent: Columns before it, and before each further line.
    """
    text, room = printable(text), width()
    if room is None or indent + len(text) <= room or room - indent < SHORTEST:
        return text
    lines = textwrap.wrap(text, room - indent, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


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
    # a record is UTF-8, which not every name of a file is
    return shlex.join(("posebench", verb, *map(printable, kept)))


def number(value: float | None, sign: str = "") -> str:
    """Two decimals, or a dash where nothing was measured."""
    return "-" if value is None else f"{value:{sign}.2f}"


def span(interval: tuple[float, float] | None) -> str:
    """``low to high``, or a dash."""
    return "-" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"
