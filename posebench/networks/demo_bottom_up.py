"""The small bottom-up network that ships inside the package.

An encoder and decoder of the blocks of ``posebench.networks.demo`` with the outputs of
``posebench.networks.higher_hrnet``: heatmaps of two sizes in one, and tags that tell persons
apart.  Few channels cannot see a whole person and remember where they are, so the network is
told where: two planes of coordinates (Liu et al., "An intriguing failing of convolutional neural
networks and the CoordConv solution", NeurIPS 2018) stand beside the features wherever tags are
made.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posebench.networks.demo import Bottleneck, Residual

CELL = 4  # input px of a cell of the coarse heatmaps and of the coordinate planes
UNIT = 32.0  # px a coordinate plane counts as one
# A joint covers a few cells in ten thousand: a sigmoid that starts there starts near its goal.
RARE = -4.0


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def coordinates(like: Tensor, step: float) -> Tensor:
    """Return planes of x and y, counted from the middle of the map in units of 32 px.

    Args:
        like: (N, C, H, W), for number, size, device and type.
        step: Input px a cell.

    Returns:
        (N, 2, H, W).
    """
    number, _, height, width = like.shape
    sides = [(torch.arange(n, device=like.device) - (n - 1) / 2) * (step / UNIT)
             for n in (height, width)]  # fmt: skip
    y, x = torch.meshgrid(*sides, indexing="ij")
    return torch.stack([x, y]).to(like.dtype).expand(number, 2, height, width)


class DemoBottomUp(nn.Module):
    """Small network for whole images.

    Args:
        width: Channels at stride 4; stride 8 has twice as many, stride 16 and 32 52.
        joints: Heatmaps to give, and as many tag maps.
    """

    def __init__(self, width: int = 24, joints: int = 17) -> None:
        super().__init__()
        self.joints = joints
        middle, coarse = 2 * width, 52
        self.stem = nn.Sequential(_conv(3, 16, 3, 2), _conv(16, width, 3, 2))
        self.fine = Residual(width)
        self.down8 = _conv(width, middle, 3, 2)
        self.middle = Bottleneck(middle)
        self.down16 = nn.Sequential(nn.AvgPool2d(2), _conv(middle + 2, coarse, 1))
        self.coarse = nn.Sequential(*(Bottleneck(coarse) for _ in range(2)))
        self.whole = Bottleneck(coarse)
        self.up8 = _conv(coarse, middle, 1)
        self.merge8 = Bottleneck(middle)
        self.up4 = _conv(middle, width, 1)
        self.merge4 = Residual(width)
        self.head = nn.Conv2d(width + 2, 2 * joints, 1)
        self.enlarge = nn.Sequential(
            nn.ConvTranspose2d(2 * joints + width, 16, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
        )
        self.finest = Residual(16)
        self.fine_head = nn.Conv2d(16, joints, 1)
        self._start()

    def _start(self) -> None:
        """Let nothing be a joint and every tag be a place, as training can only improve on."""
        with torch.no_grad():
            for head in (self.head, self.fine_head):
                head.weight.mul_(0.1)
                head.bias.zero_()  # type: ignore[union-attr]
                head.bias[: self.joints] = RARE  # type: ignore[index]
            self.head.weight[self.joints :, -2] = 1.0
            self.head.weight[self.joints :, -1] = 0.5

    def features(self, image: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, width, H / 4, W / 4)."""
        fine = self.fine(self.stem(image))
        middle = self.middle(self.down8(fine))
        coarse = self.coarse(self.down16(torch.cat([middle, coordinates(middle, 8)], dim=1)))
        coarse = coarse + F.interpolate(self.whole(F.avg_pool2d(coarse, 2)), scale_factor=2.0)
        middle = self.merge8(middle + F.interpolate(self.up8(coarse), scale_factor=2.0))
        return self.merge4(fine + F.interpolate(self.up4(middle), scale_factor=2.0))

    def logits(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the heads give before they are joined.

        Args:
            image: (N, 3, H, W).

        Returns:
            Heatmaps and tags (N, 2 joints, H / 4, W / 4) and finer heatmaps (N, joints, H / 2,
            W / 2), heatmaps before their sigmoid.
        """
        features = self.features(image)
        coarse = self.head(torch.cat([features, coordinates(features, CELL)], dim=1))
        fine = self.fine_head(self.finest(self.enlarge(torch.cat([features, coarse], dim=1))))
        return coarse, fine

    def forward(self, image: Tensor) -> Tensor:
        """Map whole images to heatmaps and tags.

        Args:
            image: (N, 3, H, W) float, RGB, ImageNet mean and standard deviation; H and W are
                multiples of 64.

        Returns:
            (N, 2 joints, H / 2, W / 2): heatmaps in 0..1, mean of both sizes, then tags.
        """
        coarse, fine = self.logits(image)
        enlarged = F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
        heatmaps, tags = enlarged.split(self.joints, dim=1)
        return torch.cat([(heatmaps.sigmoid() + fine.sigmoid()) / 2, tags], dim=1)
