"""Who else uses the processor that a timing runs on. Linux tells most, others less."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
GOVERNORS = Path("/sys/devices/system/cpu")
# Fields of /proc/stat's first line (proc(5)): user, nice, system, irq, softirq are work; guests
# are part of user and nice.
BUSY = (0, 1, 2, 5, 6)
FOREIGN = 0.1  # share of the cores that others may use before a figure is flagged


def governor(folder: Path = GOVERNORS) -> str | None:
    """Return what governs the clocks, several joined; None where the system does not say."""
    found = {path.read_text().strip() for path in folder.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    return ", ".join(sorted(found)) or None


def load_average() -> float | None:
    """Return the average number of processes that ran or waited in the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


@dataclass(frozen=True)
class Usage:
    """Seconds of processor time, all cores together.

    Attributes:
        machine: Of everything that runs; None where the system does not say.
        own: Of this process.
        at: When, seconds.
    """

    machine: float | None
    own: float
    at: float

    @classmethod
    def now(cls, stat: Path = STAT) -> Usage:
        """Read the counters."""
        return cls(_busy(stat), time.process_time(), time.monotonic())

    def foreign(self, later: Usage) -> float | None:
        """Return how many cores others kept busy until ``later``, on average."""
        passed = later.at - self.at
        if self.machine is None or later.machine is None or passed <= 0:
            return None
        busy = later.machine - self.machine - (later.own - self.own)
        return round(max(0.0, busy / passed), 2)


def _busy(stat: Path) -> float | None:
    try:
        ticks = [int(field) for field in stat.read_text().split("\n", 1)[0].split()[1:]]
    except OSError:
        return None
    return sum(ticks[field] for field in BUSY) / os.sysconf("SC_CLK_TCK")
