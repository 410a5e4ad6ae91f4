"""Clocks, warming up, and what samples say: medians, spread, and whether to believe them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

Work = Callable[[], object]

STEADY = 0.05  # relative interquartile range above which a figure is flagged
AGREEMENT = 0.05  # relative range of the last iterations that ends warming up
MILLI = 1e-3


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        iterations: Timed at least.
        seconds: Timed at least, in all.
        agreeing: So many last iterations must agree before timing begins.
        warm_up: Iterations after which timing begins all the same.
    """

    iterations: int
    seconds: float
    agreeing: int
    warm_up: int


FULL = Effort(iterations=50, seconds=10.0, agreeing=5, warm_up=50)
QUICK = Effort(iterations=5, seconds=1.0, agreeing=2, warm_up=4)


class Clock(Protocol):
    """Times work that is done several times in a row."""

    def samples(self, work: Work, count: int) -> list[float]:
        """Return the seconds of each of ``count`` iterations."""


class HostClock:
    """``perf_counter`` around each iteration: for work that is done when the call returns.

    Args:
        now: Seconds since any moment.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now

    def samples(self, work: Work, count: int) -> list[float]:
        """Return the seconds of each of ``count`` iterations."""
        found = []
        for _ in range(count):
            start = self.now()
            work()
            found.append(self.now() - start)
        return found


class DeviceClock:
    """A pair of CUDA events around each iteration; the host waits once, after the last.

    Args:
        event: Makes an event that knows its time.
        synchronize: Waits until the device is idle.
        watch: Called when all work is queued, before waiting: the device is then at work.
    """

    def __init__(
        self,
        event: Callable[[], Any],
        synchronize: Callable[[], object],
        watch: Callable[[], object] | None = None,
    ) -> None:
        self.event = event
        self.synchronize = synchronize
        self.watch = watch

    @classmethod
    def of(cls, device: str, watch: Callable[[], object] | None = None) -> DeviceClock:
        """Return the clock of ``cuda:N``."""
        return cls(
            lambda: torch.cuda.Event(enable_timing=True),
            lambda: torch.cuda.synchronize(device),
            watch,
        )

    def samples(self, work: Work, count: int) -> list[float]:
        """Return the seconds the device took for each of ``count`` iterations."""
        pairs = [(self.event(), self.event()) for _ in range(count)]
        for start, end in pairs:
            start.record()
            work()
            end.record()
        if self.watch:
            self.watch()
        self.synchronize()
        return [start.elapsed_time(end) * MILLI for start, end in pairs]


@dataclass(frozen=True)
class WarmUp:
    """What came before the clock.

    Attributes:
        iterations: How many.
        last: Seconds of the last ones.
        settled: Whether those agreed.
    """

    iterations: int
    last: tuple[float, ...]
    settled: bool


@dataclass(frozen=True)
class Samples:
    """What a clock gave.

    Attributes:
        seconds: One for each timed iteration.
        warm_up: Iterations before.
        settled: Whether the last of those agreed.
        effort: That was asked for.
    """

    seconds: tuple[float, ...]
    warm_up: int
    settled: bool
    effort: Effort

    @property
    def median(self) -> float:
        """Seconds."""
        return float(np.median(self.seconds))

    @property
    def relative_iqr(self) -> float:
        """Interquartile range over the median."""
        low, high = np.percentile(self.seconds, [25, 75])
        return float(high - low) / self.median if self.median else 0.0

    @property
    def percentiles(self) -> dict[str, float]:
        """Seconds that 50, 90, 95 and 99 percent of the iterations stayed within."""
        shares = (50, 90, 95, 99)
        values = np.percentile(self.seconds, shares)
        return {f"p{share}": float(v) for share, v in zip(shares, values, strict=True)}

    @property
    def flags(self) -> tuple[str, ...]:
        """Why not to quote the figure."""
        found = []
        if self.relative_iqr > STEADY:
            found.append(
                f"spread: the interquartile range is {self.relative_iqr:.1%} of the median, "
                f"above {STEADY:.0%}"
            )
        if not self.settled:
            found.append(f"still changing after {self.warm_up} iterations of warming up")
        if self.effort != FULL:
            found.append(f"quick: {len(self.seconds)} iterations")
        return tuple(found)


def measure(work: Work, clock: Clock, effort: Effort) -> Samples:
    """Warm up, then time.

    Args:
        work: One iteration.
        clock: That of the device the work is done on.
        effort: How long.
    """
    return timed(work, clock, effort, warm_up(work, clock, effort))


def timed(work: Work, clock: Clock, effort: Effort, warm: WarmUp) -> Samples:
    """Time until there are enough iterations and seconds.

    Args:
        work: One iteration, which was warmed up before.
        clock: That of the device the work is done on.
        effort: How long.
        warm: What warming up gave: from its last iterations follows how many are needed, so that
            a device is not asked in between.
    """
    found: list[float] = []
    while (missing := _missing(found or warm.last, len(found), effort)) > 0:
        found += clock.samples(work, missing)
    return Samples(tuple(found), warm.iterations, warm.settled, effort)


def warm_up(work: Work, clock: Clock, effort: Effort) -> WarmUp:
    """Work until the last iterations agree, or it is clear that they will not."""
    found: list[float] = []
    while not enough_warmth(found, effort):
        found += clock.samples(work, 1)
    last = found[-effort.agreeing :]
    return WarmUp(len(found), tuple(last), agree(last))


def enough_warmth(seconds: Sequence[float], effort: Effort) -> bool:
    """Return whether timing may begin after these iterations."""
    last = seconds[-effort.agreeing :]
    return len(seconds) >= effort.warm_up or (len(last) == effort.agreeing and agree(last))


def enough(seconds: Sequence[float], effort: Effort) -> bool:
    """Return whether these timed iterations are enough."""
    return _missing(seconds, len(seconds), effort) <= 0 if seconds else False


def agree(seconds: Sequence[float]) -> bool:
    """Return whether all lie within five percent of their median."""
    return max(seconds) - min(seconds) <= AGREEMENT * float(np.median(seconds))


def _missing(known: Sequence[float], done: int, effort: Effort) -> int:
    """Return how many more iterations are needed, as far as the known ones tell."""
    spent = math.fsum(known) if done else 0.0
    each = max(float(np.median(known)), 1e-9)
    # A thousandth less than asked is enough: sums of floats never quite meet.
    for_time = math.ceil((effort.seconds * 0.999 - spent) / each)
    return max(effort.iterations - done, for_time, 0)
