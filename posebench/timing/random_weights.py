"""Weights for timing a network whose file is not at hand.

Speed does not depend on them as long as activations stay ordinary numbers, but the comparison
with the plain network does: outputs must depend on the input, stay finite in 16 bits, and not
multiply rounding.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from posebench.networks import deterministic_weights
from posebench.types.model import PoseModel

# The larger, the more an output says about the input; the first whose outputs stay below PEAK is
# taken: 0.5 for eight stacked hourglasses, 1.2 for MobileNets (at 1.4 one multiplies rounding).
GAINS = (1.2, 1.0, 0.8, 0.65, 0.5)
PEAK = 100.0
# Offsets of deformable convolutions start at zero in training; large ones read noise.
OFFSETS = 0.05
NOTE = "random weights: the outputs mean nothing, the speed does not depend on them"


def weighted(model: PoseModel) -> PoseModel:
    """Return a model without weights with the same random ones every time, and a note.

    A model that has weights is returned as it is.
    """
    if model.coverage is not None:
        return model
    state = model.network.state_dict()
    with torch.no_grad():
        for name, tensor in state.items():
            values = np.asarray(
                deterministic_weights.parameter(name, tuple(tensor.shape), GAINS[0])
            )
            tensor.copy_(torch.from_numpy(values))
            if "offset" in name:
                tensor.mul_(OFFSETS)
        _calm(model.network, state, model.entry.input.size)
    return replace(model, notes=(*model.notes, NOTE))


def _calm(network: nn.Module, state: dict[str, Tensor], size: tuple[int, int]) -> None:
    """Lower the gain until the outputs stay small."""
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    for gain, lower in pairwise(GAINS):
        if network(image).abs().max() < PEAK:
            return
        for tensor in state.values():
            if tensor.ndim > 1:
                tensor.mul_(lower / gain)
