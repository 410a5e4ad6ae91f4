"""ResNets of GluonCV's pose models, v1b and v1d, as lists of numbered layers.

Structure and parameter names: GluonCV ``gluoncv/model_zoo/resnetv1b.py`` (He et al., CVPR 2016;
v1d after He et al., Bag of Tricks for Image Classification, arXiv:1812.01187). In v1d three small
convolutions take the place of the 7x7 one, and shortcuts average before their 1x1 convolution,
so that none of their input is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from posebench.networks.resnet import (
    EXPANSION,
    LAYERS,
    STAGE_PLANES,
    STEM_CHANNELS,
    Bottleneck,
    batch_norm,
    bottlenecks,
    conv1x1,
    conv3x3,
)
from posebench.types.errors import UserError

STAGE_STRIDES = (1, 2, 2, 2)
# The one depth that pose models have without bottlenecks.
SHALLOW = {18: (2, 2, 2, 2)}
STEMS = ("v1b", "v1d")
DEEP_STEM = 32

Stem = Literal["v1b", "v1d"]


class StridedBasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected where shapes differ."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(inputs, planes, stride)
        self.bn1 = batch_norm(planes)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = batch_norm(planes)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != planes:
            self.downsample = nn.Sequential(conv1x1(inputs, planes, stride), batch_norm(planes))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, planes, H/stride, W/stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + shortcut)


def resnet_layers(layers: int, stem: Stem) -> tuple[list[nn.Module], int]:
    """Build a ResNet without its classifier.

    Args:
        layers: 50, 101 or 152, or 18 with the stem v1b.
        stem: ``v1b`` or ``v1d``, which also says how shortcuts shrink.

    Returns:
        The eight parts of a sequence (0 convolution, 1 BatchNorm, 2 ReLU, 3 pooling, 4 to 7
        stages) that maps (N, 3, H, W) to (N, channels, H/32, W/32), and these channels.

    Raises:
        UserError: There is no such ResNet.
    """
    known = {*LAYERS, *(SHALLOW if stem == "v1b" else ())}
    if layers not in known or stem not in STEMS:
        raise UserError(
            f"There is no Gluon ResNet of {layers!r} layers with the stem {stem!r}.",
            f"It comes with {', '.join(map(str, sorted(known)))} layers; stems: v1b, v1d.",
        )
    parts: list[nn.Module] = [
        nn.Conv2d(3, STEM_CHANNELS, 7, stride=2, padding=3, bias=False)
        if stem == "v1b"
        else _deep_stem(),
        batch_norm(STEM_CHANNELS),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
    ]
    if layers in SHALLOW:
        return [*parts, *_shallow_stages(SHALLOW[layers])], STAGE_PLANES[-1]
    inputs = STEM_CHANNELS
    for planes, stride, blocks in zip(STAGE_PLANES, STAGE_STRIDES, LAYERS[layers], strict=True):
        stage = bottlenecks(inputs, planes, blocks, stride)
        if stem == "v1d":
            _average_shortcut(stage[0], inputs, planes * EXPANSION, stride)
        parts.append(stage)
        inputs = planes * EXPANSION
    return parts, inputs


def read_resnet(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Tell from the names of a file which of these ResNets it holds.

    Args:
        state: Names of tensors, as keys.
        prefix: What stands before the numbers of the parts, with its dot.

    Returns:
        ``layers`` (None for a number of blocks that none has) and ``stem``; {} where the file
        holds no such sequence.
    """
    stems = {"v1b": f"{prefix}0.weight", "v1d": f"{prefix}0.0.weight"}
    stem = next((stem for stem, name in stems.items() if name in state), None)
    if stem is None:
        return {}
    own = (name.removeprefix(prefix) for name in state if name.startswith(prefix))
    blocks = {".".join(name.split(".")[:2]) for name in own}
    count = tuple(sum(block.startswith(f"{stage}.") for block in blocks) for stage in "4567")
    known = LAYERS if f"{prefix}4.0.conv3.weight" in state else SHALLOW
    layers = next((number for number, each in known.items() if each == count), None)
    return {"layers": layers, "stem": stem}


def _deep_stem() -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, stride in ((3, 2), (DEEP_STEM, 1)):
        layers += [
            conv3x3(inputs, DEEP_STEM, stride),
            batch_norm(DEEP_STEM),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, conv3x3(DEEP_STEM, STEM_CHANNELS))


def _shallow_stages(blocks: tuple[int, ...]) -> list[nn.Module]:
    stages: list[nn.Module] = []
    inputs = STEM_CHANNELS
    for planes, stride, count in zip(STAGE_PLANES, STAGE_STRIDES, blocks, strict=True):
        first = StridedBasicBlock(inputs, planes, stride)
        rest = (StridedBasicBlock(planes, planes, 1) for _ in range(count - 1))
        stages.append(nn.Sequential(first, *rest))
        inputs = planes
    return stages


def _average_shortcut(block: nn.Module, inputs: int, outputs: int, stride: int) -> None:
    """Let a stage's first block average its shortcut, by no cells at all in the first stage."""
    assert isinstance(block, Bottleneck)
    pool = nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)
    block.downsample = nn.Sequential(pool, conv1x1(inputs, outputs), batch_norm(outputs))
