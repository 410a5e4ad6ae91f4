"""A network that computes nothing: what it takes is the harness's own."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from posebench.types.model import PoseModel


class NullNetwork(nn.Module):
    """Gives the same zero heatmaps whatever comes in.

    Args:
        shape: Of the heatmaps (N, K, h, w).
        device: Where they lie.
    """

    heatmaps: Tensor

    def __init__(self, shape: tuple[int, ...], device: str) -> None:
        super().__init__()
        self.register_buffer("heatmaps", torch.zeros(shape, device=device))

    def forward(self, x: Tensor) -> Tensor:
        """Return the heatmaps."""
        return self.heatmaps


def null_model(model: PoseModel, shape: tuple[int, ...], device: str) -> PoseModel:
    """Return a model with the same entry that computes nothing.

    Args:
        model: Whose place it takes.
        shape: Of its heatmaps (N, K, h, w).
        device: Where they lie.
    """
    return replace(model, network=NullNetwork(shape, device))
