"""Which naming schemes are known: ours, and those of installed plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from posebench.networks import NETWORKS
from posebench.types.errors import UserError
from posebench.types.suggestions import suggestion

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from torch import Tensor, nn

    from posebench.registry import Registry
    from posebench.types.entry import Entry

    Adapter = Callable[[Mapping[str, Tensor], nn.Module], dict[str, Tensor]]

GROUP = "posebench.adapters"
# Networks that an optional package builds: name of a row's network -> module:callable, which
# takes the row, and the packages it imports.
FOREIGN = {
    "mmpose": ("posebench.mmpose.build:build", ("mmpose", "mmengine", "mmcv")),
}
BUILT_IN = {
    "gluon": "posebench.adapters.gluon:gluon",
    "mmpose": "posebench.mmpose.build:published",
    "native": "posebench.adapters.naming:native",
    "paddle": "posebench.adapters.naming:paddle",
}


class AdapterCatalogue(Mapping[str, str]):
    """Name of a naming scheme -> ``module:callable``.

    The callable takes the file's tensors and the network and returns the tensors under the
    network's own names. Installed packages add schemes through the entry point group
    ``posebench.adapters``; they are looked up only when a name is not built in.
    """

    @cached_property
    def plug_ins(self) -> dict[str, str]:
        """Schemes of installed packages.

        Raises:
            UserError: Two packages bring the same name, or one brings a built-in name.
        """
        from importlib.metadata import entry_points

        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=GROUP):
            other = found.get(point.name)
            if point.name in BUILT_IN or (other is not None and other.value != point.value):
                owner = "posebench itself" if other is None else other.value
                raise UserError(
                    f"The adapter '{point.name}' comes from {point.value} and from {owner}.",
                    "Uninstall one of them.",
                )
            found[point.name] = point
        return {name: point.value for name, point in found.items()}

    def __getitem__(self, name: str) -> str:
        return BUILT_IN[name] if name in BUILT_IN else self.plug_ins[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**BUILT_IN, **self.plug_ins})

    def __len__(self) -> int:
        return len({**BUILT_IN, **self.plug_ins})


ADAPTERS = AdapterCatalogue()


@cache
def absent_packages(network: str) -> tuple[str, ...]:
    """Return the packages that a network of ``FOREIGN`` needs and that are not installed."""
    return tuple(name for name in FOREIGN[network][1] if find_spec(name) is None)


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
    module, _, attribute = FOREIGN[entry.network.name][0].partition(":")
    network: nn.Module = getattr(import_module(module), attribute)(entry)
    return network


def find_adapter(name: str) -> Adapter:
    """Import the function of a naming scheme.

    Raises:
        UserError: Nothing has that name, or the plug-in cannot be imported.
    """
    if name not in ADAPTERS:
        hint = suggestion(name, ADAPTERS) or f"Known: {', '.join(sorted(ADAPTERS))}."
        raise UserError(f"There is no adapter named '{name}'.", hint)
    module, _, attribute = ADAPTERS[name].partition(":")
    try:
        adapter: Adapter = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"The adapter '{name}' cannot be loaded: {error}.",
            f"Check the package that brings {ADAPTERS[name]}.",
        ) from error
    return adapter


def missing_parts(entry: Entry, registry: Registry) -> list[str]:
    """Return what this version lacks to run an entry, in words."""
    missing = []
    if entry.network.name not in (*NETWORKS, *FOREIGN):
        missing.append(f"network {entry.network.name}")
    if entry.adapter not in ADAPTERS:
        missing.append(f"adapter {entry.adapter}")
    if entry.dataset not in registry.datasets:
        missing.append(f"dataset {entry.dataset}")
    return missing
