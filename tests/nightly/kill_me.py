"""A night of a folder in a process of its own, slow enough to be killed anywhere in it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nights


class Slow(nights.Work):
    def evaluate(self, wanted, folder):
        for found in super().evaluate(wanted, folder):
            time.sleep(0.02)
            yield found

    def time(self, cell):
        time.sleep(0.02)
        return super().time(cell)


def main() -> None:
    folder, night = Path(sys.argv[1]), int(sys.argv[2])
    lower = Slow(night, score=lambda entry, protocol: -1.0 * (entry == "demo/demo_m"))
    print("begins", flush=True)
    nights.run(folder, lower)


main()
