"""MobileNets of GluonCV's pose models without their classifiers, as lists of numbered layers.

Structure and parameter names: GluonCV ``gluoncv/model_zoo/mobilenet.py`` (Howard et al.,
arXiv:1704.04861; Sandler et al., arXiv:1801.04381) and ``mobilenetv3.py`` (Howard et al.,
arXiv:1905.02244). Everything ends at a 32nd of the input size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor, nn
from torch.nn import functional as F

from posebench.networks.resnet import batch_norm, conv1x1, conv3x3

Layers: TypeAlias = tuple[list[nn.Module], int]
"""Parts of a sequence and the channels that come out of it."""

# MobileNet: output channels and stride of each depthwise-separable pair.
PAIRS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *[(512, 1)] * 5,
    *((1024, 2), (1024, 1)),
)
# MobileNetV2: expansion, output channels, blocks, stride of the first of them.
V2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
V2_LAST = 1280
V3_FIRST = 16
# Squeeze and excitation of V3: a quarter of the channels, rounded up to a multiple of 8.
SQUEEZE_RATIO, SQUEEZE_MULTIPLE = 4, 8


@dataclass(frozen=True)
class Unit:
    """One block of MobileNetV3: kernel, inner and output channels, stride, and its two options."""

    kernel: int
    inner: int
    outputs: int
    stride: int = 1
    squeeze: bool = False
    swish: bool = False


LARGE = (
    Unit(3, 16, 16),
    Unit(3, 64, 24, 2),
    Unit(3, 72, 24),
    Unit(5, 72, 40, 2, squeeze=True),
    Unit(5, 120, 40, squeeze=True),
    Unit(5, 120, 40, squeeze=True),
    Unit(3, 240, 80, 2, swish=True),
    Unit(3, 200, 80, swish=True),
    Unit(3, 184, 80, swish=True),
    Unit(3, 184, 80, swish=True),
    Unit(3, 480, 112, squeeze=True, swish=True),
    Unit(3, 672, 112, squeeze=True, swish=True),
    Unit(5, 672, 160, 2, squeeze=True, swish=True),
    Unit(5, 960, 160, squeeze=True, swish=True),
    Unit(5, 960, 160, squeeze=True, swish=True),
)
SMALL = (
    Unit(3, 16, 16, 2, squeeze=True),
    Unit(3, 72, 24, 2),
    Unit(3, 88, 24),
    Unit(5, 96, 40, 2, squeeze=True, swish=True),
    Unit(5, 240, 40, squeeze=True, swish=True),
    Unit(5, 240, 40, squeeze=True, swish=True),
    Unit(5, 120, 48, squeeze=True, swish=True),
    Unit(5, 144, 48, squeeze=True, swish=True),
    Unit(5, 288, 96, 2, squeeze=True, swish=True),
    Unit(5, 576, 96, squeeze=True, swish=True),
    Unit(5, 576, 96, squeeze=True, swish=True),
)


def _depthwise(channels: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(
        channels, channels, kernel, stride, padding=kernel // 2, groups=channels, bias=False
    )


def mobilenet_layers() -> Layers:
    """Build MobileNet 1.0; convolutions, BatchNorms and ReLUs are numbered in one row."""
    layers: list[nn.Module] = [conv3x3(3, 32, 2), batch_norm(32), nn.ReLU(inplace=True)]
    inputs = 32
    for outputs, stride in PAIRS:
        layers += [_depthwise(inputs, 3, stride), batch_norm(inputs), nn.ReLU(inplace=True)]
        layers += [conv1x1(inputs, outputs), batch_norm(outputs), nn.ReLU(inplace=True)]
        inputs = outputs
    return layers, inputs


class LinearBottleneck(nn.Module):
    """1x1 widening (none at factor 1), depthwise 3x3, 1x1 without activation; MobileNetV2."""

    def __init__(self, inputs: int, outputs: int, factor: int, stride: int) -> None:
        super().__init__()
        inner = inputs * factor
        layers: list[nn.Module] = []
        if factor != 1:
            layers += [conv1x1(inputs, inner), batch_norm(inner), nn.ReLU6(inplace=True)]
        layers += [_depthwise(inner, 3, stride), batch_norm(inner), nn.ReLU6(inplace=True)]
        layers += [conv1x1(inner, outputs), batch_norm(outputs)]
        self.out = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H/stride, W/stride)."""
        y: Tensor = self.out(x)
        return x + y if self.shortcut else y


def mobilenet_v2_layers() -> Layers:
    """Build MobileNetV2 1.0 up to its last 1x1 convolution."""
    layers: list[nn.Module] = [conv3x3(3, 32, 2), batch_norm(32), nn.ReLU6(inplace=True)]
    inputs = 32
    for factor, outputs, blocks, stride in V2_STAGES:
        for index in range(blocks):
            step = stride if index == 0 else 1
            layers.append(LinearBottleneck(inputs, outputs, factor, step))
            inputs = outputs
    layers += [conv1x1(inputs, V2_LAST), batch_norm(V2_LAST), nn.ReLU6(inplace=True)]
    return layers, V2_LAST


class ConvNorm(nn.Module):
    """Convolution (``conv``), BatchNorm (``bn``), activation."""

    def __init__(self, layer: nn.Conv2d, activation: nn.Module) -> None:
        super().__init__()
        self.conv = layer
        self.bn = batch_norm(layer.out_channels)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        y: Tensor = self.activation(self.bn(self.conv(x)))
        return y


class SqueezeExcite(nn.Module):
    """Weights for channels from their means, by two 1x1 convolutions with biases."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        eighths = -(-(channels // SQUEEZE_RATIO) // SQUEEZE_MULTIPLE)
        hidden = eighths * SQUEEZE_MULTIPLE
        self.conv1 = nn.Conv2d(channels, hidden, 1)
        self.conv2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        hidden = F.relu(self.conv1(F.adaptive_avg_pool2d(x, 1)))
        return x * F.hardsigmoid(self.conv2(hidden))


class ResidualUnit(nn.Module):
    """MobileNetV3's block; one whose inner width is its output's has no widening convolution."""

    def __init__(self, inputs: int, unit: Unit) -> None:
        super().__init__()
        activation = nn.Hardswish if unit.swish else nn.ReLU
        inner, outputs = unit.inner, unit.outputs
        self.expand: nn.Module = nn.Identity()
        if inner != outputs:
            self.expand = ConvNorm(conv1x1(inputs, inner), activation())
        self.conv1 = ConvNorm(_depthwise(inner, unit.kernel, unit.stride), activation())
        self.se: nn.Module = SqueezeExcite(inner) if unit.squeeze else nn.Identity()
        self.conv2 = ConvNorm(conv1x1(inner, outputs), nn.Identity())
        self.shortcut = unit.stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, outputs, H/stride, W/stride)."""
        y: Tensor = self.conv2(self.se(self.conv1(self.expand(x))))
        return x + y if self.shortcut else y


def mobilenet_v3_layers(units: Sequence[Unit]) -> Layers:
    """Build MobileNetV3 up to its first 1x1 convolution after the blocks."""
    layers: list[nn.Module] = [conv3x3(3, V3_FIRST, 2), batch_norm(V3_FIRST), nn.Hardswish()]
    inputs = V3_FIRST
    for unit in units:
        layers.append(ResidualUnit(inputs, unit))
        inputs = unit.outputs
    last = units[-1].inner
    layers += [conv1x1(inputs, last), batch_norm(last), nn.Hardswish()]
    return layers, last
