"""``posebench cache``: the fetched weights on this machine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from posebench.cli.parser import Parser
from posebench.cli.tables import table
from posebench.cli.terminal import emit, print_json

if TYPE_CHECKING:
    from posebench.downloads.cache import Cache

EXAMPLES = (
    "posebench cache list",
    "posebench cache verify --json",
    "posebench cache prune --dry-run",
    "posebench cache prune --all",
)
ACTIONS = ("list", "verify", "prune")


def add_arguments(parser: Parser) -> None:
    """Add the action."""
    parser.add_argument(
        "action",
        choices=ACTIONS,
        help="list the files; verify their SHA-256; prune what is damaged or left over",
    )
    parser.add_argument("--all", action="store_true", help="prune: remove all weights")
    parser.add_argument(
        "--dry-run", action="store_true", help="prune: only say what would be removed"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do the action.

    Returns:
        1 if ``verify`` found damage.
    """
    from posebench.downloads.cache import Cache

    cache = Cache()
    if arguments.action == "prune":
        return _prune(arguments, cache)
    return _list(arguments, cache, verify=arguments.action == "verify")


def _list(arguments: argparse.Namespace, cache: Cache, *, verify: bool) -> int:
    from posebench.cli.fetch import describe_size

    found = list(cache.damaged()) if verify else [(held, None) for held in cache.held()]
    words = {None: "-", False: "ok", True: "damaged"}
    damaged = sum(bool(bad) for _, bad in found)
    sizes = {held.sha256: held.size for held, _ in found}
    if arguments.json:
        files = [
            {
                "id": held.id,
                "sha256": held.sha256,
                "bytes": held.size,
                "location": held.location or None,
                "file": str(held.path),
                "damaged": bad,
            }
            for held, bad in found
        ]
        print_json({"folder": str(cache.root), "bytes": sum(sizes.values()), "files": files})
        return int(damaged > 0)
    head = ("checkpoint", "size", "sha256", "check", "file")
    rows = [
        (held.id, describe_size(held.size), held.sha256[:12], words[bad], held.path.name)
        for held, bad in found
    ]
    if rows:
        emit(table(head, rows, right=("size",), drop=("file", "sha256")) + "\n")
    emit(f"{len(sizes)} files, {describe_size(sum(sizes.values()))}, in {cache.root}.")
    if damaged:
        emit(f"{damaged} damaged: `posebench cache prune` removes them, then fetch them again.")
    return int(damaged > 0)


def _prune(arguments: argparse.Namespace, cache: Cache) -> int:
    from posebench.cli.fetch import describe_size

    gone = cache.prune(everything=arguments.all, dry_run=arguments.dry_run)
    total = sum(size for _, size in gone)
    if arguments.json:
        removed = [{"what": what, "bytes": size} for what, size in gone]
        print_json({"removed": removed, "bytes": total, "dry_run": arguments.dry_run})
        return 0
    for what, size in gone:
        emit(f"{describe_size(size):>10}  {what}")
    done = "would be removed" if arguments.dry_run else "removed"
    emit(f"{len(gone)} things {done}, {describe_size(total)}, in {cache.root}.")
    return 0
