"""The ``posebench`` command and ``python -m posebench``.

Importing the command line takes a moment, in which Ctrl-C must not end in a traceback: this module
comes first and imports nothing of the package before it has said what an interrupt does.
"""

from __future__ import annotations

import os

# What the module signal wraps: that one imports enum first, which takes a while.
from _signal import SIGINT, default_int_handler, getsignal, signal

TYPE_CHECKING = False  # typing takes longer than everything here

if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 130


def _stop(_number: int, _frame: FrameType | None) -> None:
    """End at once: nothing has begun yet, so that there is nothing to put away."""
    os.write(2, b"posebench: interrupted.\n")
    os._exit(INTERRUPTED)


def entry_point() -> None:
    """Run the ``posebench`` command."""
    if getsignal(SIGINT) is default_int_handler:  # else somebody ignores it
        signal(SIGINT, _stop)
    from posebench.cli.main import entry_point

    entry_point()


if __name__ == "__main__":
    entry_point()
