"""The verbs as functions: posebench's public API, imported lazily."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "list_entries": "posebench.run.catalogue",
    "find_entry": "posebench.run.catalogue",
    "load_model": "posebench.run.evaluation",
    "evaluate": "posebench.run.evaluation",
    "demo": "posebench.run.demonstration",
    "measure_speed": "posebench.run.speed",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
