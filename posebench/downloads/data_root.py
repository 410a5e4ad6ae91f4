"""Where datasets lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

DATA_ROOT = "POSEBENCH_DATA"


def named_root(given: Path | None) -> Path | None:
    """Return the folder that was given, else the one in ``POSEBENCH_DATA``; None without both."""
    named = os.environ.get(DATA_ROOT)
    return given or (Path(named) if named else None)
