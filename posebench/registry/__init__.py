"""The registry: every published model, number, protocol, dataset and file, read from YAML."""

from __future__ import annotations

from posebench.registry.cite import cite
from posebench.registry.loader import (
    VARIABLE,
    load_registry,
    registry_of,
    shipped_folder,
    shipped_registry,
)
from posebench.registry.lookup import Registry

__all__ = [
    "VARIABLE",
    "Registry",
    "cite",
    "load_registry",
    "registry_of",
    "shipped_folder",
    "shipped_registry",
]
