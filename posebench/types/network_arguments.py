"""The bounds that a network's arguments can be declared with.

A registry row comes from a stranger: an argument of another type or size is refused when the row
is loaded, long before a constructor sees it. ``posebench.network_families`` holds the declarations;
``check_plain`` keeps the arguments of networks without one plain and small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posebench.types.paths import check_relative

MOST_ARGUMENTS = 32
LONGEST_LIST = 64
LONGEST_TEXT = 400
LARGEST = 1 << 53


@dataclass(frozen=True)
class Whole:
    """A whole number from ``low`` to ``high``, a multiple of ``step``."""

    low: int
    high: int
    step: int = 1

    def accepts(self, value: Any) -> bool:
        """Whether an argument may have this value."""
        return type(value) is int and self.low <= value <= self.high and value % self.step == 0

    def __str__(self) -> str:
        kind = "a whole number" if self.step == 1 else f"a multiple of {self.step}"
        return f"{kind} from {self.low} to {self.high}"


@dataclass(frozen=True)
class Wholes:
    """A list of ``count`` whole numbers."""

    count: int
    each: Whole

    def accepts(self, value: Any) -> bool:
        """Whether an argument may have this value."""
        fits = isinstance(value, list | tuple) and len(value) == self.count
        return fits and all(self.each.accepts(item) for item in value)

    def __str__(self) -> str:
        return f"a list of {self.count} numbers, each {self.each}"


@dataclass(frozen=True)
class Choice:
    """One of a few values; ``True`` is not 1 here."""

    values: tuple[int | str | bool, ...]

    def accepts(self, value: Any) -> bool:
        """Whether an argument may have this value."""
        return any(type(value) is type(known) and value == known for known in self.values)

    def __str__(self) -> str:
        return f"one of {', '.join(str(value).lower() for value in self.values)}"


@dataclass(frozen=True)
class InnerPath:
    """A path below a folder of the package that builds the network."""

    def accepts(self, value: Any) -> bool:
        """Whether an argument may have this value."""
        try:
            return isinstance(value, str) and bool(check_relative(value))
        except ValueError:
            return False

    def __str__(self) -> str:
        return "a relative path without .."


Bounds = Whole | Wholes | Choice | InnerPath


@dataclass(frozen=True)
class Signature:
    """The arguments of one network.

    Attributes:
        arguments: Name -> bounds.
        required: Names without a default.
        multiple: What both sides of the input have to be multiples of, pixels.
    """

    arguments: Mapping[str, Bounds]
    required: tuple[str, ...] = ()
    multiple: int = 1


def check_plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments that are plain values: text, numbers, switches, and lists of them.

    Raises:
        ValueError: Something else, or more of it than a network needs.
    """
    if len(arguments) > MOST_ARGUMENTS:
        raise ValueError(f"a network has at most {MOST_ARGUMENTS} arguments")
    for name, value in arguments.items():
        if not name.isidentifier() or len(name) > LONGEST_TEXT:
            raise ValueError(f"{shortened(name)} is not the name of an argument")
        items = value if isinstance(value, list | tuple) else (value,)
        if len(items) > LONGEST_LIST or not all(map(_is_plain, items)):
            raise ValueError(
                f"{name} is {shortened(value)}: an argument is a switch, a finite number, a text "
                f"of at most {LONGEST_TEXT} characters or a short list of these"
            )
    return arguments


def shortened(value: Any) -> str:
    """Return a value as a message shows it, of any length and depth."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    return value is None or (isinstance(value, int) and abs(value) <= LARGEST)
