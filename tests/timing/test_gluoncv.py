"""GluonCV's harness: dry runs, batches, waiting, total time."""

from __future__ import annotations

import pytest
from make_speed import Ticks

from posebench.timing.gluoncv import gluoncv_samples, persons_per_second


def test_five_dry_runs_then_a_hundred_batches_each_waited_for():
    log = []
    now = Ticks(1.0)

    def clock():
        log.append("clock")
        return now()

    found = gluoncv_samples(lambda: log.append("work"), lambda: log.append("wait"), clock)
    assert log[:10] == ["work", "wait"] * 5
    assert log[10] == "clock"
    assert log[11:] == ["work", "wait", "clock"] * 100
    assert found.seconds == (1.0,) * 100
    assert found.warm_up == 5


def test_the_rate_is_of_the_total_time_not_of_the_median():
    found = gluoncv_samples(lambda: None, lambda: None, Ticks(0.0, 100.0, 1.0))
    assert sum(found.seconds) == 199.0
    assert persons_per_second(found, 64) == pytest.approx(6400 / 199)
