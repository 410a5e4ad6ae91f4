"""One drawn picture of whole bodies, and what can be seen of each of their points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posebench.synthetic.body_figure import FACE_GROUP, Body, make_body
from posebench.synthetic.body_points import HAND_POINTS, LEFT_HAND, POINTS, RIGHT_HAND
from posebench.synthetic.raster import UNIT, Mask, Point, PortableRng
from posebench.synthetic.scene import (
    Box,
    Canvas,
    Detection,
    Image,
    background,
    bounds,
    clutter,
    detect,
    finish,
    paint_crowd,
    paint_figure,
    place,
)

# (x, y) in 1/8 px and how it is labelled: 0 not, 1 hidden, 2 visible.
Label = tuple[int, int, int]

_SIZES = ((384, 288), (384, 288), (384, 288), (288, 384), (288, 384), (240, 320), (320, 240))
# A body has fewer parts than this.
_PARTS = 256
_CROWD = 100
# Nobody labels faces and fingers on smaller bodies, or anything on tiny ones (px).
_FINE_HEIGHT = 130
_TINY_AREA = 32 * 32
_NOTHING: Label = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class BodyPerson:
    """Ground truth of one drawn body.

    Attributes:
        points: 137 labels: Halpe's 136 in Halpe's order, then MPII's upper neck.
        box: Tight around what was drawn of the body inside the image: x, y, w, h, whole px.
        area: Pixels of the body that are on top in the finished picture.
        head_box: Corners (left, top), (right, bottom) of the head, 1/8 px.
        crowd: A whole group under one box, without points.
    """

    points: tuple[Label, ...]
    box: Box
    area: int
    head_box: tuple[Point, Point]
    crowd: bool = False

    @property
    def labelled(self) -> int:
        """Number of labelled points among Halpe's 136."""
        return sum(v > 0 for _, _, v in self.points[:136])


@dataclass(frozen=True, slots=True)
class BodyScene:
    """A picture with its ground truth and the boxes an imperfect detector finds in it.

    Attributes:
        image: (H, W, 3) uint8, BGR.
        persons: In painting order, crowds included.
        detections: (x, y, w, h in quarter px, score in thousandths).
    """

    image: Image
    persons: tuple[BodyPerson, ...]
    detections: tuple[Detection, ...]


def compose_bodies(stream: PortableRng) -> BodyScene:
    """Draw one scene.

    Args:
        stream: Decides everything.

    Returns:
        Picture, ground truth and detector boxes.
    """
    height, width = stream.pick(_SIZES)
    canvas = Canvas(height, width)
    background(canvas, stream)
    clutter(canvas, stream, stream.between(2, 12), 70)
    nobody = stream.chance(4)
    crowded = stream.chance(4) and not nobody
    crowd = paint_crowd(canvas, stream, _CROWD * _PARTS) if crowded else None
    count = 0 if nobody else stream.pick((1, 1, 1, 2, 2, 2, 3, 3))
    painted: list[tuple[Body, Mask, int]] = []
    taken: list[Point] = []
    for number, size in enumerate(_heights(stream, count, height)):
        body = make_body(stream, place(canvas, stream, size, taken), size * UNIT)
        drawn = paint_figure(canvas, body.parts, number * _PARTS, stream.between(225, 285))
        painted.append((body, drawn, size))
    if stream.chance(35):
        clutter(canvas, stream, stream.between(1, 3), 40)
    persons = [
        person
        for number, (body, drawn, size) in enumerate(painted)
        if (person := _annotate(canvas, body, drawn, number, size, stream)) is not None
    ]
    if crowd is not None:
        shown = int((canvas.owner >= _CROWD * _PARTS).sum())
        persons.append(BodyPerson((_NOTHING,) * POINTS, crowd, shown, ((0, 0), (0, 0)), crowd=True))
    image = finish(canvas, stream)
    return BodyScene(image, tuple(persons), detect(stream, persons, width, height))


def _heights(stream: PortableRng, count: int, room: int) -> list[int]:
    """Body heights in px, mostly large, smallest first; most fit the picture's height."""
    heights = []
    for _ in range(count):
        kind = stream.below(100)
        if kind < 5:
            heights.append(stream.between(40, 70))
        elif kind < 14:
            heights.append(stream.between(90, 160))
        elif kind < 64:
            heights.append(stream.between(180, 270))
        elif kind < 92:
            heights.append(stream.between(250, 340))
        else:
            heights.append(stream.between(340, 420))
        if stream.chance(75):
            heights[-1] = min(heights[-1], room * 95 // 100)
    return sorted(heights)


def _annotate(
    canvas: Canvas, body: Body, drawn: Mask, number: int, size: int, stream: PortableRng
) -> BodyPerson | None:
    box = bounds(drawn)
    area = int((canvas.owner // _PARTS == number).sum())
    labels = _labels(canvas, body, number, stream)
    chances = [stream.below(100) for _ in range(4)]
    if box is None or area < 60:
        return None
    hidden = area * 10 < int(drawn.sum()) * 3
    tiny = area < _TINY_AREA and chances[0] < 75
    if hidden or tiny or sum(v == 2 for _, _, v in labels[:17]) < 3:
        labels = [_NOTHING] * POINTS
    fine = (
        (FACE_GROUP, 20, body.frontal),
        (range(LEFT_HAND, LEFT_HAND + HAND_POINTS), 8, True),
        (range(RIGHT_HAND, RIGHT_HAND + HAND_POINTS), 8, True),
    )
    for chance, (group, least, wanted) in zip(chances[1:], fine, strict=True):
        seen = sum(labels[k][2] == 2 for k in group)
        if not wanted or seen < least or size < _FINE_HEIGHT or chance < 5:
            for k in group:
                labels[k] = _NOTHING
    return BodyPerson(tuple(labels), box, area, body.head_box)


def _labels(canvas: Canvas, body: Body, number: int, stream: PortableRng) -> list[Label]:
    """Label each point from what is on top at its pixel."""
    labels: list[Label] = []
    guesses = stream.array(POINTS) >> np.uint64(57)
    for point, (x8, y8) in enumerate(body.points):
        x, y = (x8 + UNIT // 2) // UNIT, (y8 + UNIT // 2) // UNIT
        if not (0 <= x < canvas.width and 0 <= y < canvas.height):
            labels.append(_NOTHING)
            continue
        owner = int(canvas.owner[y, x])
        own = owner >= 0 and owner // _PARTS == number
        fine = point in FACE_GROUP or LEFT_HAND <= point < RIGHT_HAND + HAND_POINTS
        if own and body.facing[point] and point in body.parts[owner % _PARTS].joints:
            labels.append((x8, y8, 2))
        elif point < 5 and not body.facing[point]:
            labels.append(_NOTHING)
        # Of a hand or face that is labelled, every point is; of a body, four hidden of five.
        elif own or fine or guesses[point] < 102:
            labels.append((x8, y8, 1))
        else:
            labels.append(_NOTHING)
    return labels
