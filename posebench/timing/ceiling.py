"""What the machine could do at best: the rate of one large matrix product."""

from __future__ import annotations

import torch

from posebench.timing.clocks import Clock

# Sides large enough for the full rate (1,024 to 4,096 gave the same on processors) and small
# enough for a few to take less than a second.
SIDES = {"cpu": 2048, "cuda": 8192}
REPEATS = 4


def matrix_product_rate(
    clock: Clock, device: str, dtype: torch.dtype, side: int | None = None
) -> float:
    """Return the best of a few square products, FLOP/s.

    Args:
        clock: Of the device.
        device: ``cpu`` or ``cuda:N``; whether float32 is rounded there is torch's setting.
        dtype: Of the factors.
        side: Of the matrices; by default one that suits the device.
    """
    side = side or SIDES[device.partition(":")[0]]
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(side, side, generator=generator).to(device, dtype) for _ in range(2))
    with torch.inference_mode():
        # the first one also sets up the library
        clock.samples(lambda: left @ right, 1)
        best = min(clock.samples(lambda: left @ right, REPEATS))
    return 2.0 * side**3 / best
