"""The small networks that ship inside the package.

A lightweight pose network in the spirit of LPN (Zhang et al., "Simple and lightweight human pose
estimation", arXiv:1911.10346): bottlenecks of 1x1, depthwise 3x3 and 1x1 convolutions with a
global context branch, arranged as a small encoder and decoder.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Sum of a Gaussian of peak 1 and standard deviation 1.5 cells: 2 pi 1.5**2.
GAUSSIAN_SIGMA = 1.5
GAUSSIAN_SUM = 14.137

SIZES: dict[str, tuple[int, int]] = {"demo_s": (12, 1), "demo_m": (18, 1), "demo_l": (28, 2)}
# Width and depth of the network of whole bodies: Halpe's 136 heatmaps, then MPII's upper neck.
BODY_SIZE = 20, 1


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Context(nn.Module):
    """Adds to every cell a summary of the whole map, gathered with a learned attention.

    Args:
        channels: Of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 4, 4)
        self.attend = nn.Conv2d(channels, 1, 1)
        self.reduce = nn.Linear(channels, hidden)
        self.expand = nn.Linear(hidden, channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        weights = self.attend(features).flatten(2).softmax(2)
        summary = (features.flatten(2) @ weights.transpose(1, 2)).squeeze(2)
        update = self.expand(torch.relu(self.reduce(summary)))
        return features + update[:, :, None, None]


class Bottleneck(nn.Module):
    """Residual block: 1x1 widening, depthwise 3x3, 1x1 back, context.

    Args:
        channels: Of input and output.
        widening: Factor of the inner width.
    """

    def __init__(self, channels: int, widening: int = 2) -> None:
        super().__init__()
        inner = channels * widening
        self.enter = _conv(channels, inner, 1)
        self.depthwise = _conv(inner, inner, 3, groups=inner)
        self.leave = _conv(inner, channels, 1)
        self.context = Context(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        inner = torch.relu(self.enter(features))
        inner = torch.relu(self.depthwise(inner))
        return torch.relu(features + self.context(self.leave(inner)))


class Residual(nn.Module):
    """Residual block of one dense 3x3 convolution: fast on a CPU where channels are few.

    Args:
        channels: Of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _conv(channels, channels, 3)

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return torch.relu(features + self.conv(features))


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, outputs, 3, stride=2), nn.ReLU())


class DemoNet(nn.Module):
    """Small encoder and decoder with a heatmap at a quarter of the input size.

    Args:
        width: Channels at stride 4; stride 8 has twice, stride 16 three times as many.
        depth: Blocks at stride 8 on either side; stride 16 has one more.
        joints: Number of heatmaps.
    """

    def __init__(self, width: int, depth: int = 1, joints: int = 17) -> None:
        super().__init__()
        middle, coarse = 2 * width, 3 * width
        self.stem = nn.Sequential(_down(3, width), _down(width, width))
        self.fine = Residual(width)
        self.down8 = _down(width, middle)
        self.middle = nn.Sequential(*(Residual(middle) for _ in range(depth)))
        self.down16 = _down(middle, coarse)
        self.coarse = nn.Sequential(*(Bottleneck(coarse) for _ in range(depth + 1)))
        self.up8 = _conv(coarse, middle, 1)
        self.merge8 = nn.Sequential(*(Residual(middle) for _ in range(depth)))
        self.up4 = _conv(middle, width, 1)
        self.merge4 = Residual(width)
        self.head = nn.Conv2d(width, joints, 1)

    def logits(self, image: Tensor) -> Tensor:
        """Return unnormalised heatmaps (N, joints, H / 4, W / 4) of (N, 3, H, W)."""
        fine = self.fine(self.stem(image))
        middle = self.middle(self.down8(fine))
        coarse = self.coarse(self.down16(middle))
        middle = self.merge8(torch.relu(middle + _double(self.up8(coarse))))
        return self.head(self.merge4(torch.relu(fine + _double(self.up4(middle)))))

    def forward(self, image: Tensor) -> Tensor:
        """Return heatmaps whose ideal is a Gaussian of peak 1 (doubtful joints peak lower).

        Args:
            image: (N, 3, H, W) float, RGB, ImageNet mean and standard deviation; H and W are
                multiples of 16.

        Returns:
            (N, joints, H / 4, W / 4) float; each map sums to ``GAUSSIAN_SUM``.
        """
        maps = self.logits(image)
        return maps.flatten(2).softmax(2).view_as(maps) * GAUSSIAN_SUM


def _double(features: Tensor) -> Tensor:
    return nn.functional.interpolate(features, scale_factor=2.0, mode="nearest")
