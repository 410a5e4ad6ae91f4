"""``posebench list``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from posebench.cli.parser import Parser
from posebench.cli.tables import table
from posebench.cli.terminal import emit, print_json
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from posebench.registry import Registry
    from posebench.types.dataset import DatasetSpec
    from posebench.types.entry import Entry
    from posebench.types.protocol import Protocol

EXAMPLES = (
    "posebench list",
    "posebench list rtmpose",
    "posebench list --zoo lpn --dataset coco",
    "posebench list --status runnable",
    "posebench list --licence apache --json",
    "posebench list --datasets",
    "posebench list --protocols det56",
)
# How each filter holds a row's word against what was asked for.
FILTERS: dict[str, Callable[[str, str], bool]] = {
    "zoo": str.__eq__,
    "dataset": str.__eq__,
    "status": str.startswith,
    "licence": lambda found, asked: asked.casefold() in found.casefold(),
}


def add_arguments(parser: Parser) -> None:
    """Add the text to look for, the filters, and what else can be listed."""
    parser.add_argument("text", metavar="TEXT", nargs="?", default="", help="words in a name")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--datasets", action="store_true", help="datasets, not models")
    what.add_argument("--protocols", action="store_true", help="protocols, not models")
    parser.add_argument("--zoo", help="only this zoo")
    parser.add_argument("--dataset", help="only models for this dataset")
    parser.add_argument("--status", help="only this status, or its beginning (broken)")
    parser.add_argument("--licence", help="only licences that contain this")


def run(arguments: argparse.Namespace) -> int:
    """Print what passes every filter.

    Raises:
        UserError: Nothing does.
    """
    from posebench.registry import load_registry

    registry = load_registry(tuple(arguments.registry))
    if arguments.datasets or arguments.protocols:
        _refuse_filters(arguments)
        show = _list_datasets if arguments.datasets else _list_protocols
    else:
        show = _list_models
    show(arguments, registry)
    return 0


def _list_models(arguments: argparse.Namespace, registry: Registry) -> None:
    from posebench import list_entries

    filters = {name: getattr(arguments, name) for name in FILTERS}
    named = {entry.key for entry in registry.search(arguments.text)}
    entries = list_entries(**filters, registry=arguments.registry)
    entries = tuple(entry for entry in entries if entry.key in named)
    if not entries:
        near = None if named else registry.near(arguments.text)
        _explain(list_entries(registry=arguments.registry), filters, arguments.text, near)
    if arguments.json:
        print_json([_row(entry) for entry in entries])
        return
    head = ("model", "dataset", "input", "claim", "status", "licence")
    rows = [_cells(entry) for entry in entries]
    drop = ("licence", "input", "dataset", "claim", "status")
    emit(table(head, rows, drop=drop, cut=("status", "licence")))
    emit(f"\n{_count(len(entries), 'model')}. `posebench show MODEL` tells all about one.")


def _list_datasets(arguments: argparse.Namespace, registry: Registry) -> None:
    found = _with_text(registry.datasets.values(), arguments.text, lambda s: (s.id, s.title))
    if arguments.json:
        print_json([_dataset(spec, registry) for spec in found])
        return
    head = ("dataset", "keypoints", "images", "persons", "models", "title", "licence")
    rows = [
        (
            spec.id,
            spec.keypoints,
            "-" if spec.images is None else f"{spec.images:,}",
            "-" if spec.persons is None else f"{spec.persons:,}",
            str(_models(spec, registry)),
            spec.title,
            spec.licence,
        )
        for spec in found
    ]
    drop = ("licence", "title", "persons", "images")
    emit(table(head, rows, right=head[2:5], drop=drop, cut=("licence", "title")))
    emit(f"\n{_count(len(found), 'dataset')}. `posebench fetch --dataset NAME` downloads one.")


def _dataset(spec: DatasetSpec, registry: Registry) -> dict[str, Any]:
    return spec.model_dump(mode="json") | {"models": _models(spec, registry)}


def _models(spec: DatasetSpec, registry: Registry) -> int:
    return sum(entry.dataset == spec.id for entry in registry.entries)


def _list_protocols(arguments: argparse.Namespace, registry: Registry) -> None:
    from posebench.records.formatting import describe_protocol

    found = _with_text(registry.protocols.values(), arguments.text, lambda p: (p.key, p.summary))
    if arguments.json:
        print_json([_protocol(protocol, registry) for protocol in found])
        return
    rows = [(p.key, str(_claims(p, registry)), describe_protocol(p)) for p in found]
    head = ("protocol", "claims", "choices")
    emit(table(head, rows, right=("claims",), drop=("claims",), cut=("choices",)))
    emit(f"\n{_count(len(found), 'protocol')}. --json shows every choice of each.")


def _protocol(protocol: Protocol, registry: Registry) -> dict[str, Any]:
    own = {"key": protocol.key, "hash": protocol.hash, "claims": _claims(protocol, registry)}
    return own | protocol.model_dump(mode="json")


def _claims(protocol: Protocol, registry: Registry) -> int:
    return sum(claim.protocol == protocol.key for e in registry.entries for claim in e.claims)


def _with_text(every: Iterable[Any], text: str, names: Callable[[Any], tuple[str, ...]]) -> Any:
    """What has every word of a text in one of its names.

    Raises:
        UserError: Nothing has.
    """
    every = list(every)
    found = [
        each
        for each in every
        if all(any(w in name.casefold() for name in names(each)) for w in text.casefold().split())
    ]
    if not found:
        from posebench.types.suggestions import nearest

        near = ", ".join(nearest(text, [names(each)[0] for each in every], 5))
        raise UserError(f"No name contains {text!r}.", f"The nearest are {near}.")
    return found


def _refuse_filters(arguments: argparse.Namespace) -> None:
    given = [f"--{name}" for name in FILTERS if getattr(arguments, name) is not None]
    if given:
        raise UserError(
            f"{', '.join(given)} chooses between models.",
            "Leave it out with --datasets and --protocols; TEXT works with both.",
        )


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _row(entry: Entry) -> dict[str, Any]:
    claim = entry.primary
    return {
        "key": entry.key,
        "id": entry.id,
        "zoo": entry.zoo,
        "short": entry.short,
        "title": entry.title,
        "dataset": entry.dataset,
        "input_size": list(entry.input.size),
        "keypoints": entry.input.keypoints,
        "status": entry.status,
        "licence": entry.licence,
        "claim": claim and claim.model_dump(mode="json") | {"value": claim.value},
        "claims": len(entry.claims),
        "checkpoint": entry.checkpoint.id,
        "location": entry.checkpoint.location,
        "origin": entry.origin,
    }


def _cells(entry: Entry) -> tuple[str, ...]:
    height, width = entry.input.size
    claim = entry.primary
    return (
        entry.key,
        entry.dataset,
        f"{height}x{width}",
        f"{claim.metric} {claim.raw}" if claim else "-",
        entry.status,
        entry.licence,
    )


def _explain(
    entries: tuple[Entry, ...], filters: dict[str, str | None], text: str, near: str | None
) -> None:
    """Say which filter matches nothing at all, and what it could have been."""
    from posebench.types.suggestions import suggestion

    for name, asked in filters.items():
        known = sorted({getattr(entry, name) for entry in entries} | _always(name))
        if asked is None or any(FILTERS[name](word, asked) for word in known):
            continue
        short = dict.fromkeys(word.partition(":")[0] for word in known)  # without reasons
        hint = f"{suggestion(asked, known)} Known: {', '.join(short)}.".strip()
        raise UserError(f"No model has {name} {asked!r}.", hint)
    if near is not None:
        hint = f"{near} `posebench list` shows every model.".strip()
        raise UserError(f"No model has {text!r} in its names.", hint)
    given = [f"{name} {value!r}" for name, value in filters.items() if value is not None]
    asked_for = ", ".join([f"{text!r} in its names"] * bool(text) + given)
    raise UserError(f"No model has {asked_for}.", "Drop one of the filters.")


def _always(name: str) -> set[str]:
    from posebench.types.entry import STATUSES

    return set(STATUSES) if name == "status" else set()
