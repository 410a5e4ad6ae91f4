"""Clocks that do as they are told, and cells to time."""

from __future__ import annotations

from collections.abc import Sequence

import make
import numpy as np

from posebench.timing import benchmark, end_to_end, forward
from posebench.timing.clocks import Effort
from posebench.timing.complexity import Complexity
from posebench.types.timing import BenchmarkConfiguration, Timings


def shorten(monkeypatch, iterations: int) -> None:
    """So few iterations that timing a model takes less than a second."""
    effort = Effort(iterations=iterations, seconds=0.0, agreeing=2, warm_up=2)
    for module in (forward, end_to_end):
        for name in ("QUICK", "NULL"):
            monkeypatch.setattr(module, name, effort)
    monkeypatch.setattr(forward, "matrix_product_rate", lambda clock, device, dtype: 1e12)
    monkeypatch.setattr(benchmark.torch, "set_num_threads", lambda count: None)


class SetClock:
    """Gives the seconds it was told, the last of them for ever; counts what it was asked."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = list(seconds)
        self.asked: list[int] = []

    def samples(self, work, count: int) -> list[float]:
        self.asked.append(count)
        found = []
        for _ in range(count):
            work()
            found.append(self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0])
        return found


class Ticks:
    """``now`` of a clock that moves by given steps, the last of them for ever."""

    def __init__(self, *steps: float) -> None:
        self.steps = list(steps)
        self.moment = 0.0

    def __call__(self) -> float:
        self.moment += self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        return self.moment


def cell(**changes) -> BenchmarkConfiguration:
    fields = {"device": "cpu", "hardware": "a processor", "batch_size": 2, "threads": 1}
    return BenchmarkConfiguration(**(fields | {"quick": True} | changes))


def cost() -> Complexity:
    """Of the probe network at 64x48."""
    network = make.Probe()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    macs = network.conv.weight.numel() * 16 * 12
    return Complexity(parameters, macs, macs, (64, 48))


def timings(seconds: Sequence[float] = (0.1, 0.1, 0.2), **changes) -> Timings:
    fields = {
        "scope": "forward",
        "batch_size": 64,
        "seconds": tuple(seconds),
        "persons_per_second": 64 / float(np.median(seconds)),
        "relative_iqr": 0.02,
        "device": "cpu",
        "threads": 2,
        "parameters": 1_234_567,
        "gmacs": 0.5,
        "percentiles": {"p50": 0.1, "p99": 0.2},
    }
    return Timings(**(fields | changes))
