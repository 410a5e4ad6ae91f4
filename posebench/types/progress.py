"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (what, done, all): the step, and how much of it is done; all is 0 if not known."""
