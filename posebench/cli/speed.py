"""``posebench speed``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from posebench.cli.launcher import launcher
from posebench.cli.parser import (
    RUNS,
    Parser,
    add_launcher,
    add_models,
    add_overwrite,
    positive,
)
from posebench.cli.tables import key_value_table
from posebench.cli.terminal import emit, flush, print_json
from posebench.inference.plugin_tables import RUNTIMES
from posebench.records.consistency import impossible_timings
from posebench.types.errors import UserError
from posebench.types.request import SpeedRequest
from posebench.types.timing import Method, Precision, Timings

if TYPE_CHECKING:
    from posebench.progress import Progress
    from posebench.timing.measure import Timed
    from posebench.types.record import Record
    from posebench.types.timing import BenchmarkConfiguration

EXAMPLES = (
    "posebench speed --all --gpu 0",
    "posebench speed lpn_50 --dataset coco --cpu --threads 2",
    "posebench speed lpn_50 --dataset coco --cpu --fold --channels-last",
    "posebench speed --all --cpu --quick --json",
    "posebench speed --all --launcher ray --address auto",
)
# Name and width of the table's columns; rows are printed one by one, as they are finished.
COLUMNS = (
    ("model", 58),
    ("persons/s", 10),
    ("spread", 7),
    ("p99 ms", 9),
    ("end to end", 11),
    ("of ceiling", 11),
    ("M params", 9),
)
MEGA, GIGA, MILLI, MICRO = 1e6, 1e9, 1e-3, 1e-6
MIB = 2**20


def add_arguments(parser: Parser) -> None:
    """Add what to time, where, and in which form."""
    add_models(parser)
    parser.add_argument(
        "--all", action="store_true", help="every model that can be timed here, cheapest first"
    )
    parser.add_argument("--dataset", metavar="NAME", help="disambiguates a short name")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--gpu", metavar="N", type=_index, help="the accelerator's number, from 0")
    where.add_argument("--cpu", action="store_true", help="the processor")
    parser.add_argument(
        "--batch-size", type=positive, default=64, metavar="N", help="(default: 64)"
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="of network and reading")
    parser.add_argument("--flip", action="store_true", help="compute each person mirrored too")
    form = parser.add_argument_group("form of the network")
    form.add_argument("--precision", choices=get_args(Precision), default="fp32")
    form.add_argument("--fold", action="store_true", help="BatchNorms into convolutions")
    form.add_argument("--channels-last", action="store_true", help="layout of the activations")
    form.add_argument("--compile", action="store_true", help="by torch.compile")
    form.add_argument("--runtime", choices=RUNTIMES.names, default="torch")
    how = parser.add_argument_group("running")
    how.add_argument("--quick", action="store_true", help="fewer iterations; marked as such")
    how.add_argument(
        "--method",
        choices=get_args(Method),
        default="posebench",
        help="gluoncv: as the harness of that zoo, forward only",
    )
    how.add_argument(
        "--images", metavar="DIR", type=Path, help="time the whole way with these, not drawn ones"
    )
    add_overwrite(how, default="never")
    how.add_argument(
        "--again",
        dest="overwrite",
        action="store_const",
        const="always",
        help="the same as --overwrite always",
    )
    add_launcher(how, shares=False)
    how.add_argument(
        "--output",
        type=Path,
        default=RUNS,
        metavar="DIR",
        help=f"where the records go (default: {RUNS})",
    )


def _index(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Time, store and print one row a model; of a single model everything.

    Returns:
        1 if a model could not be timed.

    Raises:
        UserError: Models and ``--all``, neither, or something that cannot be had here.
    """
    from posebench.cli.terminal import progress

    if arguments.models and arguments.all:
        raise UserError("Name models or give --all, not both.", "`posebench list` names them.")
    if not arguments.models:
        _say_how_many(arguments)
    rows = not arguments.json and len(arguments.models) != 1
    found: list[Timed] = []
    with progress("models") as report:
        for timed in _timed(arguments, report):
            if rows:
                head = "" if found else _head(timed.record)
                emit(f"{head}{row(timed.record)}")
                flush()
            found.append(timed)
    _print(found, arguments.json, rows)
    return int(any(timed.record.failure for timed in found))


def _say_how_many(arguments: argparse.Namespace) -> None:
    """Say what ``--all`` times and what it leaves out; refuse to do so unless it was given.

    Raises:
        UserError: Neither models nor ``--all`` were given.
    """
    from posebench.registry import load_registry
    from posebench.timing.measure import hindrance, least_seconds, left_out

    known = load_registry(tuple(arguments.registry))
    count = sum(not hindrance(entry) for entry in known.entries)
    each = least_seconds(quick=arguments.quick)
    minutes = count * each / 60
    long = f"{minutes:,.0f} minutes" if minutes < 120 else f"{minutes / 60:,.0f} hours"
    words = f"{count} models can be timed here, at least {each:.0f} s each, in all {long} or more"
    if not arguments.all:
        raise UserError(
            f"No model is named: {words} (large ones take minutes on a processor).",
            "Name models, or give --all.",
        )
    emit(f"{words}.", error=True)
    for reason, number in left_out(known).items():
        emit(f"{number} models are left out: {reason}.", error=True)


def _timed(arguments: argparse.Namespace, report: Progress | None) -> Iterator[Timed]:
    """Time here, or on the nodes of a cluster."""
    request, again = _request(arguments), arguments.overwrite == "always"
    cluster = launcher(arguments)
    if cluster is not None:
        from posebench.launch.speed import Order, measure_on_ray

        order = Order(request, arguments.output, again, arguments.command)
        return measure_on_ray(cluster, order, progress=report)
    from posebench.timing.measure import measure_speeds

    return measure_speeds(
        request, output=arguments.output, again=again, command=arguments.command, progress=report
    )


def _head(record: Record) -> str:
    words = describe_configuration(record.cell) if record.cell else ""
    return f"{words}\n\n{_line([name for name, _ in COLUMNS])}\n"


def _request(arguments: argparse.Namespace) -> SpeedRequest:
    device = "cpu" if arguments.cpu else None
    if arguments.gpu is not None:
        device = f"cuda:{arguments.gpu}"
    names = (
        *("models", "dataset", "registry", "batch_size", "precision", "fold", "channels_last"),
        *("runtime", "threads", "flip", "method", "quick", "images"),
    )
    asked = {name: getattr(arguments, name) for name in names}
    return SpeedRequest.of(**asked, device=device, compiled=arguments.compile)


def _print(found: Sequence[Timed], as_json: bool, rows: bool) -> None:
    from posebench.records.store import to_json

    if as_json:
        print_json([to_json(timed.record) | {"file": str(timed.file)} for timed in found])
    elif rows:
        emit(f"\n{_summary(found)}")
    else:
        for timed in found:
            emit(f"{speed_text(timed.record)}\n\nrecord  {timed.file}")


def _summary(found: Sequence[Timed]) -> str:
    failed = sum(timed.record.failure is not None for timed in found)
    earlier = sum(timed.earlier for timed in found)
    words = [f"{len(found)} models"]
    if earlier:
        words.append(f"{earlier} of them from an earlier run (--again times them again)")
    if failed:
        words.append(f"{failed} failed")
    flagged = sum(bool(_doubts(t.record)) for t in found)
    if flagged:
        words.append(f"{flagged} marked with *: their records say why not to quote them")
    return "; ".join(words) + "."


def describe_configuration(cell: BenchmarkConfiguration) -> str:
    """Say in one line what is timed."""
    words = [
        f"{cell.hardware} ({cell.device})",
        f"batch {cell.batch_size}",
        f"{cell.form.words} network",
        f"{cell.threads} threads",
        "with flip" if cell.flip else "no flip",
    ]
    words += ["GluonCV's method"] * (cell.method == "gluoncv") + ["quick"] * cell.quick
    return ", ".join(words)


def row(record: Record) -> str:
    """Return a model's line of the table."""
    timings, whole = record.timings, record.end_to_end
    key = record.entry.key
    if timings and timings.counted == "images":
        key += " (images/s)"  # one column for both would mislead
    if timings is None:
        return f"{_line([key])}failed: {record.failure}"
    share = timings.share_of_ceiling
    cells = [
        key,
        f"{timings.persons_per_second:,.1f}",
        f"{timings.relative_iqr:.1%}{'*' if _doubts(record) else ''}",
        f"{timings.percentiles.get('p99', 0.0) / MILLI:,.1f}",
        f"{whole.persons_per_second:,.1f}" if whole else "-",
        "-" if share is None else f"{share:.0%}",
        f"{timings.parameters / MEGA:.2f}",
    ]
    return _line(cells) + (f"  failed: {record.failure}" if record.failure else "")


def _line(cells: Sequence[str]) -> str:
    first, *others = [
        cell.rjust(width) if index else cell.ljust(width)
        for index, (cell, (_, width)) in enumerate(zip(cells, COLUMNS, strict=False))
    ]
    return " ".join((first, *others))


def speed_text(record: Record) -> str:
    """Everything a reader needs to believe one timing, or not to."""
    from posebench.timing.published import published_speeds

    pairs = [("model", f"{record.entry.key}  ({record.entry.title})")]
    if record.cell:
        pairs.append(("timed", describe_configuration(record.cell)))
    if record.failure:
        pairs.append(("failed", record.failure))
    for timings in (record.timings, record.end_to_end):
        if timings:
            pairs += _timings(timings)
    pairs += [("", f"not to be quoted: {flag}") for flag in impossible_timings(record)]
    pairs += [("note", note) for note in record.notes]
    pairs += [("published", speed.words) for speed in published_speeds(record.entry)]
    return key_value_table(pairs)


def _doubts(record: Record) -> tuple[str, ...]:
    """Why not to quote the rate of the network alone."""
    return (*(record.timings.flags if record.timings else ()), *impossible_timings(record))


def _timings(timings: Timings) -> list[tuple[str, str]]:
    times = ", ".join(f"{n} {v / MILLI:,.2f}" for n, v in timings.percentiles.items())
    head = (
        f"{timings.persons_per_second:,.1f} {timings.counted}/s; ms a batch: {times}; "
        f"interquartile range {timings.relative_iqr:.1%} of the median of {len(timings.seconds)}"
    )
    pairs = [(timings.scope, head), ("", timings.data), ("", _overhead(timings))]
    memory = ", ".join(f"{size / MIB:,.0f} MiB {kind}" for kind, size in timings.memory.items())
    pairs.append(("", f"peak memory {memory}" if memory else ""))
    if timings.scope == "forward":
        pairs += _cost(timings)
    return pairs + [("", f"not to be quoted: {flag}") for flag in timings.flags]


def _overhead(timings: Timings) -> str:
    if timings.overhead is None:
        return ""
    if timings.scope == "forward":
        return f"harness alone (null network): {timings.overhead / MICRO:,.1f} us a batch"
    return (
        f"without the network (null network): {timings.overhead / MILLI:,.2f} ms a batch, "
        f"{timings.batch_size / timings.overhead:,.1f} persons/s"
    )


def _cost(timings: Timings) -> list[tuple[str, str]]:
    rate, share = timings.flops_per_second, timings.share_of_ceiling
    parts = [f"{timings.parameters:,} parameters"]
    if timings.gmacs is not None:
        parts.append(f"{2 * timings.gmacs:.3f} GFLOP a person")
    pairs = [("", ", ".join(parts))]
    if rate is not None and timings.ceiling and share is not None:
        pairs.append(
            (
                "",
                f"{rate / GIGA:,.1f} GFLOP/s, {share:.0%} of a matrix product's "
                f"{timings.ceiling / GIGA:,.1f} in the same run",
            )
        )
    if timings.joules_per_1000 is not None:
        pairs.append(("", f"{timings.joules_per_1000:,.1f} J for 1,000 persons"))
    if timings.error is not None:
        pairs.append(
            (
                "",
                f"outputs of the last timed batch within {timings.error:.1e} of the peak of an "
                f"untimed plain float32 run ({timings.tolerance:.0e} allowed)",
            )
        )
    return pairs
