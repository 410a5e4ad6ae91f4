"""Forward-only throughput and the size of a network."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from posebench.types.model import PoseModel
from posebench.types.record import Timings

WARM_UP = 3


def parameters(model: PoseModel) -> int:
    """Number of learnable parameters."""
    return sum(p.numel() for p in model.network.parameters())


def gmacs(model: PoseModel) -> float:
    """Multiply-accumulates of convolutions and linear layers for one person, in 1e9.

    What the HRNet family's pages call GFLOPs: half of what a FLOP counter reports.
    """
    from torch.utils.flop_counter import FlopCounterMode

    height, width = model.entry.input.size
    device = next(model.network.parameters()).device
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.network(torch.zeros(1, 3, height, width, device=device))
    return counter.get_total_flops() / 2e9


def measure_forward(
    model: PoseModel, *, batch_size: int = 64, iterations: int = 10, device: str = "cpu"
) -> Timings:
    """Time the network alone on random crops that already lie on the device.

    Args:
        model: Network in evaluation mode.
        batch_size: Persons a forward pass.
        iterations: Timed passes after three for warming up.
        device: ``cpu`` or ``cuda:N``.
    """
    height, width = model.entry.input.size
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(batch_size, 3, height, width, generator=generator).to(device)
    network = model.network.to(device)
    with torch.inference_mode():
        for _ in range(WARM_UP):
            network(batch)
        seconds = [_timed(network, batch, device) for _ in range(iterations)]
    low, median, high = np.percentile(seconds, [25, 50, 75])
    return Timings(
        scope="forward",
        batch_size=batch_size,
        seconds=tuple(seconds),
        persons_per_second=batch_size / float(median),
        relative_iqr=float((high - low) / median),
        device=device,
        threads=torch.get_num_threads(),
        parameters=parameters(model),
        gmacs=gmacs(model),
    )


def _timed(network: torch.nn.Module, batch: Tensor, device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    network(batch)
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
