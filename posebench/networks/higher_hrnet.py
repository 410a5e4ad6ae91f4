"""HigherHRNet: HRNet with heatmaps of two sizes and tags that tell persons apart.

Structure: PaddleDetection ``ppdet/modeling/heads/keypoint_hrhrnet_head.py`` (Cheng et al.,
HigherHRNet, CVPR 2020; Luo et al., SWAHR, CVPR 2021). The backbone carries the names of
``posebench.networks.hrnet``, the head Paddle's, but for its blocks and statistics.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posebench.networks.hrnet import HRNetBackbone
from posebench.networks.resnet import BasicBlock, batch_norm

HEAD_BLOCKS = 4
SCALE_KERNEL = 9


class HigherHead(nn.Module):
    """Heatmaps and tags at the backbone's size, from both together heatmaps at twice that size.

    Args:
        width: Channels of the features.
        joints: Heatmaps to give, and as many tag maps.
        scale_layers: Have the layers by which SWAHR's training chooses the size of its targets.
    """

    def __init__(self, width: int, joints: int, *, scale_layers: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, 2 * joints, 1)
        self.conv2 = nn.Conv2d(width, joints, 1)
        self.deconv = nn.Sequential(
            nn.ConvTranspose2d(2 * joints + width, width, 4, stride=2, padding=1, bias=False),
            batch_norm(width),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.Sequential(*(BasicBlock(width) for _ in range(HEAD_BLOCKS)))
        if scale_layers:
            self.scalelayer0 = _scale_layer(width, joints)
            self.scalelayer1 = _scale_layer(width, joints)

    def forward(self, features: Tensor) -> list[Tensor]:
        """Map (N, width, h, w) to (N, 2 joints, h, w) and (N, joints, 2h, 2w)."""
        coarse = self.conv1(features)
        fine = self.conv2(self.blocks(self.deconv(torch.cat([features, coarse], dim=1))))
        return [coarse, fine]


def _scale_layer(width: int, joints: int) -> nn.Sequential:
    wide = nn.Conv2d(joints, joints, SCALE_KERNEL, padding=SCALE_KERNEL // 2, groups=joints)
    return nn.Sequential(
        nn.Conv2d(width, joints, 1), batch_norm(joints), nn.ReLU(inplace=True), wide
    )


class HigherHRNet(HRNetBackbone):
    """HigherHRNet without the grouping of joints into persons.

    Args:
        width: Channels of HRNet's finest branch.
        joints: Heatmaps to give, and as many tag maps.
        scale_layers: The file has SWAHR's scale layers (``training_only``).

    Attributes:
        training_only: Names of the parts that are loaded and compared like all others, but serve
            the training loss alone: no output depends on them.
    """

    def __init__(self, width: int = 32, joints: int = 17, scale_layers: bool = False) -> None:
        super().__init__(width)
        self.joints = joints
        self.hrhrnet_head = HigherHead(width, joints, scale_layers=scale_layers)
        scales = ("hrhrnet_head.scalelayer0", "hrhrnet_head.scalelayer1")
        self.training_only: tuple[str, ...] = scales if scale_layers else ()

    def all_heatmaps(self, x: Tensor) -> list[Tensor]:
        """Return what the head gives and what the original makes of it.

        Args:
            x: (N, 3, H, W); H and W are multiples of 32.

        Returns:
            Heatmaps and tags (N, 2 joints, H/4, W/4), finer heatmaps (N, joints, H/2, W/2), the
            mean of both heatmaps and the enlarged tags (N, joints, H/2, W/2 each).
        """
        coarse, fine = self.hrhrnet_head(self.features(x))
        enlarged = F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
        heatmaps, tags = enlarged.split(self.joints, dim=1)
        return [coarse, fine, (heatmaps + fine) / 2, tags]

    def forward(self, x: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to (N, 2 joints, H/2, W/2): mean heatmaps, then tags."""
        return torch.cat(self.all_heatmaps(x)[2:], dim=1)
