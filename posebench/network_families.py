"""Network families by the name that a registry row gives: builder, arguments with bounds, stride.

The registry reads this table when it loads rows, the networks themselves when they are built.
Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from posebench.plugins import PluginTable
from posebench.types.network_arguments import (
    Choice,
    InnerPath,
    Signature,
    Whole,
    Wholes,
    shortened,
)
from posebench.types.suggestions import suggestion

if TYPE_CHECKING:
    from torch import nn

STRIDES = range(1, 65)


@dataclass(frozen=True)
class NetworkFamily:
    """One family of networks.

    Attributes:
        build: Makes the network from keyword arguments; ``module:attribute`` where importing it
            is heavy. The network maps (N, 3, H, W) float32 crops to what ``InputSpec.output`` of
            its rows describes, (N, K, H/stride, W/stride) heatmaps for most.
        takes: The arguments with their bounds, and what both sides of the input are multiples of.
        stride: Input pixels per heatmap cell, 1 to 64.

    Example:
        >>> family = NetworkFamily("json:loads", Signature({"width": Whole(1, 64)}, ("width",)))
        >>> family.stride
        4
    """

    build: str | Callable[..., nn.Module]
    takes: Signature
    stride: int = 4


@dataclass(frozen=True)
class ForeignFamily:
    """Networks that an optional package builds from a whole row.

    Attributes:
        build: ``module:attribute`` of a function that takes the row.
        takes: The arguments with their bounds.
        packages: What has to be installed.
    """

    build: str
    takes: Signature
    packages: tuple[str, ...]


def _check_family(name: str, family: NetworkFamily) -> None:
    takes = family.takes
    if not isinstance(takes, Signature):
        raise ValueError(f"its arguments are of type {type(takes).__name__}, not a Signature")
    if type(family.stride) is not int or family.stride not in STRIDES:
        raise ValueError(f"its stride is {shortened(family.stride)}, not a whole number of 1 to 64")
    if type(takes.multiple) is not int or takes.multiple < 1:
        raise ValueError(f"it takes inputs of multiples of {shortened(takes.multiple)}")
    missing = [key for key in takes.required if key not in takes.arguments]
    if missing:
        raise ValueError(f"it requires the argument {missing[0]!r} and gives no bounds for it")


# Bounds hold together: a network with every argument at its largest has fewer than 300 million
# parameters, which are made in a few seconds and need a gigabyte.
_JOINTS = {"joints": Whole(1, 1024)}
_RESNETS = Choice((50, 101, 152))
_SWITCH = Choice((False, True))

NETWORKS: PluginTable[NetworkFamily] = PluginTable(
    "network",
    "posebench.networks",
    {
        "demo": NetworkFamily(
            "posebench.networks.demo:DemoNet",
            Signature(
                {"width": Whole(1, 256), "depth": Whole(0, 16), **_JOINTS}, ("width",), multiple=16
            ),
        ),
        "demo_bottom_up": NetworkFamily(
            "posebench.networks.demo_bottom_up:DemoBottomUp",
            Signature({"width": Whole(1, 256), **_JOINTS}, multiple=64),
            stride=2,
        ),
        "fastpose": NetworkFamily(
            "posebench.networks.fastpose:FastPose",
            Signature(
                {"layers": _RESNETS, "deformable": _SWITCH, "head": Choice((128, 256)), **_JOINTS},
                multiple=32,
            ),
        ),
        "fastpose_duc": NetworkFamily(
            "posebench.networks.fastpose:FastPoseDUC",
            Signature(
                {"layers": _RESNETS, "backbone": Choice(("shuffle", "se")), **_JOINTS}, multiple=32
            ),
        ),
        "gluon_simple_pose": NetworkFamily(
            "posebench.networks.gluon_simple_pose:GluonSimplePose",
            Signature(
                {"layers": Choice((18, 50, 101, 152)), "stem": Choice(("v1b", "v1d")), **_JOINTS},
                ("layers", "stem"),
                multiple=32,
            ),
        ),
        "higherhrnet": NetworkFamily(
            "posebench.networks.higher_hrnet:HigherHRNet",
            Signature({"width": Whole(1, 96), **_JOINTS, "scale_layers": _SWITCH}, multiple=32),
            stride=2,
        ),
        "hourglass": NetworkFamily(
            "posebench.networks.hourglass:StackedHourglass",
            Signature(
                {
                    "stacks": Whole(1, 16),
                    "features": Whole(4, 384, 4),
                    "blocks": Whole(1, 2),
                    **_JOINTS,
                },
                multiple=64,
            ),
        ),
        "hrnet": NetworkFamily(
            "posebench.networks.hrnet:HRNet",
            Signature({"width": Whole(1, 96), **_JOINTS}, multiple=32),
        ),
        "lite_hrnet": NetworkFamily(
            "posebench.networks.lite_hrnet:LiteHRNet",
            Signature(
                {
                    "variant": Choice(("lite_18", "lite_30", "wider_naive")),
                    "width": Whole(8, 256, 2),
                    **_JOINTS,
                },
                ("variant",),
                multiple=32,
            ),
        ),
        "lpn": NetworkFamily(
            "posebench.networks.lpn:LPN",
            Signature({"layers": Wholes(4, Whole(1, 64)), **_JOINTS}, multiple=16),
        ),
        "mobile_pose": NetworkFamily(
            "posebench.networks.gluon_mobile_pose:MobilePose",
            Signature(
                {
                    "backbone": Choice(
                        (
                            *("resnet18_v1b", "resnet50_v1b", "mobilenet1.0", "mobilenetv2_1.0"),
                            *("mobilenetv3_large", "mobilenetv3_small"),
                        )
                    ),
                    **_JOINTS,
                },
                ("backbone",),
                multiple=32,
            ),
        ),
        "resnet_pose": NetworkFamily(
            "posebench.networks.resnet_pose:ResNetPose",
            Signature({"layers": _RESNETS, **_JOINTS}, multiple=32),
        ),
        "simple_pose": NetworkFamily(
            "posebench.networks.resnet_pose:SimplePose",
            Signature({"layers": _RESNETS, **_JOINTS}, multiple=32),
        ),
    },
    wanted=NetworkFamily,
    check=_check_family,
    reserved=("mmpose",),
)

FOREIGN: Mapping[str, ForeignFamily] = {
    "mmpose": ForeignFamily(
        "posebench.mmpose.build:build",
        Signature({"config": InnerPath()}, ("config",)),
        ("mmpose", "mmengine", "mmcv"),
    ),
}


def signature_of(network: str) -> Signature | None:
    """Return the arguments that a network takes; None where nobody declares such a network.

    Raises:
        UserError: The package that brings it cannot be imported, or declares something else.
    """
    if network in FOREIGN:
        return FOREIGN[network].takes
    return NETWORKS[network].takes if network in NETWORKS else None


def check_arguments(network: str, arguments: Mapping[str, Any]) -> None:
    """Compare the arguments of a network with what it takes; undeclared networks pass.

    Raises:
        ValueError: An argument is missing, unknown, of another type or out of its bounds.
        UserError: As ``signature_of``.

    Example:
        >>> check_arguments("hrnet", {"width": 1000})
        Traceback (most recent call last):
            ...
        ValueError: hrnet cannot have width 1000: it is a whole number from 1 to 96
    """
    signature = signature_of(network)
    if signature is None:
        return
    known = signature.arguments
    for name in arguments.keys() - known.keys():
        hint = suggestion(name, known) or f"It takes {', '.join(known)}."
        raise ValueError(f"{network} has no argument {name!r} ({hint})")
    for name in signature.required:
        if name not in arguments:
            raise ValueError(f"{network} needs the argument {name}: {known[name]}")
    for name, value in arguments.items():
        if not known[name].accepts(value):
            raise ValueError(
                f"{network} cannot have {name} {shortened(value)}: it is {known[name]}"
            )


def check_input(network: str, size: tuple[int, int]) -> None:
    """Compare the size of the input with what a network can halve; undeclared networks pass.

    Args:
        network: Its name.
        size: (height, width), pixels.

    Raises:
        ValueError: A side is not a multiple of what the network needs.
        UserError: As ``signature_of``.
    """
    signature = signature_of(network)
    if signature and any(side % signature.multiple for side in size):
        raise ValueError(
            f"{network} cannot take an input of {size[0]}x{size[1]}: both sides are multiples of "
            f"{signature.multiple}"
        )
