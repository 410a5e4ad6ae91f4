"""Plain PyTorch networks, one family per file, found by name.

Importing this package imports no torch: ``posebench.network_families`` holds ``module:callable``
strings that ``build_network`` resolves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from posebench.network_families import NETWORKS, NetworkFamily, check_arguments
from posebench.plugins import POSEBENCH, first_line, resolve
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NETWORKS", "NetworkFamily", "build_network", "parameter_count"]


def build_network(name: str, **arguments: Any) -> nn.Module:
    """Build a network with fresh random weights.

    Args:
        name: A key of ``NETWORKS``.
        **arguments: What the network's constructor takes, e.g. ``layers`` and ``joints`` of
            ``lpn`` or ``variant``, ``width`` and ``joints`` of ``lite_hrnet``.

    Returns:
        A module that maps (N, 3, H, W) float32 crops to (N, K, H/stride, W/stride) heatmaps.

    Raises:
        UserError: Nothing has that name, it does not take these arguments, or the package that
            brings it fails.

    Example:
        >>> parameter_count(build_network("demo", width=8, depth=1, joints=17))
        18719
    """
    family = NETWORKS[name]
    try:
        check_arguments(name, arguments)
    except ValueError as error:
        raise UserError(
            f"The network '{name}' cannot be built: {error}.",
            f"It takes {', '.join(family.takes.arguments)}.",
        ) from None
    owner = NETWORKS.owner(name)
    if owner == POSEBENCH:
        return _built(family, arguments)
    from torch import nn

    whose = f"The network '{name}' of {owner}"
    try:
        network = _built(family, arguments)
    except UserError:
        raise
    except Exception as error:  # code of others: anything may be wrong with it
        raise UserError(
            f"{whose} cannot be built: {first_line(error)}.", "Update the package that brings it."
        ) from error
    if not isinstance(network, nn.Module):
        raise UserError(
            f"{whose} is of type {type(network).__name__}, not a torch.nn.Module.",
            "Update the package that brings it.",
        )
    return network


def _built(family: NetworkFamily, arguments: dict[str, Any]) -> nn.Module:
    constructor = resolve(family.build) if isinstance(family.build, str) else family.build
    network: nn.Module = constructor(**arguments)
    return network


def parameter_count(network: nn.Module) -> int:
    """Return how many learned numbers a network has; statistics of BatchNorm are not among them."""
    return sum(parameter.numel() for parameter in network.parameters())
