"""Simple Baseline: a ResNet and three transposed convolutions.

Xiao, Wu and Wei, Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018. Parameter
names: HRNet's authors, ``lib/models/pose_resnet.py`` (``ResNetPose``); AlphaPose,
``alphapose/models/simplepose.py`` (``SimplePose``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from posebench.networks.resnet import OUTPUTS, ResNet, batch_norm, count_layers
from posebench.networks.variants import size_at

DECONV_PLANES = (256, 256, 256)


def deconvolutions(inputs: int) -> nn.Sequential:
    """Three doublings of the size, to 256 channels each."""
    layers: list[nn.Module] = []
    for planes in DECONV_PLANES:
        layers += [
            nn.ConvTranspose2d(inputs, planes, 4, stride=2, padding=1, bias=False),
            batch_norm(planes),
            nn.ReLU(inplace=True),
        ]
        inputs = planes
    return nn.Sequential(*layers)


class ResNetPose(ResNet):
    """Simple Baseline under the names of HRNet's authors.

    Args:
        layers: 50, 101 or 152.
        joints: Heatmaps to give.
    """

    def __init__(self, layers: int = 50, joints: int = 17) -> None:
        super().__init__(layers)
        self.variant = {"network": "resnet_pose", "layers": layers, "joints": joints}
        self.deconv_layers = deconvolutions(OUTPUTS)
        self.final_layer = nn.Conv2d(DECONV_PLANES[-1], joints, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to raw heatmaps (N, joints, H/4, W/4)."""
        heatmaps: Tensor = self.final_layer(self.deconv_layers(self.features(x)))
        return heatmaps

    @staticmethod
    def infer_variant(state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Read from a file's names and shapes which network it holds; {} if none of the family."""
        return _infer(state)


class SimplePose(nn.Module):
    """The same network under AlphaPose's names: the backbone is ``preact``.

    Args:
        layers: 50, 101 or 152.
        joints: Heatmaps to give.
    """

    def __init__(self, layers: int = 50, joints: int = 17) -> None:
        super().__init__()
        self.variant = {"network": "simple_pose", "layers": layers, "joints": joints}
        self.preact = ResNet(layers)
        self.deconv_layers = deconvolutions(OUTPUTS)
        self.final_layer = nn.Conv2d(DECONV_PLANES[-1], joints, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to raw heatmaps (N, joints, H/4, W/4)."""
        heatmaps: Tensor = self.final_layer(self.deconv_layers(self.preact(x)))
        return heatmaps

    @staticmethod
    def infer_variant(state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Read from a file's names and shapes which network it holds; {} if none of the family."""
        return _infer(state)


def _infer(state: Mapping[str, Tensor]) -> dict[str, Any]:
    if "final_layer.weight" not in state or "deconv_layers.0.weight" not in state:
        return {}
    nested = "preact.conv1.weight" in state
    return {
        "network": "simple_pose" if nested else "resnet_pose",
        "layers": count_layers(state, "preact." if nested else ""),
        "joints": size_at(state, "final_layer.weight", 0),
    }
