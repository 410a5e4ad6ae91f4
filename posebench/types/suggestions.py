"""What somebody may have meant by a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(word: str, known: Iterable[str], count: int = 1) -> str:
    """Return ``Did you mean ...?``, or an empty string when nothing is close."""
    close = difflib.get_close_matches(word, list(known), n=count)
    return f"Did you mean {' or '.join(close)}?" if close else ""


def nearest(word: str, known: Iterable[str], count: int) -> list[str]:
    """Return the ``count`` known words that are most like one, however unlike they are."""
    return difflib.get_close_matches(word, list(known), n=count, cutoff=0.0)
