"""What the system says about its processors, from files as Linux writes them."""

from __future__ import annotations

import os

import pytest

from posebench.records import environment
from posebench.records.environment import processor_name
from posebench.timing import machine
from posebench.timing.machine import Usage, governor


def test_the_processor_is_named(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Fast One 9: X\nprocessor\t: 1\n")
    assert processor_name(info) == "Fast One 9: X"
    assert processor_name(tmp_path / "none")


def test_governors_are_joined_and_may_be_unknown(tmp_path):
    assert governor(tmp_path) is None
    for number, word in enumerate(("performance", "powersave", "performance")):
        folder = tmp_path / f"cpu{number}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{word}\n")
    (tmp_path / "cpufreq").mkdir()
    assert governor(tmp_path) == "performance, powersave"


def test_cores_are_those_this_process_may_use(monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
    assert environment.cores() == 3


def test_foreign_work_is_the_machines_less_our_own(tmp_path):
    tick = os.sysconf("SC_CLK_TCK")
    stat = tmp_path / "stat"
    # user nice system idle iowait irq softirq steal guest guest_nice
    stat.write_text("cpu  100 10 20 9000 50 3 4 5 6 7\ncpu0 1 2 3\n")
    busy = machine._busy(stat)
    assert busy == pytest.approx((100 + 10 + 20 + 3 + 4) / tick)
    before = Usage(machine=100.0, own=10.0, at=0.0)
    assert before.foreign(Usage(machine=130.0, own=22.0, at=10.0)) == 1.8
    # rounding of ticks never makes work negative
    assert before.foreign(Usage(machine=110.0, own=22.0, at=10.0)) == 0.0


def test_what_is_not_counted_stays_unknown(tmp_path):
    before = Usage.now(tmp_path / "none")
    assert before.machine is None
    assert before.foreign(Usage(1.0, 1.0, before.at + 1)) is None
