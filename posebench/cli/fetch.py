"""``posebench fetch``."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posebench.cli.parser import Parser, add_models, positive
from posebench.cli.tables import table
from posebench.cli.terminal import emit, print_json
from posebench.progress import printable
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from posebench.downloads.plan import Item, Report, Settings

EXAMPLES = (
    "posebench fetch tinypose_256x192",
    "posebench fetch lpn_50 --dataset coco",
    "posebench fetch --zoo gluoncv --dry-run",
    "posebench fetch --dataset coco --data-root data",
    "posebench fetch --all --accept-licence --jobs 8",
    "posebench fetch lpn_152 --from lpn_152_256x192.pth",
)
UNITS = ("B", "kB", "MB", "GB", "TB")


def add_arguments(parser: Parser) -> None:
    """Add what to fetch and how."""
    add_models(parser)
    parser.add_argument("--zoo", help="the weights of all models of this zoo")
    parser.add_argument(
        "--dataset",
        help="this dataset; with MODEL or --zoo, the weights of models for this dataset",
    )
    parser.add_argument("--all", action="store_true", help="the weights of every model")
    parser.add_argument(
        "--from",
        dest="file",
        metavar="FILE",
        type=Path,
        help="take a file that you downloaded yourself into the cache",
    )
    parser.add_argument(
        "--data-root",
        metavar="DIR",
        type=Path,
        help="where a dataset goes (default: POSEBENCH_DATA)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would be fetched, and how much"
    )
    parser.add_argument(
        "--accept-licence",
        action="store_true",
        help="agree to the licences that are shown, also non-commercial ones",
    )
    parser.add_argument(
        "--jobs", type=positive, default=4, metavar="N", help="downloads at a time (default: 4)"
    )
    parser.add_argument(
        "--timeout",
        type=positive,
        default=30,
        metavar="SECONDS",
        help="silence after which a server is asked again (default: 30)",
    )
    parser.add_argument(
        "--retries",
        type=positive,
        default=5,
        metavar="N",
        help="tries without progress before giving up (default: 5)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Fetch, or say what would be fetched.

    Returns:
        1 if something that was asked for is not there afterwards.

    Raises:
        UserError: Nothing to fetch was named, a licence was not agreed to, or the only file that
            was asked for cannot be had.
    """
    from posebench.downloads import plan
    from posebench.evaluation.published_boxes import with_checked_boxes

    settings = _settings(arguments)
    if arguments.file is not None:
        return _take(arguments, settings)
    items = _plan(arguments, settings)
    if arguments.dry_run:
        items = plan.with_sizes(items, settings)
        _show(arguments, items, _total(items))
        return 0
    _agree(items, accepted=arguments.accept_licence)
    say = _say if sys.stderr.isatty() else None
    with _bars() as report:
        items = plan.fetch_items(items, settings, report=report, say=say)
    items = with_checked_boxes(items, settings)
    lacking = [item for item in items if item.state in (plan.FAILED, plan.BY_HAND)]
    if len(items) == 1 and lacking:
        (item,) = lacking
        raise UserError(item.message or f"{item.name} cannot be fetched.", item.hint)
    _show(arguments, items, _summary(items))
    return int(bool(lacking))


def _settings(arguments: argparse.Namespace) -> Settings:
    from posebench.downloads.http import RetryPolicy
    from posebench.downloads.plan import Settings

    return Settings(
        registry=tuple(arguments.registry),
        data_root=arguments.data_root,
        jobs=arguments.jobs,
        policy=RetryPolicy(timeout=float(arguments.timeout), retries=arguments.retries),
    )


def _plan(arguments: argparse.Namespace, settings: Settings) -> list[Item]:
    from posebench.downloads import plan

    named = bool(arguments.models) + bool(arguments.zoo) + arguments.all
    if named > 1 or not (named or arguments.dataset):
        raise UserError(
            "Say what to fetch: MODEL, --zoo, --dataset or --all, one of them.",
            "`posebench list` names models and zoos.",
        )
    return plan.plan_named(
        arguments.models,
        settings,
        zoo=arguments.zoo,
        dataset=arguments.dataset,
        every=arguments.all,
    )


def bring_weights(
    model: str, dataset: str | None, registry: Sequence[Path], *, accepted: bool
) -> None:
    """Fetch a model's weights where they are not at hand, for a command that is about to need them.

    The licence is shown first; some need a yes, on the terminal or by ``accepted``.

    Raises:
        UserError: No one agreed to the licence, or the file cannot be had.
    """
    from posebench.downloads import plan

    settings = plan.Settings(registry=tuple(registry))
    entries = plan.entries_to_fetch([model], dataset=dataset, registry=registry)
    items = plan.plan_entries(entries, settings)
    _agree(items, accepted=accepted)
    with _bars() as report:
        (item,) = plan.fetch_items(items, settings, report=report, say=_say)
    if item.state in (plan.FAILED, plan.BY_HAND):
        raise UserError(item.message or f"{entries[0].key} needs its weights file.", item.hint)


def _take(arguments: argparse.Namespace, settings: Settings) -> int:
    from posebench.downloads import plan

    if len(arguments.models) != 1:
        raise UserError("--from needs the one model that the file belongs to.", "Name it.")
    (entry,) = plan.entries_to_fetch(
        arguments.models, dataset=arguments.dataset, registry=settings.registry
    )
    item = plan.take_file(entry, arguments.file, settings)
    _show(arguments, [item], f"{item.name} is in the cache now.")
    return 0


def _agree(items: list[Item], *, accepted: bool) -> None:
    """Show the licences of what will be fetched; some need a yes.

    Raises:
        UserError: Nobody said yes.
    """
    from posebench.downloads.plan import TO_FETCH

    licences: dict[str, list[Item]] = {}
    for item in items:
        if item.state == TO_FETCH:
            licences.setdefault(item.licence or "not stated", []).append(item)
    for licence, under in licences.items():
        names = ", ".join(item.name for item in under[:3])
        more = f" and {len(under) - 3} more" if len(under) > 3 else ""
        emit(f"licence of {names}{more}: {licence}", error=True)
    restricted = [licence for licence, under in licences.items() if under[0].restricted]
    if not restricted or accepted:
        return
    if sys.stdin.isatty() and sys.stderr.isatty():
        emit("Do you agree to " + " and to ".join(restricted) + "? [y/N] ", error=True)
        if sys.stdin.readline().strip().lower() in ("y", "yes"):
            return
    raise UserError(
        f"No one agreed to the licence '{restricted[0]}'.",
        "Give --accept-licence if you agree to it, or fetch other models.",
    )


def _say(sentence: str) -> None:
    emit(sentence, error=True)


@contextlib.contextmanager
def _bars() -> Iterator[Report | None]:
    """Show a bar for each download, with bytes and rate; nothing without a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    tasks: dict[str, Any] = {}
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def report(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(printable(name), total=total)
            bars.update(tasks[name], completed=done, total=total)
            if total is not None and done >= total:
                bars.update(tasks[name], visible=False)

        yield report


def _show(arguments: argparse.Namespace, items: list[Item], last: str) -> None:
    if arguments.json:
        print_json(
            {
                "files": [item.to_json() for item in items],
                "bytes_to_fetch": sum(_open(items)),
                "sizes_unknown": sum(item.size is None for item in items if _to_fetch(item)),
            }
        )
        return
    head = ("file", "state", "size", "licence", "used by")
    rows = [
        (item.name, item.state, describe_size(item.size), item.licence or "-", _short(item.what))
        for item in items
    ]
    emit(
        table(head, rows, right=("size",), drop=("used by", "licence"), cut=("licence", "used by"))
    )
    for item in items:
        if item.message or item.hint:
            emit(f"\n{item.name}: {' '.join(filter(None, (item.message, item.hint)))}")
    emit(f"\n{last}")


def _to_fetch(item: Item) -> bool:
    from posebench.downloads.plan import TO_FETCH

    return item.state == TO_FETCH


def _open(items: list[Item]) -> list[int]:
    return [item.size for item in items if _to_fetch(item) and item.size is not None]


def _total(items: list[Item]) -> str:
    known, count = _open(items), sum(map(_to_fetch, items))
    unknown = f", and {count - len(known)} files of unknown size" if len(known) < count else ""
    return f"{count} files to fetch: {sum(known):,} bytes ({describe_size(sum(known))}){unknown}."


def _summary(items: list[Item]) -> str:
    counts = Counter(item.state for item in items)
    return ", ".join(f"{count} {state}" for state, count in counts.items()) + "."


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def describe_size(size: float | None) -> str:
    """Return bytes as people say them, in powers of a thousand."""
    if size is None:
        return "-"
    for unit in UNITS:
        if size < 1000 or unit == UNITS[-1]:
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
