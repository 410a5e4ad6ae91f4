"""GluonCV's mobile_pose: a classifier's layers, then three doublings by pixel shuffle.

Structure and parameter names: GluonCV ``gluoncv/model_zoo/mobile_pose/mobile_pose.py``. Names
are Gluon's structural ones, with PyTorch's words for a BatchNorm's weight and bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from posebench.networks.fastpose import UPSCALE, DenseUpsampling
from posebench.networks.gluon_resnet import resnet_layers
from posebench.networks.mobilenets import (
    LARGE,
    SMALL,
    Layers,
    mobilenet_layers,
    mobilenet_v2_layers,
    mobilenet_v3_layers,
)
from posebench.networks.resnet import conv1x1

NECK = 256
# Channels before each of the three pixel shuffles.
SHUFFLED = (512, 256, 128)


def _nested(layers: Layers) -> Layers:
    """Return the layers as one part: GluonCV adds a slice of a MobileNet as a single child."""
    parts, channels = layers
    return [nn.Sequential(*parts)], channels


BACKBONES: dict[str, Callable[[], Layers]] = {
    "resnet18_v1b": partial(resnet_layers, 18, "v1b"),
    "resnet50_v1b": partial(resnet_layers, 50, "v1b"),
    "mobilenet1.0": lambda: _nested(mobilenet_layers()),
    "mobilenetv2_1.0": lambda: _nested(mobilenet_v2_layers()),
    "mobilenetv3_large": lambda: _nested(mobilenet_v3_layers(LARGE)),
    "mobilenetv3_small": lambda: _nested(mobilenet_v3_layers(SMALL)),
}
# Channels that come out of each, as many as those of no other: they tell what a file holds.
CHANNELS = {
    512: "resnet18_v1b",
    2048: "resnet50_v1b",
    1024: "mobilenet1.0",
    1280: "mobilenetv2_1.0",
    960: "mobilenetv3_large",
    576: "mobilenetv3_small",
}


class MobilePose(nn.Module):
    """mobile_pose on one of six backbones.

    Args:
        backbone: A key of ``BACKBONES``.
        joints: Heatmaps to give.
    """

    def __init__(self, backbone: str, joints: int = 17) -> None:
        super().__init__()
        self.variant = {"backbone": backbone, "joints": joints}
        parts, channels = BACKBONES[backbone]()
        self.features = nn.Sequential(*parts)
        layers: list[nn.Module] = [conv1x1(channels, NECK)]
        channels = NECK
        for planes in SHUFFLED:
            layers.append(DenseUpsampling(channels, planes))
            channels = planes // UPSCALE**2
        self.upsampling = nn.Sequential(*layers, conv1x1(channels, joints))

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to raw heatmaps (N, joints, H/4, W/4)."""
        heatmaps: Tensor = self.upsampling(self.features(x))
        return heatmaps

    @staticmethod
    def infer_variant(state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Read from a file's names and shapes which network it holds; {} if none of the family."""
        first, last = (state.get(f"upsampling.{index}.weight") for index in (0, 4))
        if first is None or last is None or first.ndim != 4 or last.ndim != 4:
            return {}
        return {"backbone": CHANNELS.get(first.shape[1]), "joints": last.shape[0]}
