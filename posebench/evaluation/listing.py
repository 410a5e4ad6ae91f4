"""The registry as users see it: which rows exist, and which can be run here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posebench.adapters import ADAPTERS, FOREIGN, absent_packages
from posebench.downloads.cache import Cache
from posebench.networks import NETWORKS
from posebench.registry import Registry, load_registry
from posebench.types.entry import Entry


def list_entries(
    zoo: str | None = None,
    dataset: str | None = None,
    status: str | None = None,
    licence: str | None = None,
    *,
    registry: Sequence[Path] = (),
) -> tuple[Entry, ...]:
    """Return the registry's rows, each with the status it has on this machine.

    Args:
        zoo: Keep rows of this zoo.
        dataset: Keep rows of this dataset.
        status: Keep rows whose status is, or begins with, this.
        licence: Keep rows whose licence contains this, whatever the case.
        registry: Folders of further rows.
    """
    known = load_registry(tuple(registry))
    rows = (entry.model_copy(update={"status": status_of(entry, known)}) for entry in known.entries)
    return tuple(
        entry
        for entry in rows
        if (zoo is None or entry.zoo == zoo)
        and (dataset is None or entry.dataset == dataset)
        and (status is None or entry.status.startswith(status))
        and (licence is None or licence.casefold() in entry.licence.casefold())
    )


def find_entry(name: str, dataset: str | None = None, *, registry: Sequence[Path] = ()) -> Entry:
    """Return the row a name means, with its status.

    Raises:
        UserError: No row or several rows have that name.
    """
    known = load_registry(tuple(registry))
    entry = known.find(name, dataset)
    return entry.model_copy(update={"status": status_of(entry, known)})


def status_of(entry: Entry, registry: Registry) -> str:
    """Return what an entry still needs, without importing torch.

    A status that the registry itself gives (``broken: ...``, ``needs openmmlab``) stands.
    """
    if entry.status.startswith("broken") or entry.status == "needs openmmlab":
        return entry.status
    if missing_parts(entry, registry):
        return "not built yet"
    if entry.network.name in FOREIGN and absent_packages(entry.network.name):
        return "needs openmmlab"
    here = entry.checkpoint.shipped or entry.checkpoint.container == "none"
    return "runnable" if here or Cache().find(entry.checkpoint) else "needs checkpoint"


def missing_parts(entry: Entry, registry: Registry) -> list[str]:
    """Return what this version lacks to run an entry, in words."""
    missing = []
    if entry.network.name not in NETWORKS and entry.network.name not in FOREIGN:
        missing.append(f"network {entry.network.name}")
    if entry.adapter not in ADAPTERS:
        missing.append(f"adapter {entry.adapter}")
    if entry.dataset not in registry.datasets:
        missing.append(f"dataset {entry.dataset}")
    return missing
