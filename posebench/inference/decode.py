"""From heatmaps to heatmap coordinates and joint scores, on the device.

Every decoder maps (N, K, H, W) float32 heatmaps to coordinates (N, K, 2), x before y in cells
(cell centres at integers), and joint scores (N, K). ``posebench.inference.plugin_tables`` finds
them by name.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from posebench.inference.transfer import gaussian
from posebench.types.protocol import Protocol

Decoded = tuple[Tensor, Tensor]


def argmax(heatmaps: Tensor, protocol: Protocol | None = None) -> Decoded:
    """Peak cell; joints whose peak is not positive stand where ``Protocol.no_peak`` says.

    Source: deep-high-resolution-net.pytorch lib/core/inference.py (first cell); mmpose
        mmpose/codecs/utils/post_processing.py (one cell outside).
    """
    width = heatmaps.shape[-1]
    scores, index = heatmaps.flatten(2).max(dim=-1)
    x = index % width
    y = torch.div(index, width, rounding_mode="floor")
    coords = torch.stack([x, y], dim=-1).to(heatmaps.dtype)
    empty = -1.0 if protocol is not None and protocol.no_peak == "outside" else 0.0
    return torch.where((scores > 0)[..., None], coords, empty), scores


def quarter(heatmaps: Tensor, protocol: Protocol | None = None) -> Decoded:
    """Peak cell moved a quarter cell towards the higher neighbour.

    Source: deep-high-resolution-net.pytorch lib/core/inference.py.
    """
    coords, scores = argmax(heatmaps, protocol)
    return coords + _quarter_offset(heatmaps, coords), scores


def quarter_each_axis(heatmaps: Tensor, protocol: Protocol | None = None) -> Decoded:
    """As ``quarter``, but a peak at a border keeps the step along that border.

    Source: mmpose mmpose/codecs/utils/refinement.py (``refine_keypoints``).
    """
    coords, scores = argmax(heatmaps, protocol)
    x, y = coords.long().unbind(-1)
    height, width = heatmaps.shape[-2:]
    along_x = (x > 1) & (x < width - 1) & (y > 0)
    along_y = (y > 1) & (y < height - 1) & (x > 0)
    step = _central_signs(heatmaps, x, y) * torch.stack([along_x, along_y], dim=-1)
    return coords + step * 0.25, scores


def quarter_and_half(heatmaps: Tensor, protocol: Protocol) -> Decoded:
    """Peak of the blurred heatmap, moved by half a cell and the quarter step.

    Heatmaps of the MSPN family reach 255; the joint score is the peak over that, plus a half.

    Source: mmpose mmpose/codecs/megvii_heatmap.py.
    """
    blurred = _modulate(heatmaps, protocol.dark_kernel)
    coords, peak = argmax(blurred, protocol)
    inside, signs = _inside(blurred, coords), _central_signs(blurred, *coords.long().unbind(-1))
    return coords + (signs * 0.25 + 0.5) * inside[..., None], peak / 255.0 + 0.5


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
    coords, scores = argmax(heatmaps, protocol)
    log_heat = torch.log(_modulate(heatmaps, protocol.dark_kernel).clamp(min=1e-10))
    return coords + _taylor_offset(log_heat, coords), scores


def dark_udp(heatmaps: Tensor, protocol: Protocol) -> Decoded:
    """Taylor step of UDP: on the clipped logarithm, with neighbours one cell away.

    At a border the nearest cell stands in for what is missing. The joint score is the peak before
    the blur.

    Source: mmpose mmpose/codecs/utils/refinement.py (``refine_keypoints_dark_udp``).
    """
    coords, scores = argmax(heatmaps, protocol)
    log_heat = torch.log(_modulate(heatmaps, protocol.dark_kernel).clamp(1e-3, 50.0))
    padded = functional.pad(log_heat, (1, 1, 1, 1), mode="replicate")
    width, count = padded.shape[-1], padded.shape[-1] * padded.shape[-2]
    x, y = coords.long().unbind(-1)
    joint = torch.arange(heatmaps.shape[1], device=heatmaps.device) * count
    centre = joint + (y + 1) * width + x + 1
    cells = padded.flatten(1)

    def value(step_x: int, step_y: int) -> Tensor:
        # A joint without a peak stands in the corner of the padding: its neighbours before that
        # are those of the joint before, as in the reference, which reads one long array.
        place = (centre + step_y * width + step_x) % cells.shape[1]
        return cells.gather(1, place).double()

    here = value(0, 0)
    right, left, below, above = value(1, 0), value(-1, 0), value(0, 1), value(0, -1)
    dx, dy = 0.5 * (right - left), 0.5 * (below - above)
    tiny = float(np.finfo(np.float32).eps)
    dxx, dyy = right - 2 * here + left + tiny, below - 2 * here + above + tiny
    dxy = 0.5 * (value(1, 1) - right - below + 2 * here - left - above + value(-1, -1))
    det = dxx * dyy - dxy * dxy
    step = torch.stack([dyy * dx - dxy * dy, dxx * dy - dxy * dx], dim=-1)
    # On a map that is flat but for rounding the reference stops with an error.
    step = torch.where((det != 0)[..., None], step / det[..., None], 0.0)
    return (coords - step).to(coords.dtype), scores


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
    nearest = (coords + 0.5).floor()
    signs = _central_signs(heatmaps, *nearest.long().unbind(-1))
    return signs * 0.25 * _inside(heatmaps, nearest)[..., None]


def _inside(heatmaps: Tensor, coords: Tensor) -> Tensor:
    """Whether cells (N, K, 2) lie off the two outermost columns and rows: (N, K) bool."""
    height, width = heatmaps.shape[-2:]
    x, y = coords.unbind(-1)
    return (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)


def _central_signs(heatmaps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Signs (N, K, 2) of the central differences at cells, read at the border as one inside it.

    Along each axis the other coordinate is the cell's own, wherever it lies.
    """
    height, width = heatmaps.shape[-2:]
    row, column = y.clamp(0, height - 1), x.clamp(0, width - 1)
    x, y = x.clamp(1, width - 2), y.clamp(1, height - 2)
    dx = _at(heatmaps, x + 1, row) - _at(heatmaps, x - 1, row)
    dy = _at(heatmaps, column, y + 1) - _at(heatmaps, column, y - 1)
    return torch.stack([dx, dy], dim=-1).sign()


def _modulate(heatmaps: Tensor, kernel: int) -> Tensor:
    """Gaussian blur with zero border in float64, rescaled to the peak before the blur.

    A map whose blurred peak is 0, such as an empty one, stays as it was blurred.
    """
    weights = gaussian(kernel, torch.float64, heatmaps.device)
    flat = heatmaps.flatten(0, 1)[:, None].double()
    pad = kernel // 2
    blurred = functional.conv2d(flat, weights.view(1, 1, 1, -1), padding=(0, pad))
    blurred = functional.conv2d(blurred, weights.view(1, 1, -1, 1), padding=(pad, 0))
    blurred = blurred.view(heatmaps.shape).to(heatmaps.dtype)
    peak, lower = (maps.amax((2, 3), keepdim=True) for maps in (heatmaps, blurred))
    return blurred * torch.where(lower != 0, peak / lower, 1.0)


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
