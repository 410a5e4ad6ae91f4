"""Where the fine points of a drawn person sit: face, hands, and the order they are kept in.

A drawn body holds 137 points: Halpe's 136 in Halpe's order (Halpe-FullBody, README) and MPII's
upper neck behind them.  Lengths are thousandths of the body's height.  Heads and hands are larger
than real ones, so that their points can be told apart in a small picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from posebench.synthetic.figure import FINE, Vector
from posebench.synthetic.raster import SINE_BITS, PortableRng, cosine, degrees, sine

HEAD_TOP, NECK, MID_HIP = 17, 18, 19
# Left; the right one follows.
BIG_TOE, SMALL_TOE, HEEL = 20, 22, 24
FACE, FACE_POINTS = 26, 68
LEFT_HAND, RIGHT_HAND, HAND_POINTS = 94, 115, 21
UPPER_NECK = 136
POINTS = 137

HEAD_RADIUS = 100
HAND_ROOT_GAP = 10
FINGER_RADIUS = 9


@dataclass(frozen=True, slots=True)
class Finger:
    """One finger of a flat hand that points along its own first axis.

    Attributes:
        base: First of its four points: along the hand, and towards the thumb's side.
        fan: Direction, degrees towards the thumb's side.
        lengths: Of the three pieces between its points.
    """

    base: tuple[int, int]
    fan: int
    lengths: tuple[int, int, int]


# Thumb, forefinger, middle, ring, pinky: the order of the 21 hand points after the root.
FINGERS = (
    Finger((18, 23), 54, (30, 26, 21)),
    Finger((70, 25), 16, (36, 26, 22)),
    Finger((74, 8), 4, (40, 29, 24)),
    Finger((71, -10), -9, (37, 27, 22)),
    Finger((63, -26), -25, (30, 22, 18)),
)

# The face's own points, x to the person's left and y down from the middle of the head, and how
# far each stands out of the ball.  The order is that of 300-W: jaw, brows, nose, eyes, lips, each
# from the person's right to the left.
_BROW = ((62, -44), (50, -54), (38, -57), (26, -55), (15, -48))
_EYE = ((50, -24), (41, -31), (30, -31), (21, -22), (31, -16), (42, -16))
_OUTER_LIP = ((-30, 48), (-19, 41), (-8, 38), (0, 37), (8, 38), (19, 41), (30, 48),
              (20, 57), (9, 61), (0, 62), (-9, 61), (-20, 57))  # fmt: skip
_INNER_LIP = ((-23, 48), (-9, 46), (0, 45), (9, 46), (23, 48), (9, 51), (0, 52), (-9, 51))
_JAW_WIDTH, _JAW_DROP = 88, 90


def face_points(stream: PortableRng) -> list[Vector]:
    """Return the 68 face points in the head's frame, with an expression drawn at random.

    Args:
        stream: Decides how far the mouth is open and the brows are raised.

    Returns:
        x to the person's left, y down, z ahead, thousandths of the body's height.
    """
    gape, lift, smile = stream.between(0, 16), stream.between(-4, 8), stream.between(-3, 4)
    jaw = [
        (-_JAW_WIDTH * cosine(k * 32) >> SINE_BITS, (_JAW_DROP * sine(k * 32) >> SINE_BITS) - 4)
        for k in range(17)
    ]
    brows = [(-x, y) for x, y in _BROW] + list(_BROW[::-1])
    eyes = [(-x, y) for x, y in _EYE] + [_EYE[k] for k in (3, 2, 1, 0, 5, 4)]
    outer = [(x, y + gape * (k > 6)) for k, (x, y) in enumerate(_OUTER_LIP)]
    inner = [(x, y + gape * (k > 4)) for k, (x, y) in enumerate(_INNER_LIP)]
    for lip, corners in ((outer, (0, 6)), (inner, (0, 4))):
        for k in corners:
            lip[k] = lip[k][0], lip[k][1] + gape // 2 - smile
    flat = [*jaw, *((x, y - lift) for x, y in brows)]
    nose = [*((0, -30 + 13 * k) for k in range(4)), *((9 * k - 18, 22) for k in range(5))]
    bump = (0, 6, 14, 22, 4, 8, 12, 8, 4)
    return [
        *(_on_ball(x, y, 0) for x, y in flat),
        *(_on_ball(x, y, out) for (x, y), out in zip(nose, bump, strict=True)),
        *(_on_ball(x, y, 0) for x, y in (*eyes, *outer, *inner)),
    ]


def _on_ball(x: int, y: int, out: int) -> Vector:
    """Put a point of the face onto the head's ball."""
    return x, y, isqrt(max(HEAD_RADIUS * HEAD_RADIUS - x * x - y * y, 0)) + out


def hand_points(stream: PortableRng, elbow: Vector, wrist: Vector) -> list[tuple[int, int]]:
    """Return the 21 points of a hand that goes on from a forearm, flat in the picture.

    Args:
        stream: Decides how the wrist is bent, which side of the hand is seen, and the fingers.
        elbow: In the viewer's frame, 1/16000 of the height.
        wrist: The same.

    Returns:
        Places in the viewer's frame, 1/16000 of the height: root, then finger by finger.
    """
    dx, dy = wrist[0] - elbow[0], wrist[1] - elbow[1]
    length = isqrt(dx * dx + dy * dy)
    if length < 20 * FINE:
        dx, dy, length = 0, 1, 1
    ux, uy = (dx << SINE_BITS) // length, (dy << SINE_BITS) // length
    bend = degrees(stream.middle(-40, 40))
    s, c = sine(bend), cosine(bend)
    ax, ay = (ux * c - uy * s) >> SINE_BITS, (uy * c + ux * s) >> SINE_BITS
    turned = stream.between(70, 100) * (1 if stream.chance(50) else -1)

    def place(along: int, across: int) -> tuple[int, int]:
        """Map 1/16 thousandths in the hand's plane into the viewer's frame."""
        side = across * turned // 100
        return (
            wrist[0] + ((along * ax - side * ay) >> SINE_BITS),
            wrist[1] + ((along * ay + side * ax) >> SINE_BITS),
        )

    points = [place(HAND_ROOT_GAP * FINE, 0)]
    spread = stream.between(-3, 5)
    for k, finger in enumerate(FINGERS):
        along, across = finger.base[0] * FINE, finger.base[1] * FINE
        points.append(place(along, across))
        fan = degrees(finger.fan + spread * (2 - k) + stream.between(-5, 5))
        reach = stream.between(72, 100)
        for piece in finger.lengths:
            along += piece * FINE * reach * cosine(fan) // (100 << SINE_BITS)
            across += piece * FINE * reach * sine(fan) // (100 << SINE_BITS)
            points.append(place(along, across))
    return points
