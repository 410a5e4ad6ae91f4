"""Integer drawing: a counter-based random stream and a small rasteriser.

Every number that can decide a pixel is an integer, so that the same pictures come out under any
numpy, on any machine.  Lengths and positions are held in 1/8 px (``UNIT``), angles in 1/1024 of a
turn (``TURN``), sines in units of 2**-14.  Pixel centres lie at integer pixel coordinates.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

UNIT = 8
TURN = 1024
SINE_BITS = 14

Point = tuple[int, int]
Colour = tuple[int, int, int]
Mask = NDArray[np.bool_]
Item = TypeVar("Item")

_MASK64 = (1 << 64) - 1
# Constants of splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
# generators", OOPSLA 2014 (the increment is 2**64 divided by the golden ratio).
_STEP, _MIX_A, _MIX_B = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
# The nearest sine to a rounding tie is far beyond a libm's error, so the table is universal.
_SINE = tuple(round(math.sin(2 * math.pi * k / TURN) * (1 << SINE_BITS)) for k in range(TURN))


def sine(angle: int) -> int:
    """Return sin(angle) in 2**-14, the angle in 1/1024 turn."""
    return _SINE[angle % TURN]


def cosine(angle: int) -> int:
    """Return cos(angle) in 2**-14, the angle in 1/1024 turn."""
    return _SINE[(angle + TURN // 4) % TURN]


def degrees(angle: int) -> int:
    """Return whole degrees in 1/1024 turn, rounded down."""
    return angle * TURN // 360


class PortableRng:
    """Random integers that depend on nothing but a text.

    Draw number n is a mixing function of ``key + n * step``: the stream has no other state.

    Args:
        key: Any text; its SHA-256 starts the counter.
    """

    def __init__(self, key: str) -> None:
        self._counter = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")

    def word(self) -> int:
        """Return the next 64 random bits."""
        self._counter = (self._counter + _STEP) & _MASK64
        bits = self._counter
        bits = ((bits ^ (bits >> 30)) * _MIX_A) & _MASK64
        bits = ((bits ^ (bits >> 27)) * _MIX_B) & _MASK64
        return bits ^ (bits >> 31)

    def below(self, bound: int) -> int:
        """Return an integer in [0, bound)."""
        return (self.word() * bound) >> 64

    def between(self, low: int, high: int) -> int:
        """Return an integer in [low, high], both ends included."""
        return low + self.below(high - low + 1)

    def middle(self, low: int, high: int) -> int:
        """Return an integer in [low, high] that prefers the middle (mean of two draws)."""
        return (self.between(low, high) + self.between(low, high)) // 2

    def chance(self, percent: int) -> bool:
        """Return True in that many cases of a hundred."""
        return self.below(100) < percent

    def pick(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return items[self.below(len(items))]

    def colour(self, low: int = 0, high: int = 255) -> Colour:
        """Return three independent channel values in [low, high]."""
        return self.between(low, high), self.between(low, high), self.between(low, high)

    def array(self, *shape: int) -> NDArray[np.uint64]:
        """Return an array of 64-bit words, the same ones that ``word`` would give in turn."""
        count = math.prod(shape)
        bits = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_STEP)
        bits += np.uint64(self._counter)
        self._counter = (self._counter + count * _STEP) & _MASK64
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(_MIX_A)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(_MIX_B)
        return (bits ^ (bits >> np.uint64(31))).reshape(shape)


class Window:
    """The part of an image that a shape can touch.

    Args:
        points: The shape's corners or axis ends, 1/8 px.
        radius: How far the shape reaches beyond them, 1/8 px.
        height: Image height, px.
        width: Image width, px.
    """

    def __init__(self, points: Sequence[Point], radius: int, height: int, width: int) -> None:
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        left, right = (min(xs) - radius) // UNIT, (max(xs) + radius) // UNIT + 1
        top, bottom = (min(ys) - radius) // UNIT, (max(ys) + radius) // UNIT + 1
        left, top = max(left, 0), max(top, 0)
        right, bottom = max(min(right, width - 1) + 1, left), max(min(bottom, height - 1) + 1, top)
        self.area = (slice(top, bottom), slice(left, right))
        self.x = np.arange(left, right, dtype=np.int64)[None, :] * UNIT
        self.y = np.arange(top, bottom, dtype=np.int64)[:, None] * UNIT

    @property
    def empty(self) -> bool:
        """Return whether the shape lies wholly outside the image."""
        return self.x.size == 0 or self.y.size == 0


def disc(window: Window, centre: Point, radius: int) -> Mask:
    """Return which pixel centres of the window lie within ``radius`` (1/8 px) of a point."""
    return (window.x - centre[0]) ** 2 + (window.y - centre[1]) ** 2 <= radius * radius


def capsule(window: Window, start: Point, end: Point, radius: int) -> Mask:
    """Return which pixel centres lie within ``radius`` of a segment (all in 1/8 px).

    Beside the segment the squared distance is cross**2 / length**2; both sides are multiplied
    out, which keeps the test in integers.
    """
    dx, dy = end[0] - start[0], end[1] - start[1]
    length2 = dx * dx + dy * dy
    ends = disc(window, start, radius) | disc(window, end, radius)
    if length2 == 0:
        return ends
    px, py = window.x - start[0], window.y - start[1]
    along = px * dx + py * dy
    across = px * dy - py * dx
    beside = (along >= 0) & (along <= length2)
    return ends | (beside & (across * across <= radius * radius * length2))


def polygon(window: Window, corners: Sequence[Point]) -> Mask:
    """Return which pixel centres lie inside a convex polygon, either way round (1/8 px)."""
    left = np.ones((window.y.size, window.x.size), np.bool_)
    right = left.copy()
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        side = (bx - ax) * (window.y - ay) - (by - ay) * (window.x - ax)
        left &= side >= 0
        right &= side <= 0
    return left | right


def shade(colour: Colour, gain: int) -> Colour:
    """Return a colour scaled by gain / 256, each channel held within 0..255."""
    b, g, r = (min(255, max(0, channel * gain >> 8)) for channel in colour)
    return b, g, r
