"""One drawn picture: background, persons, crowds, occluders, and what is visible of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from posebench.synthetic.figure import Figure, Part, make_figure
from posebench.synthetic.raster import (
    UNIT,
    Colour,
    Mask,
    Point,
    PortableRng,
    Window,
    capsule,
    disc,
    polygon,
    shade,
)

Image = NDArray[np.uint8]
Area = tuple[slice, slice]
Box = tuple[int, int, int, int]
Detection = tuple[int, int, int, int, int]

_SIZES = ((240, 320), (240, 320), (240, 320), (240, 320), (240, 320), (320, 240), (256, 256))
_NOISE = 512
# COCO calls areas below 32**2 small and annotates hardly any keypoints there.
SMALL_AREA = 32 * 32
_UNLABELLED = ((0, 0, 0),) * 17
# A figure has fewer parts than this; the group of a crowd counts as one more person.
_PARTS = 64
_CROWD = 100


class Boxed(Protocol):
    """What the detector sees of an annotated person."""

    @property
    def box(self) -> Box:
        """Tight box, whole px."""

    @property
    def area(self) -> int:
        """Pixels on top."""

    @property
    def crowd(self) -> bool:
        """Whether it is a group under one box."""


@dataclass(frozen=True, slots=True)
class Person:
    """Ground truth of one drawn person.

    Attributes:
        keypoints: 17 triples (x, y, v), whole px; v is 0 not labelled, 1 hidden, 2 visible.
        box: Tight around what was drawn of the body inside the image: x, y, w, h, whole px.
        area: Pixels of the body that are on top in the finished picture.
        crowd: A whole group under one box, without keypoints.
    """

    keypoints: tuple[tuple[int, int, int], ...]
    box: Box
    area: int
    crowd: bool = False

    @property
    def labelled(self) -> int:
        """Number of keypoints with v > 0."""
        return sum(v > 0 for _, _, v in self.keypoints)


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture with its ground truth and the boxes an imperfect detector finds in it.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        persons: In painting order, crowds included.
        detections: (x, y, w, h in quarter px, score in thousandths).
    """

    image: Image
    persons: tuple[Person, ...]
    detections: tuple[Detection, ...]


class Canvas:
    """An image under work and, per pixel, who is on top.

    ``owner`` holds person number * 64 + part number, or -1 for anything else.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.image: Image = np.zeros((height, width, 3), np.uint8)
        self.owner = np.full((height, width), -1, np.int32)

    def paint(
        self, points: tuple[Point, ...], radius: int, colour: Colour, owner: int
    ) -> tuple[Area, Mask] | None:
        """Paint a disc, a capsule or a rimmed quadrilateral.

        Args:
            points: One, two or four of them, 1/8 px.
            radius: Thickness, 1/8 px.
            colour: BGR.
            owner: What to note in ``owner``.

        Returns:
            The touched rows and columns and which of their pixels were painted; None where the
            shape lies outside the image.
        """
        window = Window(points, radius, self.height, self.width)
        if window.empty:
            return None
        mask = _shape(window, points, radius)
        self.image[window.area][mask] = colour
        self.owner[window.area][mask] = owner
        return window.area, mask


def _shape(window: Window, points: tuple[Point, ...], radius: int) -> Mask:
    if len(points) == 1:
        return disc(window, points[0], radius)
    if len(points) == 2:
        return capsule(window, points[0], points[1], radius)
    mask = polygon(window, points)
    for start, end in zip(points, (*points[1:], points[0]), strict=True):
        mask |= capsule(window, start, end, radius)
    return mask


@cache
def _noise_tile() -> NDArray[np.int16]:
    """Pixel noise in [-8, 7], one tile for all pictures."""
    words = PortableRng("posebench noise tile").array(_NOISE, _NOISE)
    return ((words >> np.uint64(60)).astype(np.int16)) - np.int16(8)


def background(canvas: Canvas, stream: PortableRng) -> None:
    """Fill the canvas with a ramp of two colours and, mostly, blocks."""
    height, width = canvas.height, canvas.width
    low, high = (np.array(stream.colour(30, 225), np.int64) for _ in range(2))
    across, down = stream.between(0, 4), stream.between(0, 4)
    rows = np.arange(height, dtype=np.int64)[:, None] * down * width
    columns = np.arange(width, dtype=np.int64)[None, :] * across * height
    ramp = (rows + columns)[:, :, None] // max((across + down) * height * width // 256, 1)
    blend = low * 256 + (high - low) * np.minimum(ramp, 256)
    if stream.chance(60):
        cell = stream.pick((8, 12, 20, 36))
        grid = stream.array(-(-height // cell), -(-width // cell), 3) >> np.uint64(56)
        blocks = grid.astype(np.int64).repeat(cell, 0).repeat(cell, 1)[:height, :width]
        blend += (blocks - 128) * stream.between(30, 130)
    canvas.image[:] = np.clip(blend >> 8, 0, 255).astype(np.uint8)


def clutter(canvas: Canvas, stream: PortableRng, count: int, reach: int) -> None:
    """Scatter sticks, discs and boxes; ``reach`` bounds their size, px."""
    for _ in range(count):
        x, y = stream.below(canvas.width) * UNIT, stream.below(canvas.height) * UNIT
        dx, dy = stream.between(-reach, reach) * UNIT, stream.between(-reach, reach) * UNIT
        colour, kind = stream.colour(10, 245), stream.below(10)
        if kind < 5:
            canvas.paint(((x, y), (x + dx, y + dy)), stream.between(6, 40), colour, -1)
        elif kind < 7:
            canvas.paint(((x, y),), stream.between(20, 8 + reach * UNIT // 2), colour, -1)
        else:
            corners = ((x, y), (x + dx, y), (x + dx, y + dy), (x, y + dy))
            canvas.paint(corners, UNIT, colour, -1)


def _heights(stream: PortableRng, count: int) -> list[int]:
    """Body heights in px: small, medium and large in COCO's sense, and close-ups."""
    heights = []
    for _ in range(count):
        kind = stream.below(100)
        if kind < 10:
            heights.append(stream.between(34, 66))
        elif kind < 62:
            heights.append(stream.between(80, 170))
        elif kind < 92:
            heights.append(stream.between(150, 245))
        else:
            heights.append(stream.between(245, 330))
    return sorted(heights)


def place(canvas: Canvas, stream: PortableRng, height: int, taken: list[Point]) -> Point:
    """Choose the pelvis: most persons fit the picture and keep some distance from the others."""
    best, best_gap = (canvas.width // 2, canvas.height // 2), -1
    for _ in range(4):
        if stream.chance(82):
            reach = min(height * 9 // 20, canvas.height // 2 - 2)
            side = min(height // 4, canvas.width // 2 - 2)
        else:
            reach, side = height // 8, height // 16
        spot = (
            stream.between(side, canvas.width - side),
            stream.between(reach, canvas.height - reach),
        )
        gap = min((abs(spot[0] - x) * 2 + abs(spot[1] - y) for x, y in taken), default=9999)
        if gap > best_gap:
            best, best_gap = spot, gap
    taken.append(best)
    return best[0] * UNIT, best[1] * UNIT


def paint_figure(canvas: Canvas, parts: Sequence[Part], first: int, gain: int) -> Mask:
    """Paint all parts of a figure.

    Args:
        canvas: Painted on.
        parts: In painting order.
        first: What the first part notes as owner; the others count on from it.
        gain: Brightness, 256 for as it is.

    Returns:
        (H, W) where anything of the figure was drawn.
    """
    drawn = np.zeros((canvas.height, canvas.width), np.bool_)
    for index, part in enumerate(parts):
        colour = shade(part.colour, gain)
        done = canvas.paint(part.points, part.radius, colour, first + index)
        if done is not None:
            drawn[done[0]] |= done[1]
    return drawn


def bounds(mask: Mask) -> Box | None:
    """Return the tight box (x, y, w, h) of a mask, None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        return None
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1


def _keypoints(
    canvas: Canvas, figure: Figure, number: int, stream: PortableRng
) -> tuple[tuple[int, int, int], ...]:
    """Label each joint from what is on top at its pixel."""
    triples = []
    for joint, (x8, y8) in enumerate(figure.joints):
        x, y = (x8 + UNIT // 2) // UNIT, (y8 + UNIT // 2) // UNIT
        guessable = stream.chance(80)
        if not (0 <= x < canvas.width and 0 <= y < canvas.height) or not figure.facing[joint]:
            triples.append((0, 0, 0))
            continue
        owner = int(canvas.owner[y, x])
        own = owner >= 0 and owner // _PARTS == number
        if own and joint in figure.parts[owner % _PARTS].joints:
            triples.append((x, y, 2))
        elif own or guessable:
            triples.append((x, y, 1))
        else:
            triples.append((0, 0, 0))
    return tuple(triples)


def paint_crowd(canvas: Canvas, stream: PortableRng, first: int) -> Box | None:
    """Paint a row of tiny figures far away; return the box around the group."""
    drawn = np.zeros((canvas.height, canvas.width), np.bool_)
    x, y = stream.below(canvas.width - 60), stream.between(25, canvas.height - 25)
    for _ in range(stream.between(5, 10)):
        height = stream.between(26, 42) * UNIT
        spot = (x * UNIT, (y + stream.between(-4, 4)) * UNIT)
        figure = make_figure(stream, spot, height)
        drawn |= paint_figure(canvas, figure.parts, first, 235)
        x += stream.between(7, 14)
    return bounds(drawn)


def finish(canvas: Canvas, stream: PortableRng) -> Image:
    """Add light and pixel noise."""
    height, width = canvas.height, canvas.width
    top, left = stream.below(_NOISE - height), stream.below(_NOISE - width)
    gain = stream.between(205, 275)
    grain = _noise_tile()[top : top + height, left : left + width, None]
    lit = (canvas.image.astype(np.int32) * gain >> 8) + grain
    return np.clip(lit, 0, 255).astype(np.uint8)


def compose(stream: PortableRng) -> Scene:
    """Draw one scene.

    Args:
        stream: Decides everything.

    Returns:
        Picture, ground truth and detector boxes.
    """
    height, width = stream.pick(_SIZES)
    canvas = Canvas(height, width)
    background(canvas, stream)
    clutter(canvas, stream, stream.between(2, 14), 60)
    nobody = stream.chance(6)
    crowded = stream.chance(7) and not nobody
    crowd = paint_crowd(canvas, stream, _CROWD * _PARTS) if crowded else None
    count = 0 if nobody else stream.pick((1, 1, 2, 2, 2, 3, 3, 4, 5))
    figures: list[tuple[Figure, NDArray[np.bool_]]] = []
    taken: list[Point] = []
    for number, size in enumerate(_heights(stream, count)):
        spot = place(canvas, stream, size, taken)
        figure = make_figure(stream, spot, size * UNIT)
        drawn = paint_figure(canvas, figure.parts, number * _PARTS, stream.between(225, 285))
        figures.append((figure, drawn))
    if stream.chance(35):
        clutter(canvas, stream, stream.between(1, 2), 34)
    persons = [
        person
        for number, (figure, drawn) in enumerate(figures)
        if (person := _annotate(canvas, figure, drawn, number, stream)) is not None
    ]
    if crowd is not None:
        shown = int((canvas.owner // _PARTS == _CROWD).sum())
        persons.append(Person(_UNLABELLED, crowd, shown, crowd=True))
    image = finish(canvas, stream)
    return Scene(image, tuple(persons), detect(stream, persons, width, height))


def _annotate(
    canvas: Canvas, figure: Figure, drawn: NDArray[np.bool_], number: int, stream: PortableRng
) -> Person | None:
    box = bounds(drawn)
    area = int((canvas.owner // _PARTS == number).sum())
    keypoints = _keypoints(canvas, figure, number, stream)
    if box is None or area < 40:
        return None
    hidden = area * 10 < int(drawn.sum()) * 3
    tiny = area < SMALL_AREA and stream.chance(75)
    if hidden or tiny or sum(v == 2 for _, _, v in keypoints) < 3:
        keypoints = _UNLABELLED
    return Person(keypoints, box, area)


def _jitter(stream: PortableRng, box: Box, spread: int, width: int, height: int) -> Box:
    """Move the four sides by up to ``spread`` percent of the box; quarter px, inside the image."""
    x, y, w, h = (value * 4 for value in box)
    dx, dy = w * spread // 100, h * spread // 100
    left = max(0, x + stream.middle(-dx, dx))
    top = max(0, y + stream.middle(-dy, dy))
    right = min(width * 4, x + w + stream.middle(-dx, dx))
    bottom = min(height * 4, y + h + stream.middle(-dy, dy))
    return left, top, max(right - left, 8), max(bottom - top, 8)


def detect(
    stream: PortableRng, persons: Sequence[Boxed], width: int, height: int
) -> tuple[Detection, ...]:
    """Invent what a fair detector would report: jitter, misses, duplicates, false alarms.

    Returns:
        (x, y, w, h in quarter px, score in thousandths), best score first.
    """
    found: list[Detection] = []
    for person in persons:
        if person.crowd:
            continue
        small = person.area < SMALL_AREA
        if stream.chance(30 if small else 6):
            continue
        spread = stream.between(4, 26 if small else 21)
        score = 985 - spread * 18 - stream.below(180) - (120 if small else 0)
        found.append((*_jitter(stream, person.box, spread, width, height), max(score, 60)))
        if stream.chance(12):
            poor = _jitter(stream, person.box, 40, width, height)
            found.append((*poor, max(score * stream.between(30, 75) // 100, 50)))
    for _ in range(stream.pick((0, 0, 1, 1, 2, 3))):
        w, h = stream.between(15, 80), stream.between(30, 150)
        box = stream.below(width - w) * 4, stream.below(height - h) * 4, w * 4, h * 4
        found.append((*box, stream.between(50, 420)))
    return tuple(sorted(found, key=lambda entry: -entry[4]))
