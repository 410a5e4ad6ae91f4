"""AlphaPose's FastPose: a ResNet with channel attention, enlarged by pixel shuffles.

Structure and parameter names: AlphaPose ``alphapose/models/fastpose.py`` and
``fastpose_duc.py`` (Fang et al., AlphaPose, TPAMI 2022). Wherever the zoo's table and its
configuration files disagree about a model, its file decides: ``infer_variant``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from posebench.networks.resnet import OUTPUTS, Extras, ResNet, batch_norm, conv3x3, count_layers
from posebench.networks.variants import size_at

UPSCALE = 2
# Channels before the first and the second dense upsampling of FastPose; the second's result is
# the width of the head (CONV_DIM in AlphaPose's configurations).
FIRST_PLANES = 1024
# Convolutions and output planes of FastPose_DUC's three stages: 4, 2, 1 ("fast_421").
DUC_STAGES = ((4, 1024), (2, 512), (1, 256))
BACKBONES = {"shuffle": Extras(se=True, unshuffle=True), "se": Extras(se=True)}


class DenseUpsampling(nn.Module):
    """3x3 convolution, BatchNorm, ReLU, and only then the shuffle of channels into cells."""

    def __init__(self, inputs: int, planes: int) -> None:
        super().__init__()
        self.conv = conv3x3(inputs, planes)
        self.bn = batch_norm(planes)
        self.relu = nn.ReLU(inplace=True)
        self.pixel_shuffle = nn.PixelShuffle(UPSCALE)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, H, W) to (N, planes / 4, 2H, 2W)."""
        y: Tensor = self.pixel_shuffle(self.relu(self.bn(self.conv(x))))
        return y


class FastPose(nn.Module):
    """FastPose.

    Args:
        layers: 50, 101 or 152.
        deformable: Deformable convolutions in the last three stages.
        head: Channels before the last convolution, 128 or 256.
        joints: Heatmaps to give.
    """

    def __init__(
        self, layers: int = 50, deformable: bool = False, head: int = 128, joints: int = 17
    ) -> None:
        super().__init__()
        self.variant = {
            "network": "fastpose",
            "layers": layers,
            "deformable": deformable,
            "head": head,
            "joints": joints,
            "se": True,
        }
        self.preact = ResNet(layers, Extras(se=True, deformable=deformable))
        self.shuffle1 = nn.PixelShuffle(UPSCALE)
        self.duc1 = DenseUpsampling(OUTPUTS // UPSCALE**2, FIRST_PLANES)
        self.duc2 = DenseUpsampling(FIRST_PLANES // UPSCALE**2, head * UPSCALE**2)
        self.conv_out = nn.Conv2d(head, joints, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to raw heatmaps (N, joints, H/4, W/4)."""
        x = self.shuffle1(self.preact(x))
        heatmaps: Tensor = self.conv_out(self.duc2(self.duc1(x)))
        return heatmaps

    @staticmethod
    def infer_variant(state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Read from a file's names and shapes which network it holds; {} if none of the family."""
        return infer_variant(state)


class FastPoseDUC(nn.Module):
    """FastPose_DUC: shuffles first, then convolutions at the larger size.

    Args:
        layers: 50, 101 or 152.
        backbone: ``shuffle`` (halves by pixel unshuffle) or ``se``; both with channel attention.
        joints: Heatmaps to give.
    """

    def __init__(self, layers: int = 50, backbone: str = "shuffle", joints: int = 17) -> None:
        super().__init__()
        self.variant = {
            "network": "fastpose_duc",
            "layers": layers,
            "backbone": backbone,
            "joints": joints,
        }
        self.preact = ResNet(layers, BACKBONES[backbone])
        inputs = OUTPUTS
        for index, (convolutions, planes) in enumerate(DUC_STAGES, start=1):
            self.add_module(f"duc{index}", _duc_stage(inputs, convolutions, planes))
            inputs = planes
        self.conv_out = nn.Conv2d(inputs, joints, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) to raw heatmaps (N, joints, H/4, W/4)."""
        x = self.preact(x)
        for index in range(1, len(DUC_STAGES) + 1):
            x = self.get_submodule(f"duc{index}")(x)
        heatmaps: Tensor = self.conv_out(x)
        return heatmaps

    @staticmethod
    def infer_variant(state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Read from a file's names and shapes which network it holds; {} if none of the family."""
        return infer_variant(state)


def _duc_stage(inputs: int, convolutions: int, outputs: int) -> nn.Sequential:
    """Shuffle, then convolutions that keep the width until the last one sets it."""
    width = inputs // UPSCALE**2
    layers: list[nn.Module] = [nn.PixelShuffle(UPSCALE)]
    for planes in [width] * (convolutions - 1) + [outputs]:
        layers += [conv3x3(width, planes), batch_norm(planes), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def infer_variant(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tell the members of the family apart by what a checkpoint holds.

    Args:
        state: The file's own names to tensors.

    Returns:
        ``network`` and its arguments: ``fastpose`` with layers, deformable, head, joints and
        ``se`` (whether channel attention is there, as this network always has it), or
        ``fastpose_duc`` with layers, backbone and joints. Layers are None where no known number
        fits. {} if the file is of another family.
    """
    if "conv_out.weight" not in state:
        return {}
    joints, head = (size_at(state, "conv_out.weight", axis) for axis in (0, 1))
    layers = count_layers(state, "preact.")
    se = any(".se.fc." in name for name in state)
    if any(name.startswith("duc3.") for name in state):
        unshuffled = "preact.layer2.0.conv2.1.weight" in state
        backbone = ("shuffle" if unshuffled else "se") if se else "plain"
        return {"network": "fastpose_duc", "layers": layers, "backbone": backbone, "joints": joints}
    deformable = any(".conv2_offset." in name for name in state)
    return {
        "network": "fastpose",
        "layers": layers,
        "deformable": deformable,
        "head": head,
        "joints": joints,
        "se": se,
    }
