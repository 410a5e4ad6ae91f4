"""A nightly run in a process of its own that says when it is about to do its n-th thing to a file.

``nightly_process.py FOLDER NIGHT MOMENT wait|run``: afterwards it waits to be killed there, or
goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nightly_runs


def main() -> None:
    folder, night, moment, then = Path(sys.argv[1]), *sys.argv[2:]

    def say() -> None:
        print("now", flush=True)
        if then == "wait":
            sys.stdin.read()

    nightly_runs.Moment(int(moment), say).install(setattr)
    nightly_runs.run(folder, nightly_runs.Work(int(night), score=nightly_runs.lower))


if __name__ == "__main__":
    main()
