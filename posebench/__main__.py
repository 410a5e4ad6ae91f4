"""The ``posebench`` command and ``python -m posebench``.

Importing the command line takes a moment, in which Ctrl-C must not end in a traceback: this module
comes first and imports nothing of the package before it has said what an interrupt does.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED = 130


def _stop(_number: int, _frame: FrameType | None) -> None:
    """End at once: nothing has begun yet, so that there is nothing to put away."""
    os.write(2, b"posebench: interrupted.\n")
    os._exit(INTERRUPTED)


def entry_point() -> None:
    """Run the ``posebench`` command."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else somebody ignores it
        signal.signal(signal.SIGINT, _stop)
    from posebench.cli.main import entry_point

    entry_point()


if __name__ == "__main__":
    entry_point()
