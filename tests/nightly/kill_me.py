"""A night in a process of its own that says when it is about to do its n-th thing to a file.

``kill_me.py FOLDER NIGHT MOMENT wait|run``: afterwards it waits to be killed there, or runs on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nights


def main() -> None:
    folder, night, moment, then = Path(sys.argv[1]), *sys.argv[2:]

    def say() -> None:
        print("now", flush=True)
        if then == "wait":
            sys.stdin.read()

    nights.Moment(int(moment), say).install(setattr)
    nights.run(folder, nights.Work(int(night), score=nights.lower))


main()
