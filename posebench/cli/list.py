"""``posebench list``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from posebench.cli.common import Parser, print_json, table
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from posebench.types.entry import Entry

EXAMPLES = (
    "posebench list",
    "posebench list --zoo lpn --dataset coco",
    "posebench list --status runnable",
    "posebench list --licence apache --json",
)
FILTERS = ("zoo", "dataset", "status", "licence")


def add_arguments(parser: Parser) -> None:
    """Add the filters."""
    parser.add_argument("--zoo", help="only this zoo")
    parser.add_argument("--dataset", help="only models for this dataset")
    parser.add_argument("--status", help="only this status, or its beginning (broken)")
    parser.add_argument("--licence", help="only licences that contain this")


def run(arguments: argparse.Namespace) -> int:
    """Print the rows that pass every filter.

    Raises:
        UserError: No row does.
    """
    from posebench.run import list_entries

    filters = {name: getattr(arguments, name) for name in FILTERS}
    entries = list_entries(**filters, registry=arguments.registry)
    if not entries:
        _explain(list_entries(registry=arguments.registry), filters)
    if arguments.json:
        print_json([_row(entry) for entry in entries])
        return 0
    head = ("model", "dataset", "input", "claim", "status", "licence")
    print(table(head, [_cells(entry) for entry in entries]))
    print(f"\n{len(entries)} models. `posebench show MODEL` tells all about one.")
    return 0


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


def _explain(entries: tuple[Entry, ...], filters: dict[str, str | None]) -> None:
    """Say which filter matches nothing at all, and what it could have been."""
    from posebench.registry.validate import suggestion

    for name in FILTERS:
        value = filters[name]
        known = sorted({getattr(entry, name) for entry in entries} | _always(name))
        if value is None or any(value.casefold() in word.casefold() for word in known):
            continue
        hint = f"{suggestion(value, known)} Known: {', '.join(known)}.".strip()
        raise UserError(f"No model has {name} {value!r}.", hint)
    asked = ", ".join(f"{name} {value}" for name, value in filters.items() if value)
    raise UserError(f"No model has {asked}.", "Drop one of the filters.")


def _always(name: str) -> set[str]:
    from posebench.types.entry import STATUSES

    return set(STATUSES) if name == "status" else set()
