"""GluonCV's simple_pose: a ResNet, three transposed convolutions and a 1x1 convolution.

Structure and parameter names: GluonCV ``gluoncv/model_zoo/simple_pose/simple_pose_resnet.py``
(Xiao, Wu and Wei, Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018). Names are
Gluon's structural ones, with PyTorch's words for a BatchNorm's weight and bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from posebench.networks.gluon_resnet import Stem, read_resnet, resnet_layers
from posebench.networks.resnet_pose import DECONV_PLANES, deconvolutions


class GluonSimplePose(nn.Module):
    """Simple Baselines on a v1b or v1d ResNet.

    Args:
        layers: 50, 101 or 152, or 18 with the stem v1b.
        stem: ``v1b`` or ``v1d``.
        joints: Heatmaps to give.

    Raises:
        UserError: There is no ResNet of so many layers with this stem.
    """

    def __init__(self, layers: int, stem: Stem, joints: int = 17) -> None:
        super().__init__()
        self.variant = {"layers": layers, "stem": stem, "joints": joints}
        parts, channels = resnet_layers(layers, stem)
        self.resnet = nn.Sequential(*parts)
        self.deconv_layers = deconvolutions(channels)
        self.final_layer = nn.Conv2d(DECONV_PLANES[-1], joints, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to raw heatmaps (N, joints, H/4, W/4)."""
        heatmaps: Tensor = self.final_layer(self.deconv_layers(self.resnet(x)))
        return heatmaps

    @staticmethod
    def infer_variant(state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Read from a file's names and shapes which network it holds; {} if none of the family."""
        final = state.get("final_layer.weight")
        found = read_resnet(state, "resnet.")
        if final is None or final.ndim != 4 or not found:
            return {}
        return {**found, "joints": final.shape[0]}
