"""Stacked hourglass: pre-activated residual blocks down to a sixteenth and back, several times.

Structure and parameter names: FPD, ``lib/models/hourglass.py`` (Newell, Yang and Deng, Stacked
Hourglass Networks for Human Pose Estimation, ECCV 2016; Zhang, Zhu and Ye, Fast Human Pose
Estimation, CVPR 2019). Every convolution has a bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from posebench.networks.resnet import batch_norm
from posebench.networks.variants import count_children, size_at

DEPTH = 4


class PreActivated(nn.Module):
    """Bottleneck with BatchNorm and ReLU before each convolution, to twice the planes.

    The shortcut carries the input as it is: neither normalised nor rectified.
    """

    def __init__(self, inputs: int, planes: int) -> None:
        super().__init__()
        self.bn1 = batch_norm(inputs)
        self.conv1 = nn.Conv2d(inputs, planes, 1)
        self.bn2 = batch_norm(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1)
        self.bn3 = batch_norm(planes)
        self.conv3 = nn.Conv2d(planes, 2 * planes, 1)
        self.downsample: nn.Module | None = None
        if inputs != 2 * planes:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, 2 * planes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, 2 * planes, H, W)."""
        y = self.conv1(F.relu(self.bn1(x)))
        y = self.conv2(F.relu(self.bn2(y)))
        y = self.conv3(F.relu(self.bn3(y)))
        shortcut: Tensor = x if self.downsample is None else self.downsample(x)
        return y + shortcut


def _residual(inputs: int, planes: int, blocks: int) -> nn.Sequential:
    first = PreActivated(inputs, planes)
    return nn.Sequential(first, *(PreActivated(2 * planes, planes) for _ in range(blocks - 1)))


class Hourglass(nn.Module):
    """One pass down and up; ``hg`` lists the levels from the coarsest to the finest.

    A level has a skip path (0), a path before (1) and one after (2) the coarser levels; the
    coarsest also has the bottom (3).
    """

    def __init__(self, features: int, blocks: int) -> None:
        super().__init__()
        levels = []
        for level in range(DEPTH):
            paths = 4 if level == 0 else 3
            levels.append(
                nn.ModuleList(_residual(features, features // 2, blocks) for _ in range(paths))
            )
        self.hg = nn.ModuleList(levels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, F, H, W) to the same shape; H and W are multiples of 16."""
        return self._pass(DEPTH - 1, x)

    def _pass(self, level: int, x: Tensor) -> Tensor:
        paths = self.hg[level]
        assert isinstance(paths, nn.ModuleList)
        skip: Tensor = paths[0](x)
        low = paths[1](F.max_pool2d(x, 2))
        low = self._pass(level - 1, low) if level > 0 else paths[3](low)
        return skip + F.interpolate(paths[2](low), scale_factor=2, mode="nearest")


class StackedHourglass(nn.Module):
    """The whole network; each stack but the last hands its features and heatmaps to the next.

    Args:
        stacks: Hourglasses in a row: 8 (teacher) or 4 (student).
        features: Channels at a quarter of the input's size: 256 or 128; a multiple of 4.
        blocks: Residual blocks in each path.
        joints: Heatmaps to give.
    """

    def __init__(
        self, stacks: int = 8, features: int = 256, blocks: int = 1, joints: int = 16
    ) -> None:
        super().__init__()
        self.variant = {
            "network": "hourglass",
            "stacks": stacks,
            "features": features,
            "blocks": blocks,
            "joints": joints,
        }
        quarter, half = features // 4, features // 2
        self.conv1 = nn.Conv2d(3, quarter, 7, stride=2, padding=3)
        self.bn1 = batch_norm(quarter)
        self.layer1 = _residual(quarter, quarter, 1)
        self.layer2 = _residual(half, half, 1)
        self.layer3 = _residual(features, half, 1)
        self.hg = nn.ModuleList(Hourglass(features, blocks) for _ in range(stacks))
        self.res = nn.ModuleList(_residual(features, half, blocks) for _ in range(stacks))
        self.fc = nn.ModuleList(_dense(features) for _ in range(stacks))
        self.score = nn.ModuleList(nn.Conv2d(features, joints, 1) for _ in range(stacks))
        self.fc_ = nn.ModuleList(nn.Conv2d(features, features, 1) for _ in range(stacks - 1))
        self.score_ = nn.ModuleList(nn.Conv2d(joints, features, 1) for _ in range(stacks - 1))

    def all_heatmaps(self, x: Tensor) -> list[Tensor]:
        """Map crops (N, 3, H, W) to one (N, joints, H/4, W/4) per stack; the last is final."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(self.layer1(x), 2)
        x = self.layer3(self.layer2(x))
        heatmaps: list[Tensor] = []
        for index, hourglass in enumerate(self.hg):
            y = self.fc[index](self.res[index](hourglass(x)))
            heatmaps.append(self.score[index](y))
            if index < len(self.fc_):
                x = x + self.fc_[index](y) + self.score_[index](heatmaps[-1])
        return heatmaps

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to the last stack's heatmaps (N, joints, H/4, W/4).

        H and W are multiples of 64.
        """
        return self.all_heatmaps(x)[-1]

    @staticmethod
    def infer_variant(state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Read from a file's names and shapes which network it holds; {} if none of the family."""
        head = "score.0.weight"
        if head not in state or "hg.0.hg.0.3.0.conv1.weight" not in state:
            return {}
        return {
            "network": "hourglass",
            "stacks": count_children(state, "hg."),
            "features": size_at(state, head, 1),
            "blocks": count_children(state, "res.0."),
            "joints": size_at(state, head, 0),
        }


def _dense(features: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(features, features, 1), batch_norm(features), nn.ReLU(inplace=True)
    )
