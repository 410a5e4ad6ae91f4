"""Warming up, enough iterations and seconds, spread, and the order of events on a device."""

from __future__ import annotations

import pytest
from make_speed import SetClock, Ticks

from posebench.timing.clocks import (
    FULL,
    QUICK,
    DeviceClock,
    Effort,
    HostClock,
    Samples,
    agree,
    measure,
    warm_up,
)


def nothing() -> None:
    return None


def samples(*seconds: float, settled: bool = True, effort: Effort = FULL) -> Samples:
    return Samples(seconds, 5, settled, effort)


def test_warming_up_ends_when_the_last_iterations_agree():
    clock = SetClock(9, 5, 1.00, 1.04, 1.02, 1.01, 1.03, 7)
    warm = warm_up(nothing, clock, FULL)
    assert (warm.iterations, warm.settled) == (7, True)
    assert warm.last == (1.00, 1.04, 1.02, 1.01, 1.03)


def test_warming_up_gives_up_on_an_unsteady_machine():
    clock = SetClock(*[1.0, 2.0] * 40)
    warm = warm_up(nothing, clock, FULL)
    assert (warm.iterations, warm.settled) == (FULL.warm_up, False)


@pytest.mark.parametrize(
    ("seconds", "same"), [((1.0, 1.05), True), ((1.0, 1.06), False), ((2.0, 1.91, 2.0), True)]
)
def test_agreement_is_five_percent_of_the_median(seconds, same):
    assert agree(seconds) is same


@pytest.mark.parametrize(
    ("each", "iterations"),
    [
        (1.0, 50),  # enough seconds long before
        (0.05, 200),  # fifty would be 2.5 s
        (0.5, 50),
    ],
)
def test_both_iterations_and_seconds_are_reached(each, iterations):
    clock = SetClock(each)
    found = measure(nothing, clock, FULL)
    assert len(found.seconds) == iterations
    assert sum(found.seconds) == pytest.approx(each * iterations)
    # one run without a stop in between: what warming up took tells how long it must be
    assert clock.asked == [1] * 5 + [iterations]


def test_a_machine_that_got_faster_is_asked_again():
    clock = SetClock(*[1.0] * 5, 0.1)
    found = measure(nothing, clock, FULL)
    assert clock.asked[5] == 50
    assert len(found.seconds) == 100


def test_quick_is_less_and_says_so():
    found = measure(nothing, SetClock(1.0), QUICK)
    assert len(found.seconds) == 5
    assert found.flags == ("quick: 5 iterations",)
    assert measure(nothing, SetClock(1.0), FULL).flags == ()


def test_percentiles_and_spread_by_hand():
    found = samples(*range(1, 102))
    assert found.median == 51
    assert found.percentiles == {"p50": 51, "p90": 91, "p95": 96, "p99": 100}
    assert found.relative_iqr == pytest.approx(50 / 51)


def test_a_spread_above_five_percent_is_flagged():
    assert samples(*[1.0] * 50, *[1.05] * 50).flags == ()
    (flag,) = samples(*[1.0] * 50, *[1.06] * 50).flags
    assert flag == "spread: the interquartile range is 5.8% of the median, above 5%"


def test_what_never_settled_is_flagged():
    assert samples(1.0, settled=False).flags == ("still changing after 5 iterations of warming up",)


def test_the_host_clock_stands_around_each_iteration():
    now = Ticks(0.5)
    done = []
    assert HostClock(now).samples(lambda: done.append(1), 3) == [0.5, 0.5, 0.5]
    assert len(done) == 3
    assert now.moment == 3.0  # two looks an iteration


def test_a_device_is_waited_for_once_after_the_last_iteration():
    log = []

    class Event:
        made = 0

        def __init__(self):
            self.number = Event.made
            Event.made += 1

        def record(self):
            log.append(f"event {self.number}")

        def elapsed_time(self, end):
            log.append("read")
            assert end.number == self.number + 1
            return 40.0 + self.number  # ms

    clock = DeviceClock(Event, lambda: log.append("wait"), lambda: log.append("watch"))
    found = clock.samples(lambda: log.append("work"), 2)
    queued = ["event 0", "work", "event 1", "event 2", "work", "event 3"]
    assert log == [*queued, "watch", "wait", "read", "read"]
    assert found == pytest.approx([0.040, 0.042])
