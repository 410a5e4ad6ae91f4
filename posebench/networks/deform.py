"""Deformable convolution, version 1: every tap of the kernel reads where a learned offset says.

Dai et al., Deformable Convolutional Networks, ICCV 2017. Offsets come in pairs per tap, row before
column, and reading beyond the image fades to zero within one cell of its border (AlphaPose
``alphapose/models/layers/dcn``). torchvision's op does the same and is used where it is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KERNEL = 3
PADDING = 1
OFFSETS = 2 * KERNEL * KERNEL


def sampled_conv2d(x: Tensor, offset: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """Convolve 3x3 at displaced positions, with nothing but PyTorch's basic operations.

    Args:
        x: (N, C, H, W) float.
        offset: (N, 18, H', W') in cells of ``x``: for each tap, row by row, its shift down and its
            shift right. H' and W' are those of a 3x3 convolution with padding 1 and this stride.
        weight: (C', C, 3, 3).
        stride: Of the undisplaced positions.

    Returns:
        (N, C', H', W').
    """
    n, channels, height, width = x.shape
    rows, columns = offset.shape[2:]
    y, x_at = _positions(offset, stride)
    # beyond one cell outside everything reads zero, so nothing is lost and no index overflows
    y = y.clamp(-1, height)
    x_at = x_at.clamp(-1, width)
    top, left = y.floor(), x_at.floor()
    down, right = (y - top).unsqueeze(1), (x_at - left).unsqueeze(1)
    # a frame of zeros: top and left are -1 at least, bottom and right one more than the size
    framed = F.pad(x, (1, 2, 1, 2)).flatten(2)
    corner = ((top + 1) * (width + 3) + left + 1).long().reshape(n, 1, -1)

    def read(shift: int) -> Tensor:
        index = (corner + shift).expand(n, channels, -1)
        return framed.gather(2, index).reshape(n, channels, KERNEL * KERNEL, -1)

    above = read(0) * (1 - right) + read(1) * right
    below = read(width + 3) * (1 - right) + read(width + 4) * right
    taps = above * (1 - down) + below * down
    return (weight.flatten(1) @ taps.flatten(1, 2)).view(n, -1, rows, columns)


def _positions(offset: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Return the rows and columns to read, each (N, 9, H' * W') in cells."""
    n, _, rows, columns = offset.shape
    tap, y, x = (
        torch.arange(count, device=offset.device).to(offset.dtype)
        for count in (KERNEL, rows, columns)
    )
    tap, y, x = tap - PADDING, y * stride, x * stride
    shifts = offset.reshape(n, KERNEL, KERNEL, 2, rows, columns)
    at_y = shifts[:, :, :, 0] + tap.view(-1, 1, 1, 1) + y.view(-1, 1)
    at_x = shifts[:, :, :, 1] + tap.view(-1, 1, 1) + x
    return at_y.reshape(n, KERNEL * KERNEL, -1), at_x.reshape(n, KERNEL * KERNEL, -1)


@cache
def torchvision_op() -> Callable[..., Tensor] | None:
    """Return torchvision's ``deform_conv2d``, or None where torchvision does not import."""
    try:
        from torchvision.ops import deform_conv2d
    except (ImportError, RuntimeError):  # torchvision of another torch raises the latter
        return None
    op: Callable[..., Tensor] = deform_conv2d
    return op


class DeformConv(nn.Module):
    """3x3 deformable convolution without bias; the offsets are computed elsewhere.

    Args:
        channels: Of input and output.
        stride: 1 or 2.
    """

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(channels, channels, KERNEL, KERNEL))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, x: Tensor, offset: Tensor) -> Tensor:
        """Map (N, C, H, W) and offsets (N, 18, H/stride, W/stride) to (N, C, H/stride, ...)."""
        op = torchvision_op()
        if op is None:
            return sampled_conv2d(x, offset, self.weight, self.stride)
        return op(x, offset, self.weight, stride=self.stride, padding=PADDING)
