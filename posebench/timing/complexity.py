"""Parameters and multiply-accumulates of a network, counted and as zoo pages count them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from posebench.networks import NETWORKS, build_network, parameter_count
from posebench.networks.deform import torchvision_op
from posebench.types.entry import Entry

aten = torch.ops.aten
# Convolutions and linear layers (a deformable convolution ends in a matrix product); products of
# two activations, as in attention, stand in no page's count.
COUNTED = (aten.convolution, aten._convolution, aten.mm, aten.addmm)
# deep-high-resolution-net.pytorch lib/utils/utils.py divides by 1024 ** 3 what it prints as GFLOPs.
PAGE_BILLION = 2**30


@dataclass(frozen=True)
class Complexity:
    """What a network costs for one image.

    Attributes:
        parameters: Learned numbers; statistics of BatchNorm are none.
        macs: Multiply-accumulates of convolution and linear layers: half of what a counter of
            floating-point operations says.
        page_macs: The same in the way of HRNet's tool, whose figures LPN's and FPD's pages
            print: transposed convolutions are counted at the size of their output.
        input_size: Of the image (height, width), pixels.
    """

    parameters: int
    macs: int
    page_macs: int
    input_size: tuple[int, int]

    def published(self, metric: str) -> float | None:
        """Return what a page would print, None for other metrics.

        Args:
            metric: ``params`` (millions) or ``macs`` (units of 2**30, printed as G).
        """
        figures = {"params": self.parameters / 1e6, "macs": self.page_macs / PAGE_BILLION}
        return figures.get(metric)


def complexity(entry: Entry, built: nn.Module | None = None) -> Complexity:
    """Count a row's network at its input size.

    Networks of posebench are counted without weights and without computing anything.

    Args:
        entry: The row.
        built: Its network, which computes one image where an optional package has built it:
            such a network may look at values.

    Raises:
        UserError: The network cannot be built.
    """
    if built is not None and entry.network.name not in NETWORKS:
        network = built
        macs, extra = count_macs(network, entry.input.size)
    else:
        with torch.device("meta"):
            network = build_network(entry.network.name, **entry.network.arguments).eval()
            macs, extra = count_macs(network, entry.input.size)
    return Complexity(
        parameters=parameter_count(network),
        macs=macs,
        page_macs=macs + extra,
        input_size=entry.input.size,
    )


def count_macs(network: nn.Module, size: tuple[int, int]) -> tuple[int, int]:
    """Run a network on one image and count.

    Args:
        network: On any device, the meta device among them.
        size: (height, width), pixels.

    Returns:
        Multiply-accumulates, and how many more they are if transposed convolutions are counted
        at the size of their output.
    """
    extra = 0

    def at_output_size(part: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal extra
        assert isinstance(part, nn.ConvTranspose2d)
        more = math.prod(output.shape[2:]) - math.prod(inputs[0].shape[2:])
        extra += part.weight.numel() * more

    hooks = [
        part.register_forward_hook(at_output_size)
        for part in network.modules()
        if isinstance(part, nn.ConvTranspose2d)
    ]
    formulas = _deformable()
    counter = FlopCounterMode(display=False, custom_mapping=formulas)
    device = next(network.parameters()).device
    with torch.no_grad(), counter:
        network(torch.zeros(1, 3, *size, device=device))
    for hook in hooks:
        hook.remove()
    counts = counter.get_flop_counts()["Global"]
    flops = sum(count for kind, count in counts.items() if kind in (*COUNTED, *formulas))
    return flops // 2, extra


def _deformable() -> dict[Any, Callable[..., int]]:
    """Return the formula of torchvision's deformable convolution, which no counter knows."""
    if torchvision_op() is None:
        return {}
    return {torch.ops.torchvision.deform_conv2d: deformable_flops}


def deformable_flops(
    x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any
) -> int:
    """Return what a convolution of these shapes costs; reading between cells is not counted."""
    return 2 * math.prod(out_shape) * math.prod(weight[1:])
