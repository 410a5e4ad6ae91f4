"""Which naming schemes are known: ours, and those of installed packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from posebench.network_families import FOREIGN
from posebench.networks import NETWORKS
from posebench.plugins import PluginTable, resolve
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from posebench.registry import Registry
    from posebench.types.entry import Entry

    Adapter = Callable[[Mapping[str, Tensor], nn.Module], dict[str, Tensor]]

__all__ = ["ADAPTERS", "FOREIGN", "absent_packages", "build_foreign"]

# Naming scheme -> function of the file's tensors and the network that returns the tensors under
# the network's own names.
ADAPTERS: PluginTable[Adapter] = PluginTable(
    "adapter",
    "posebench.adapters",
    {
        "gluon": "posebench.adapters.gluon:gluon",
        "mmpose": "posebench.mmpose.build:published",
        "native": "posebench.adapters.naming:native",
        "paddle": "posebench.adapters.naming:paddle",
    },
)


@cache
def absent_packages(network: str) -> tuple[str, ...]:
    """Return the packages that a network of ``FOREIGN`` needs and that are not installed."""
    return tuple(name for name in FOREIGN[network].packages if find_spec(name) is None)


def build_foreign(entry: Entry) -> nn.Module:
    """Build the network of a row that an optional package builds.

    Raises:
        UserError: The package is missing, or refuses the row.
    """
    from posebench.mmpose.index import INSTALL

    absent = absent_packages(entry.network.name)
    if absent:
        raise UserError(
            f"{entry.key} is built by OpenMMLab's packages, and {', '.join(absent)} "
            f"{'is' if len(absent) == 1 else 'are'} not installed.",
            INSTALL,
        )
    network: nn.Module = resolve(FOREIGN[entry.network.name].build)(entry)
    return network


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
