"""A network that finds a red and a blue dot, a decoder, and a runtime."""

import torch
from torch import nn


class DotsNet(nn.Module):
    """(N, 3, H, W) crops in red, green, blue -> (N, 2, H/4, W/4) heatmaps."""

    def __init__(self, gain):
        super().__init__()
        self.redder = nn.Conv2d(3, 2, 1)
        weights = gain * torch.tensor([[2.0, -1.0, -1.0], [-1.0, -1.0, 2.0]])
        self.redder.weight.data = weights[:, :, None, None]
        self.redder.bias.data.zero_()

    def forward(self, crops):
        return nn.functional.avg_pool2d(self.redder(crops).relu(), 4)


def mean_cell(heatmaps, protocol):
    """Mean cell (N, K, 2) under the heatmap, x before y, and its peak (N, K)."""
    weights = heatmaps / heatmaps.sum(dim=(2, 3), keepdim=True).clamp(min=1e-9)
    rows, columns = (torch.arange(n, device=heatmaps.device) for n in heatmaps.shape[2:])
    x, y = (weights.sum(2) * columns).sum(-1), (weights.sum(3) * rows).sum(-1)
    return torch.stack([x, y], dim=-1), heatmaps.amax((2, 3))


def torchscript(network, shape, threads):
    """Compute the network as a traced graph; return the function and the runtime's version."""
    with torch.no_grad():
        graph = torch.jit.trace(network, torch.zeros(shape))

    def compute(crops):
        with torch.inference_mode():
            return graph(torch.from_numpy(crops)).numpy()

    return compute, f"torchscript {torch.__version__}"
