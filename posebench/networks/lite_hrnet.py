"""Lite-HRNet as PaddleDetection builds it, with its naive variant (PP-TinyPose).

Structure and parameter names: PaddleDetection ``ppdet/modeling/backbones/lite_hrnet.py`` (Yu et
al., Lite-HRNet, CVPR 2021). Names are Paddle's, but for the running statistics of BatchNorm,
which carry PyTorch's names. Two habits of the original are part of what its weights learned:

* In each fusion the first summand counts twice, and the first output, before its ReLU,
  replaces the finest branch for all later outputs (``Fusion``).
* The head upsamples with aligned corners (``IterativeHead``), the fusions with the nearest cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH_NORM_EPS = 1e-5
STEM_CHANNELS = 32
BLOCKS_PER_MODULE = 2
CROSS_RESOLUTION_RATIO = 8
SPATIAL_RATIO = 4
# The weight of the first summand of a fusion; a clean sum (1.0) gives wrong heatmaps.
FIRST_TERM = 2.0

Activation = Literal["none", "relu", "sigmoid"]
_ACTIVATIONS = {"none": nn.Identity, "relu": nn.ReLU, "sigmoid": nn.Sigmoid}


@dataclass(frozen=True)
class Variant:
    """What tells the members of the family apart: modules per stage and the kind of block."""

    modules: tuple[int, int, int]
    naive: bool


VARIANTS = {
    "lite_18": Variant((2, 4, 2), naive=False),
    "lite_30": Variant((3, 8, 3), naive=False),
    "wider_naive": Variant((2, 4, 2), naive=True),
}


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)


def _depthwise(channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS)


def _separable(inputs: int, outputs: int, stride: int, *, relu: bool) -> nn.Sequential:
    """Depthwise 3x3 and pointwise, each normalised; nothing in between."""
    layers = [_depthwise(inputs, stride), _norm(inputs), _conv(inputs, outputs), _norm(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU()] if relu else []))


def shuffle(x: Tensor) -> Tensor:
    """Interleave the two halves of the channels of (N, C, H, W): 0, C/2, 1, C/2 + 1, ..."""
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class ConvNorm(nn.Module):
    """Convolution (``conv``), BatchNorm (``norm``), activation.

    With a kernel of 3 the convolution is depthwise, except in the stem's first layer. A layer
    without BatchNorm has a bias.
    """

    def __init__(self, conv: nn.Conv2d, activation: Activation = "none") -> None:
        super().__init__()
        self.conv = conv
        self.norm = _norm(conv.out_channels) if conv.bias is None else nn.Identity()
        self.activation = _ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        y: Tensor = self.activation(self.norm(self.conv(x)))
        return y


class Stem(nn.Module):
    """Two halvings: a full convolution, then one shuffled pair of light branches."""

    def __init__(self) -> None:
        super().__init__()
        half = STEM_CHANNELS // 2
        self.conv1 = ConvNorm(nn.Conv2d(3, STEM_CHANNELS, 3, 2, padding=1, bias=False), "relu")
        self.branch1 = nn.Sequential(
            ConvNorm(_depthwise(half, stride=2)), ConvNorm(_conv(half, half), "relu")
        )
        self.expand_conv = ConvNorm(_conv(half, STEM_CHANNELS), "relu")
        self.depthwise_conv = ConvNorm(_depthwise(STEM_CHANNELS, stride=2))
        self.linear_conv = ConvNorm(_conv(STEM_CHANNELS, half), "relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 32, H/4, W/4)."""
        left, right = self.conv1(x).chunk(2, dim=1)
        right = self.linear_conv(self.depthwise_conv(self.expand_conv(right)))
        return shuffle(torch.cat([self.branch1(left), right], dim=1))


class CrossResolutionWeighting(nn.Module):
    """Weights for every channel of every branch, computed together at the coarsest resolution."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = list(channels)
        total = sum(channels)
        hidden = total // CROSS_RESOLUTION_RATIO
        self.conv1 = ConvNorm(_conv(total, hidden), "relu")
        self.conv2 = ConvNorm(_conv(hidden, total), "sigmoid")

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map branches (N, C_i, H/2^i, W/2^i) to the same shapes."""
        coarsest = (branches[-1].shape[-2], branches[-1].shape[-1])
        pooled = [F.adaptive_avg_pool2d(x, coarsest) for x in branches[:-1]] + [branches[-1]]
        weights = self.conv2(self.conv1(torch.cat(pooled, dim=1))).split(self.channels, dim=1)
        return [
            x * F.interpolate(weight, size=x.shape[-2:], mode="nearest")
            for x, weight in zip(branches, weights, strict=True)
        ]


class SpatialWeighting(nn.Module):
    """Squeeze and excitation with biases and no BatchNorm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // SPATIAL_RATIO
        self.conv1 = ConvNorm(nn.Conv2d(channels, hidden, 1), "relu")
        self.conv2 = ConvNorm(nn.Conv2d(hidden, channels, 1), "sigmoid")

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        weight: Tensor = self.conv2(self.conv1(F.adaptive_avg_pool2d(x, 1)))
        return x * weight


class WeightingBlock(nn.Module):
    """Conditional channel weighting: one half of each branch passes, the other is weighted."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        halves = [c // 2 for c in channels]
        self.cross_resolution_weighting = CrossResolutionWeighting(halves)
        self.depthwise_convs = nn.ModuleList(ConvNorm(_depthwise(c)) for c in halves)
        self.spatial_weighting = nn.ModuleList(SpatialWeighting(c) for c in halves)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map branches (N, C_i, H/2^i, W/2^i) to the same shapes."""
        kept, changed = zip(*(x.chunk(2, dim=1) for x in branches), strict=True)
        weighted = self.cross_resolution_weighting(list(changed))
        return [
            shuffle(torch.cat([left, spatial(depthwise(right))], dim=1))
            for left, right, depthwise, spatial in zip(
                kept, weighted, self.depthwise_convs, self.spatial_weighting, strict=True
            )
        ]


class ShuffleUnit(nn.Module):
    """ShuffleNet unit of stride 1: one half passes, the other goes through three layers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch2 = nn.Sequential(
            ConvNorm(_conv(half, half), "relu"),
            ConvNorm(_depthwise(half)),
            ConvNorm(_conv(half, half), "relu"),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        left, right = x.chunk(2, dim=1)
        return shuffle(torch.cat([left, self.branch2(right)], dim=1))


class Fusion(nn.ModuleList):
    """Exchange between branches: row i, column j holds the path from branch j to branch i."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        for i, outputs in enumerate(channels):
            paths = (_path(i, j, inputs, outputs) for j, inputs in enumerate(channels))
            self.append(nn.ModuleList(paths))

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map branches (N, C_i, H/2^i, W/2^i) to the same shapes."""
        sources = list(branches)
        fused = []
        for i, row in enumerate(self):
            terms = [path(x) for path, x in zip(row, sources, strict=True)]  # type: ignore[call-overload]
            total = FIRST_TERM * terms[0]
            for term in terms[1:]:
                total = total + term
            if i == 0:
                # what the original's in-place sum leaves behind for the coarser outputs
                sources[0] = total
            fused.append(F.relu(total))
        return fused


def _path(i: int, j: int, inputs: int, outputs: int) -> nn.Module:
    """The way from branch j to branch i: nothing, up by nearest cells, or halvings."""
    if i == j:
        return nn.Identity()
    if j > i:
        up = nn.Upsample(scale_factor=2 ** (j - i), mode="nearest")
        return nn.Sequential(_conv(inputs, outputs), _norm(outputs), up)
    steps = [_separable(inputs, inputs, 2, relu=True) for _ in range(i - j - 1)]
    return nn.Sequential(*steps, _separable(inputs, outputs, 2, relu=False))


class LiteModule(nn.Module):
    """Two blocks on every branch, then an exchange."""

    def __init__(self, channels: Sequence[int], *, naive: bool) -> None:
        super().__init__()
        self.naive = naive
        blocks = range(BLOCKS_PER_MODULE)
        self.layers: nn.Module = (
            nn.ModuleList(nn.Sequential(*(ShuffleUnit(c) for _ in blocks)) for c in channels)
            if naive
            else nn.Sequential(*(WeightingBlock(channels) for _ in blocks))
        )
        self.fuse_layers = Fusion(channels)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map branches (N, C_i, H/2^i, W/2^i) to the same shapes."""
        if isinstance(self.layers, nn.ModuleList):
            branches = [layer(x) for layer, x in zip(self.layers, branches, strict=True)]
        else:
            branches = self.layers(branches)
        fused: list[Tensor] = self.fuse_layers(branches)
        return fused


class IterativeHead(nn.Module):
    """Carries the coarse branches up, adding each to the next finer one."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        inputs = list(reversed(channels))
        outputs = [*inputs[1:], inputs[-1]]
        self.projects = nn.ModuleList(map(Projection, inputs, outputs))

    def forward(self, branches: list[Tensor]) -> Tensor:
        """Map branches, finest first, to the finest output (N, C_0, H, W)."""
        *finer, current = branches
        current = self.projects[0](current)
        for project, x in zip(self.projects[1:], reversed(finer), strict=True):
            up = F.interpolate(current, size=x.shape[-2:], mode="bilinear", align_corners=True)
            current = project(x + up)
        return current


class Projection(nn.Module):
    """Depthwise, then pointwise with ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvNorm(_depthwise(inputs))
        self.pointwise_conv = ConvNorm(_conv(inputs, outputs), "relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H, W)."""
        y: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return y


class Backbone(nn.Module):
    """Stem, three stages of two, three and four branches, head."""

    def __init__(self, variant: Variant, width: int) -> None:
        super().__init__()
        self.stem = Stem()
        channels = [STEM_CHANNELS]
        for stage, modules in enumerate(variant.modules):
            wanted = [width * 2**i for i in range(stage + 2)]
            self.add_module(f"transition{stage}", Transition(channels, wanted))
            chain = (LiteModule(wanted, naive=variant.naive) for _ in range(modules))
            self.add_module(f"stage{stage}", nn.Sequential(*chain))
            channels = wanted
        self.stages = len(variant.modules)
        self.head_layer = IterativeHead(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, width, H/4, W/4)."""
        branches = [self.stem(x)]
        for stage in range(self.stages):
            branches = self.get_submodule(f"transition{stage}")(branches)
            branches = self.get_submodule(f"stage{stage}")(branches)
        features: Tensor = self.head_layer(branches)
        return features


class Transition(nn.ModuleList):
    """Adjusts widths at a stage's entry and opens one coarser branch from the coarsest."""

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        super().__init__()
        for have, want in zip(before, after, strict=False):
            self.append(nn.Identity() if have == want else _separable(have, want, 1, relu=True))
        self.append(nn.Sequential(_separable(before[-1], after[-1], 2, relu=True)))

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map k branches to k + 1."""
        sources = [*branches, branches[-1]]
        return [layer(x) for layer, x in zip(self, sources, strict=True)]


class LiteHRNet(nn.Module):
    """Lite-HRNet with its heatmap layer.

    Args:
        variant: ``lite_18``, ``lite_30`` or ``wider_naive`` (PP-TinyPose).
        width: Channels of the finest branch; each coarser one has twice as many.
        joints: Heatmaps to give.
    """

    def __init__(self, variant: str, width: int = 40, joints: int = 17) -> None:
        super().__init__()
        self.backbone = Backbone(VARIANTS[variant], width)
        self.final_conv = nn.Conv2d(width, joints, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to raw heatmaps (N, joints, H/4, W/4)."""
        heatmaps: Tensor = self.final_conv(self.backbone(x))
        return heatmaps
