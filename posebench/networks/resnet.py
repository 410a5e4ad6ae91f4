"""ResNet backbones with torchvision's parameter names, and the variants that pose zoos add.

Plain ResNet (He et al., CVPR 2016) strides in the 3x3 convolution. AlphaPose
(``alphapose/models/layers/SE_Resnet.py``, ``ShuffleResnet.py``) weighs the channels of each
stage's first block (squeeze and excitation), reads deformed in the last three stages, or trades
cells for channels (pixel unshuffle) instead of striding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from posebench.networks.deform import OFFSETS, DeformConv
from posebench.networks.variants import count_children

BATCH_NORM_EPS = 1e-5
EXPANSION = 4
STEM_CHANNELS = 64
STAGE_PLANES = (64, 128, 256, 512)
OUTPUTS = STAGE_PLANES[-1] * EXPANSION
LAYERS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Bottlenecks in each stage, by the number of layers in the network's name."""


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """BatchNorm with the epsilon that all zoos use."""
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS)


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """3x3 convolution without bias that keeps the size but for its stride."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


def conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Pointwise convolution without bias."""
    return nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)


@dataclass(frozen=True)
class Extras:
    """What a variant changes in the plain bottleneck.

    Attributes:
        se: Squeeze and excitation in the first block of each stage.
        deformable: The 3x3 convolutions of all blocks of the last three stages are deformable.
        unshuffle: Blocks that halve the size do it by pixel unshuffle, before their 3x3
            convolution.
    """

    se: bool = False
    deformable: bool = False
    unshuffle: bool = False


PLAIN = Extras()


class SqueezeExcitation(nn.Module):
    """Weigh each channel by what a small network makes of all channel means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels),
            nn.ReLU(inplace=True),
            nn.Linear(channels, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        weight: Tensor = self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))
        return x * weight[:, :, None, None]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around an identity; input and output have the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.bn1 = batch_norm(channels)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = batch_norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + x)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 to four times the planes; the shortcut is projected where shapes differ."""

    def __init__(self, inputs: int, planes: int, stride: int = 1, extras: Extras = PLAIN) -> None:
        super().__init__()
        outputs = planes * EXPANSION
        projects = stride != 1 or inputs != outputs
        self.conv1 = conv1x1(inputs, planes)
        self.bn1 = batch_norm(planes)
        self.conv2: nn.Module = conv3x3(planes, planes, stride)
        self.conv2_offset: nn.Module | None = None
        if extras.deformable:
            self.conv2 = DeformConv(planes, stride)
            self.conv2_offset = nn.Conv2d(planes, OFFSETS, 3, stride=stride, padding=1)
        elif extras.unshuffle and stride > 1:
            self.conv2 = nn.Sequential(
                nn.PixelUnshuffle(stride), conv3x3(planes * stride**2, planes)
            )
        self.bn2 = batch_norm(planes)
        self.conv3 = conv1x1(planes, outputs)
        self.bn3 = batch_norm(outputs)
        self.se = SqueezeExcitation(outputs) if extras.se and projects else nn.Identity()
        self.downsample: nn.Module | None = None
        if projects:
            self.downsample = nn.Sequential(conv1x1(inputs, outputs, stride), batch_norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 4 * planes, H/stride, W/stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.conv2(y) if self.conv2_offset is None else self.conv2(y, self.conv2_offset(y))
        y = F.relu(self.bn2(y))
        y = self.se(self.bn3(self.conv3(y)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(y + shortcut)


def bottlenecks(
    inputs: int, planes: int, blocks: int, stride: int = 1, extras: Extras = PLAIN
) -> nn.Sequential:
    """One stage: its first block takes the inputs and the stride."""
    first = Bottleneck(inputs, planes, stride, extras)
    outputs = planes * EXPANSION
    rest = (Bottleneck(outputs, planes, 1, extras) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


class ResNet(nn.Module):
    """The backbone: 7x7 stem, four stages of bottlenecks, stride 32.

    Args:
        layers: 50, 101 or 152.
        extras: Departures from the plain network.
    """

    def __init__(self, layers: int = 50, extras: Extras = PLAIN) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, STEM_CHANNELS, 7, stride=2, padding=3, bias=False)
        self.bn1 = batch_norm(STEM_CHANNELS)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        first, *others = zip(STAGE_PLANES, LAYERS[layers], strict=True)
        undeformed = Extras(se=extras.se, unshuffle=extras.unshuffle)
        self.layer1 = bottlenecks(STEM_CHANNELS, *first, extras=undeformed)
        inputs = first[0] * EXPANSION
        for index, (planes, blocks) in enumerate(others, start=2):
            self.add_module(f"layer{index}", bottlenecks(inputs, planes, blocks, 2, extras))
            inputs = planes * EXPANSION

    def features(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to (N, 2048, H/32, W/32)."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        for index in range(1, len(STAGE_PLANES) + 1):
            x = self.get_submodule(f"layer{index}")(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to (N, 2048, H/32, W/32)."""
        return self.features(x)


def count_layers(state: Mapping[str, Any], prefix: str = "") -> int | None:
    """Return the number of layers of the ResNet a file holds, None if it is none of ``LAYERS``.

    Args:
        state: Names of tensors, as keys.
        prefix: What stands before ``layer1``, with its dot.
    """
    found = tuple(count_children(state, f"{prefix}layer{index}.") for index in range(1, 5))
    return next((layers for layers, blocks in LAYERS.items() if blocks == found), None)
