"""Entry points of packages that are not there."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any


class Package:
    """What an entry point says of the package that it is of."""

    def __init__(self, name: str, version: str) -> None:
        self.name = name
        self.version = version


def install(monkeypatch: Any, table: Any, *points: tuple[str, ...]) -> None:
    """Let a table find these entry points alone: (name, value) or (name, value, package)."""
    found = []
    for name, value, *package in points:
        point = EntryPoint(name, value, table.group)
        if package:
            vars(point)["dist"] = Package(package[0], "1.0")
        found.append(point)
    monkeypatch.setattr(
        "posebench.plugins.installed_points",
        lambda group: tuple(found) if group == table.group else (),
    )
    monkeypatch.setattr(table, "_installed", None)
