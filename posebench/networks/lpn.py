"""Lightweight Pose Network: a slim ResNet whose bottlenecks are depthwise and attend to context.

Structure and parameter names: LPN zoo, ``lib/models/lpn.py`` and ``lightweight_modules.py``
(Zhang, Tang and Wu, Simple and Lightweight Human Pose Estimation, arXiv:1911.10346). Loading a
published file is strict and needs no map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH_NORM_EPS = 1e-5
STAGE_PLANES = (64, 128, 256, 512)
# The last stage keeps its resolution: the input is reduced by 16, two deconvolutions give 4.
STAGE_STRIDES = (1, 2, 2, 1)
DECONV_PLANES = (256, 256)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS)


def _pointwise(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)


class ContextBlock(nn.Module):
    """Global context attention: one weighted mean of all cells, transformed, added to each cell.

    The hidden width is a sixteenth of the channels, but at least 16.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(16, channels // 16)
        self.conv_mask = nn.Conv2d(channels, 1, 1)
        self.channel_add_conv = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.LayerNorm([hidden, 1, 1]),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        weights = self.conv_mask(x).flatten(2).softmax(dim=2)  # (N, 1, H*W)
        context = torch.matmul(x.flatten(2), weights.transpose(1, 2))  # (N, C, 1)
        return x + self.channel_add_conv(context.unsqueeze(3))


class Bottleneck(nn.Module):
    """Pointwise, depthwise, pointwise (expansion 1), context attention, residual."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _pointwise(inputs, planes)
        self.bn1 = _norm(planes)
        self.conv2 = nn.Conv2d(
            planes, planes, 3, stride=stride, padding=1, groups=planes, bias=False
        )
        self.bn2 = _norm(planes)
        self.conv3 = _pointwise(planes, planes)
        self.bn3 = _norm(planes)
        self.att = ContextBlock(planes)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != planes:
            self.downsample = nn.Sequential(_pointwise(inputs, planes, stride), _norm(planes))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, planes, H/stride, W/stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.att(self.bn3(self.conv3(y)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(y + shortcut)


class LPN(nn.Module):
    """LPN with any number of blocks per stage.

    Args:
        layers: Blocks in the four stages: (3, 4, 6, 3) for LPN-50, (3, 4, 23, 3) for LPN-101,
            (3, 8, 36, 3) for LPN-152.
        joints: Heatmaps to give.
    """

    def __init__(self, layers: Sequence[int] = (3, 4, 6, 3), joints: int = 17) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = _norm(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = 64
        for index, (planes, stride, blocks) in enumerate(
            zip(STAGE_PLANES, STAGE_STRIDES, layers, strict=True), start=1
        ):
            self.add_module(f"layer{index}", _stage(inputs, planes, stride, blocks))
            inputs = planes
        self.deconv_layers = _upsampling(inputs)
        self.final_layer = nn.Conv2d(DECONV_PLANES[-1], joints, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to raw heatmaps (N, joints, H/4, W/4)."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        for index in range(1, len(STAGE_PLANES) + 1):
            x = self.get_submodule(f"layer{index}")(x)
        heatmaps: Tensor = self.final_layer(self.deconv_layers(x))
        return heatmaps


def _stage(inputs: int, planes: int, stride: int, blocks: int) -> nn.Sequential:
    first = Bottleneck(inputs, planes, stride)
    return nn.Sequential(first, *(Bottleneck(planes, planes, 1) for _ in range(blocks - 1)))


def _upsampling(inputs: int) -> nn.Sequential:
    """Two doublings, each a grouped transposed convolution followed by a pointwise one."""
    layers: list[nn.Module] = []
    for planes in DECONV_PLANES:
        layers += [
            nn.ConvTranspose2d(
                inputs,
                planes,
                4,
                stride=2,
                padding=1,
                groups=math.gcd(inputs, planes),
                bias=False,
            ),
            _norm(planes),
            nn.ReLU(inplace=True),
            _pointwise(planes, planes),
            _norm(planes),
            nn.ReLU(inplace=True),
        ]
        inputs = planes
    return nn.Sequential(*layers)
