"""From heatmaps to heatmap coordinates and joint scores, on the device.

Every decoder maps (N, K, H, W) float32 heatmaps to coordinates (N, K, 2), x before y in cells
(cell centres at integers), and joint scores (N, K).
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from posebench.types.protocol import Protocol

Decoded = tuple[Tensor, Tensor]
Decoder = Callable[[Tensor, Protocol], Decoded]


def argmax(heatmaps: Tensor, protocol: Protocol | None = None) -> Decoded:
    """Peak cell; joints whose peak is not positive stand at (0, 0).

    Source: deep-high-resolution-net.pytorch lib/core/inference.py.
    """
    width = heatmaps.shape[-1]
    scores, index = heatmaps.flatten(2).max(dim=-1)
    x = index % width
    y = torch.div(index, width, rounding_mode="floor")
    coords = torch.stack([x, y], dim=-1).to(heatmaps.dtype)
    return coords * (scores > 0)[..., None], scores


def quarter(heatmaps: Tensor, protocol: Protocol | None = None) -> Decoded:
    """Peak cell moved a quarter cell towards the higher neighbour.

    Source: deep-high-resolution-net.pytorch lib/core/inference.py.
    """
    coords, scores = argmax(heatmaps)
    return coords + _quarter_offset(heatmaps, coords), scores


def softargmax(heatmaps: Tensor, protocol: Protocol) -> Decoded:
    """Expectation under softmax(beta * heatmap), then the quarter step on top.

    The joint score is the heatmap at the rounded (half to even) expectation.

    Source: LPN lib/core/inference.py (beta 160).
    """
    weights = torch.softmax(heatmaps.flatten(2) * protocol.softargmax_beta, dim=-1)
    coords = _mean_cell(weights.view_as(heatmaps))
    x, y = coords.round().long().unbind(-1)
    return coords + _quarter_offset(heatmaps, coords), _at(heatmaps, x, y)


def integral_sigmoid(heatmaps: Tensor, protocol: Protocol | None = None) -> Decoded:
    """Mean cell under the sigmoid of the heatmap, made to sum to 1; the score is its peak.

    Source: AlphaPose alphapose/utils/transforms.py (``heatmap_to_coord_simple_regress``).
    """
    maps = heatmaps.sigmoid()
    total = maps.sum(dim=(2, 3), keepdim=True)
    return _mean_cell(maps / total), maps.amax(dim=(2, 3))


def dark(heatmaps: Tensor, protocol: Protocol) -> Decoded:
    """Taylor step on the logarithm of the blurred heatmap (DARK).

    The joint score is the peak before the blur.  Steps are computed in float64; a nearly
    singular Hessian still amplifies the float32 logarithm.

    Source: Zhang et al., CVPR 2020; PaddleDetection ppdet/modeling/architectures/
        keypoint_hrnet.py (kernel 3 by default).
    """
    coords, scores = argmax(heatmaps)
    log_heat = torch.log(_modulate(heatmaps, protocol.dark_kernel).clamp(min=1e-10))
    return coords + _taylor_offset(log_heat, coords), scores


DECODERS: dict[str, Decoder] = {
    "argmax": argmax,
    "quarter": quarter,
    "softargmax": softargmax,
    "dark": dark,
    "integral_sigmoid": integral_sigmoid,
}


def _mean_cell(weights: Tensor) -> Tensor:
    """Expected cell (N, K, 2) of maps (N, K, H, W) that sum to 1."""
    height, width = weights.shape[-2:]
    columns = torch.arange(width, dtype=weights.dtype, device=weights.device)
    rows = torch.arange(height, dtype=weights.dtype, device=weights.device)
    x = (weights.sum(dim=2) * columns).sum(dim=-1)
    y = (weights.sum(dim=3) * rows).sum(dim=-1)
    return torch.stack([x, y], dim=-1)


def _at(heatmaps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Heatmap values (N, K) at integer cells x, y (N, K)."""
    width = heatmaps.shape[-1]
    return heatmaps.flatten(2).gather(2, (y * width + x)[..., None])[..., 0]


def _quarter_offset(heatmaps: Tensor, coords: Tensor) -> Tensor:
    """A quarter of the sign of the central difference; none on the two outermost cells."""
    height, width = heatmaps.shape[-2:]
    x, y = (coords + 0.5).floor().long().unbind(-1)
    inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
    x, y = x.clamp(1, width - 2), y.clamp(1, height - 2)
    dx = _at(heatmaps, x + 1, y) - _at(heatmaps, x - 1, y)
    dy = _at(heatmaps, x, y + 1) - _at(heatmaps, x, y - 1)
    return torch.stack([dx, dy], dim=-1).sign() * 0.25 * inside[..., None]


def _modulate(heatmaps: Tensor, kernel: int) -> Tensor:
    """Gaussian blur with zero border in float64, rescaled to the peak before the blur."""
    weights = torch.from_numpy(cv2.getGaussianKernel(kernel, 0).astype(np.float64)[:, 0])
    weights = weights.to(heatmaps.device)
    flat = heatmaps.flatten(0, 1)[:, None].double()
    pad = kernel // 2
    blurred = functional.conv2d(flat, weights.view(1, 1, 1, -1), padding=(0, pad))
    blurred = functional.conv2d(blurred, weights.view(1, 1, -1, 1), padding=(pad, 0))
    blurred = blurred.view(heatmaps.shape).to(heatmaps.dtype)
    return blurred * (heatmaps.amax((2, 3), keepdim=True) / blurred.amax((2, 3), keepdim=True))


def _taylor_offset(log_heat: Tensor, coords: Tensor) -> Tensor:
    """-H^-1 g at the peak cell; none on the two outermost cells or where det H is 0."""
    height, width = log_heat.shape[-2:]
    x, y = coords.long().unbind(-1)
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    x, y = x.clamp(2, width - 3), y.clamp(2, height - 3)

    def value(step_x: int, step_y: int) -> Tensor:
        return _at(log_heat, x + step_x, y + step_y).double()

    centre = value(0, 0)
    dx = 0.5 * (value(1, 0) - value(-1, 0))
    dy = 0.5 * (value(0, 1) - value(0, -1))
    dxx = 0.25 * (value(2, 0) - 2 * centre + value(-2, 0))
    dyy = 0.25 * (value(0, 2) - 2 * centre + value(0, -2))
    dxy = 0.25 * (value(1, 1) - value(1, -1) - value(-1, 1) + value(-1, -1))
    det = dxx * dyy - dxy * dxy
    usable = inside & (det != 0)
    safe = torch.where(usable, det, torch.ones_like(det))
    step_x = -(dyy * dx - dxy * dy) / safe
    step_y = -(dxx * dy - dxy * dx) / safe
    step = torch.stack([step_x, step_y], dim=-1)
    return torch.where(usable[..., None], step, torch.zeros_like(step)).to(coords.dtype)
