"""HRNet: branches of four resolutions side by side, exchanged again and again.

Structure and parameter names: deep-high-resolution-net.pytorch, ``lib/models/pose_hrnet.py`` (Sun
et al., Deep High-Resolution Representation Learning for Human Pose Estimation, CVPR 2019). The
zoos of AlphaPose, FPD and LPN publish files under the same names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from posebench.networks.resnet import (
    EXPANSION,
    BasicBlock,
    batch_norm,
    bottlenecks,
    conv1x1,
    conv3x3,
)
from posebench.networks.variants import size_at

STEM_CHANNELS = 64
STEM_BLOCKS = 4
BRANCH_BLOCKS = 4
# Stages 2, 3 and 4: exchange modules in each; the stage's number is that of its branches.
STAGE_MODULES = {2: 1, 3: 4, 4: 3}


def _down(inputs: int, outputs: int, *, relu: bool = True) -> nn.Sequential:
    layers = [conv3x3(inputs, outputs, stride=2), batch_norm(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Exchange(nn.Module):
    """Residual blocks on every branch, then each output sums what all branches send it.

    Args:
        channels: Of the branches, finest first.
        outputs: How many of the branches to give, from the finest; the last module of the
            network gives one.
    """

    def __init__(self, channels: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(BRANCH_BLOCKS))) for width in channels
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_path(channels, source, target) for source in range(len(channels)))
            for target in range(outputs)
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Map branches (N, C_i, H/2^i, W/2^i) to as many of these shapes as there are outputs."""
        changed = [branch(x) for branch, x in zip(self.branches, branches, strict=True)]
        fused = []
        for row in self.fuse_layers:
            assert isinstance(row, nn.ModuleList)
            terms = [path(x) for path, x in zip(row, changed, strict=True)]
            fused.append(F.relu(sum(terms[1:], terms[0])))
        return fused


def _path(channels: Sequence[int], source: int, target: int) -> nn.Module:
    """What branch ``source`` passes on its way to branch ``target``."""
    if source == target:
        return nn.Identity()
    outputs = channels[target]
    if source > target:
        return nn.Sequential(
            conv1x1(channels[source], outputs),
            batch_norm(outputs),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    # all halvings but the last keep the width and end in a ReLU
    inputs = channels[source]
    steps = [_down(inputs, inputs) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, _down(inputs, outputs, relu=False))


class HRNetBackbone(nn.Module):
    """The network without its head: features at a quarter of the input's size.

    Args:
        width: Channels of the finest branch (32 or 48 in the zoos); each further branch has
            twice as many.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.width = width
        self.conv1 = conv3x3(3, STEM_CHANNELS, stride=2)
        self.bn1 = batch_norm(STEM_CHANNELS)
        self.conv2 = conv3x3(STEM_CHANNELS, STEM_CHANNELS, stride=2)
        self.bn2 = batch_norm(STEM_CHANNELS)
        self.layer1 = bottlenecks(STEM_CHANNELS, STEM_CHANNELS, STEM_BLOCKS)
        previous = [STEM_CHANNELS * EXPANSION]
        for branches, modules in STAGE_MODULES.items():
            channels = [width * 2**index for index in range(branches)]
            self.add_module(f"transition{branches - 1}", _transition(previous, channels))
            last = 1 if branches == max(STAGE_MODULES) else branches
            outputs = [branches] * (modules - 1) + [last]
            stage = nn.Sequential(*(Exchange(channels, count) for count in outputs))
            self.add_module(f"stage{branches}", stage)
            previous = channels

    def features(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to (N, width, H/4, W/4); H and W are multiples of 32."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        branches = [self.layer1(x)]
        for count in STAGE_MODULES:
            transition = self.get_submodule(f"transition{count - 1}")
            assert isinstance(transition, nn.ModuleList)
            # every branch goes on as itself, the new one grows from the coarsest
            sources = [*branches, *branches[-1:] * (count - len(branches))]
            branches = [path(y) for path, y in zip(transition, sources, strict=True)]
            branches = self.get_submodule(f"stage{count}")(branches)
        return branches[0]

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to (N, width, H/4, W/4); H and W are multiples of 32."""
        return self.features(x)


def _transition(previous: Sequence[int], channels: Sequence[int]) -> nn.ModuleList:
    """Paths from a stage's outputs to the next stage's branches, one of which is new."""
    paths: list[nn.Module] = []
    for index, width in enumerate(channels):
        if index >= len(previous):
            paths.append(nn.Sequential(_down(previous[-1], width)))
        elif previous[index] != width:
            conv = conv3x3(previous[index], width)
            paths.append(nn.Sequential(conv, batch_norm(width), nn.ReLU(inplace=True)))
        else:
            paths.append(nn.Identity())
    return nn.ModuleList(paths)


class HRNet(HRNetBackbone):
    """HRNet with a pointwise head.

    Args:
        width: Channels of the finest branch.
        joints: Heatmaps to give.
    """

    def __init__(self, width: int = 32, joints: int = 17) -> None:
        super().__init__(width)
        self.variant = {"network": "hrnet", "width": width, "joints": joints}
        self.final_layer = nn.Conv2d(width, joints, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to raw heatmaps (N, joints, H/4, W/4)."""
        heatmaps: Tensor = self.final_layer(self.features(x))
        return heatmaps

    @staticmethod
    def infer_variant(state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Read from a file's names and shapes which network it holds; {} if none of the family."""
        names = ("transition1.0.0.weight", "final_layer.weight")
        if any(name not in state for name in names):
            return {}
        width, joints = (size_at(state, name, 0) for name in names)
        return {"network": "hrnet", "width": width, "joints": joints}
