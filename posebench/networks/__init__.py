"""Plain PyTorch networks, one family per file, found by name.

Importing this package imports no torch: the table holds ``module:callable`` strings that
``build_network`` resolves.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from posebench.types.errors import UserError
from posebench.types.network_arguments import NETWORK_ARGUMENTS, check_arguments
from posebench.types.suggestions import suggestion

if TYPE_CHECKING:
    from torch import nn

NETWORKS: dict[str, str] = {
    "demo": "posebench.networks.demo:DemoNet",
    "demo_bottom_up": "posebench.networks.demo_bottom_up:DemoBottomUp",
    "fastpose": "posebench.networks.fastpose:FastPose",
    "fastpose_duc": "posebench.networks.fastpose:FastPoseDUC",
    "gluon_simple_pose": "posebench.networks.gluon_simple_pose:GluonSimplePose",
    "higherhrnet": "posebench.networks.higher_hrnet:HigherHRNet",
    "hourglass": "posebench.networks.hourglass:StackedHourglass",
    "hrnet": "posebench.networks.hrnet:HRNet",
    "lite_hrnet": "posebench.networks.lite_hrnet:LiteHRNet",
    "lpn": "posebench.networks.lpn:LPN",
    "mobile_pose": "posebench.networks.gluon_mobile_pose:MobilePose",
    "resnet_pose": "posebench.networks.resnet_pose:ResNetPose",
    "simple_pose": "posebench.networks.resnet_pose:SimplePose",
}

STRIDES: dict[str, int] = dict.fromkeys(NETWORKS, 4) | {"demo_bottom_up": 2, "higherhrnet": 2}
"""Input pixels per heatmap cell of each network."""


def build_network(name: str, **arguments: Any) -> nn.Module:
    """Build a network with fresh random weights.

    Args:
        name: A key of ``NETWORKS``.
        **arguments: What the network's constructor takes, e.g. ``layers`` and ``joints`` of
            ``lpn`` or ``variant``, ``width`` and ``joints`` of ``lite_hrnet``.

    Returns:
        A module that maps (N, 3, H, W) float32 crops to (N, K, H/stride, W/stride) heatmaps.

    Raises:
        UserError: Nothing has that name, or it does not take these arguments.
    """
    if name not in NETWORKS:
        raise UserError(f"There is no network named '{name}'.", _suggestion(name))
    try:
        check_arguments(name, arguments)
    except ValueError as error:
        takes = ", ".join(NETWORK_ARGUMENTS[name].arguments)
        raise UserError(
            f"The network '{name}' cannot be built: {error}.", f"It takes {takes}."
        ) from None
    module, _, attribute = NETWORKS[name].partition(":")
    constructor = getattr(import_module(module), attribute)
    network: nn.Module = constructor(**arguments)
    return network


def parameter_count(network: nn.Module) -> int:
    """Return how many learned numbers a network has; statistics of BatchNorm are not among them."""
    return sum(parameter.numel() for parameter in network.parameters())


def _suggestion(name: str) -> str:
    return suggestion(name, NETWORKS) or f"Known networks: {', '.join(sorted(NETWORKS))}."
