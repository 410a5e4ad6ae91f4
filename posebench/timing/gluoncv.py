"""The harness behind GluonCV's throughput chart, step by step.

Source: GluonCV ``scripts/pose/simple_pose/validate.py --benchmark``: input drawn uniformly from
(-1, 1) on the device, 5 batches that do not count, then 100 whose outputs are each waited for;
forward only, no flip, images/s from the total time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from posebench.timing.clocks import FULL, Samples, Work

DRY_RUNS = 5
BATCHES = 100


def gluoncv_samples(
    work: Work,
    wait: Callable[[], object],
    now: Callable[[], float] = time.perf_counter,
) -> Samples:
    """Time as that harness does.

    Args:
        work: One batch.
        wait: Until its output is there.
        now: Seconds since any moment.

    Returns:
        One sample a batch; they add up to the total time.
    """
    for _ in range(DRY_RUNS):
        work()
        wait()
    found = []
    before = now()
    for _ in range(BATCHES):
        work()
        wait()
        after = now()
        found.append(after - before)
        before = after
    return Samples(tuple(found), DRY_RUNS, settled=True, effort=FULL)


def persons_per_second(samples: Samples, batch_size: int) -> float:
    """Return all persons over the total time, as the chart's figures were made."""
    return batch_size * len(samples.seconds) / math.fsum(samples.seconds)
