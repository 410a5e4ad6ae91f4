"""The parser of every command, and the options that several commands share."""

from __future__ import annotations

import argparse
import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args, get_origin

from posebench.cli.terminal import emit
from posebench.progress import printable
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from posebench.types.protocol import Stage

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
DIGITS = 18  # of a number that anybody means
LIMIT = "only N images, the same for every model: those whose id has the smallest SHA-256"
Group = argparse.ArgumentParser | argparse._ArgumentGroup


def add_model(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the one model that a command is about, as MODEL or as ``--model NAME``."""
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
    """An argument parser that raises ``UserError`` and knows the options of every command.

    Args:
        verb: Name of the command.
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


def add_data(group: Group) -> None:
    """Add dataset, weights and where both lie."""
    group.add_argument("--dataset", metavar="NAME", help="dataset of the model's claims")
    group.add_argument("--checkpoint", metavar="FILE", type=Path, help="the published weights")
    group.add_argument(
        "--data-root",
        metavar="DIR",
        type=Path,
        help="folder with annotations/ and the images (default: POSEBENCH_DATA)",
    )
    group.add_argument("--annotations", metavar="FILE", type=Path, help="another annotation file")
    group.add_argument("--images", metavar="DIR", type=Path, help="another image folder")
    group.add_argument("--limit", metavar="N", type=positive, help=LIMIT)


def add_running(group: Group) -> None:
    """Add device, batch size and threads."""
    from posebench.inference.plugin_tables import RUNTIMES  # not loaded for a bare --help

    group.add_argument("--device", default="cpu", metavar="cpu|cuda:N", help="(default: cpu)")
    group.add_argument("--batch-size", type=positive, default=64, metavar="N", help="(default: 64)")
    group.add_argument("--threads", type=positive, metavar="N", help="threads that read and crop")
    group.add_argument("--fold", action="store_true", help="BatchNorms into convolutions")
    group.add_argument("--channels-last", action="store_true", help="layout of the activations")
    group.add_argument("--compile", action="store_true", help="by torch.compile")
    group.add_argument(
        "--runtime",
        choices=RUNTIMES.names,
        default="torch",
        help="what computes the network; one batch is checked against torch's",
    )


def add_overwrite(group: Group, *, default: str) -> None:
    """Add what happens to an earlier record of the same measurement."""
    group.add_argument(
        "--overwrite",
        choices=("always", "never"),
        default=default,
        help=f"replace an earlier record of the same measurement (default: {default})",
    )


def add_launcher(group: Any, *, shares: bool = True) -> None:
    """Add the launcher's options.

    Args:
        group: Of a parser.
        shares: Whether the work is cut into shares.
    """
    group.add_argument(
        "--launcher",
        choices=("local", "ray"),
        default="local",
        help="this process (default), or tasks on a Ray cluster",
    )
    group.add_argument(
        "--address", metavar="ADDRESS", help="of the Ray cluster; auto finds one, none starts one"
    )
    if shares:
        group.add_argument(
            "--shares", type=positive, metavar="N", help="tasks a model on Ray (default: 4)"
        )


def add_axes(group: Group, *stages: Stage) -> None:
    """Add one option for each choice of evaluation, as ``Protocol`` declares it.

    Args:
        group: Of a parser.
        stages: Only choices of these stages; by default of all.
    """
    from posebench.inference.plugin_tables import DECODERS  # as above
    from posebench.scoring.plugin_tables import SCORERS
    from posebench.types.protocol import Protocol

    # names that other packages may add to
    tables = {"decode": DECODERS.names, "scorer": SCORERS.names}
    for name in options_of_protocol(*stages):
        kind, words = Protocol.model_fields[name].annotation, Protocol.axes()[name].help
        if kind is bool:
            group.add_argument(
                option(name), action=argparse.BooleanOptionalAction, default=None, help=words
            )
        elif name in tables or get_origin(kind) is Literal:
            choices = tables.get(name) or get_args(kind)
            group.add_argument(option(name), choices=choices, help=words)
        else:
            number = positive if kind is int else finite
            group.add_argument(option(name), type=number, metavar="N", help=words)


def options_of_protocol(*stages: Stage) -> tuple[str, ...]:
    """Return the choices of evaluation, of some stages or all, that have an option of their own."""
    from posebench.types.protocol import Protocol  # as above

    return tuple(name for name, axis in Protocol.axes(*stages).items() if axis.option)


def option(axis: str) -> str:
    """Return the option of a protocol axis."""
    return f"--{axis.replace('_', '-')}"


def shared_arguments(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what ``add_data``, ``add_running`` and ``add_axes`` parsed, as keyword arguments."""
    names = (
        *("dataset", "checkpoint", "data_root", "annotations", "images", "limit"),
        *("device", "batch_size", "threads", "registry"),
        *options_of_protocol(),
    )
    from posebench.types.timing import Form  # as above

    form = Form(
        folded=arguments.fold,
        channels_last=arguments.channels_last,
        compiled=arguments.compile,
        runtime=arguments.runtime,
    )
    return {name: getattr(arguments, name) for name in names} | {"form": form}
