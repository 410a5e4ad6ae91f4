"""An articulated person: pose, view, and the coloured parts it is drawn from.

The body is a small 3D skeleton seen in parallel projection.  In the body's own frame x points to
the person's left, y down and z ahead, in thousandths of its height; after the view is applied, z
points to the viewer.  A person who faces the viewer thus has the left side at the viewer's right.

No colour tells left from right: both sides of a limb share one colour, only depth shades them
(what is farther away is darker).  A mirrored picture with left and right swapped is therefore a
valid picture of the same distribution, which the flip test relies on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from posebench.synthetic.raster import (
    SINE_BITS,
    UNIT,
    Colour,
    Point,
    PortableRng,
    cosine,
    degrees,
    shade,
    sine,
)

Vector = tuple[int, int, int]

(
    NOSE, L_EYE, R_EYE, L_EAR, R_EAR, L_SHOULDER, R_SHOULDER, L_ELBOW, R_ELBOW, L_WRIST, R_WRIST,
    L_HIP, R_HIP, L_KNEE, R_KNEE, L_ANKLE, R_ANKLE,
) = range(17)  # fmt: skip

# Lengths in thousandths of the body's height; one part in sixteen is kept below that.
FINE = 16
_SHOULDER_HALF, _HIP_HALF, TRUNK, _NECK = 112, 72, 290, 142
_UPPER_ARM, _FOREARM, _THIGH, _SHIN, _FOOT = 168, 158, 238, 232, 75
_HEAD = 78

# BGR. Clothing varies from person to person, but each limb keeps its family of hues.
SHIRTS: tuple[Colour, ...] = ((60, 50, 215), (50, 130, 225), (70, 70, 190))
SLEEVES: tuple[Colour, ...] = ((70, 215, 235), (60, 195, 215))
FOREARMS: tuple[Colour, ...] = ((80, 200, 70), (110, 215, 105))
THIGHS: tuple[Colour, ...] = ((205, 75, 45), (190, 95, 70))
SHINS: tuple[Colour, ...] = ((215, 190, 60), (225, 205, 95))
SKINS: tuple[Colour, ...] = ((160, 190, 235), (135, 170, 220), (105, 140, 190))
HAIRS: tuple[Colour, ...] = ((30, 35, 50), (25, 50, 85), (40, 40, 40))
HAND: Colour = (200, 90, 215)
SHOE: Colour = (125, 35, 120)
BIB: Colour = (245, 245, 245)
_EYE: Colour = (130, 30, 10)
NOSE_TIP: Colour = (40, 40, 235)
EAR: Colour = (60, 120, 240)


@dataclass(frozen=True, slots=True)
class Part:
    """One coloured shape of a figure.

    Attributes:
        points: One point (disc), two (capsule) or four (filled quadrilateral), 1/8 px.
        radius: Thickness of disc or capsule; of a quadrilateral, how far its rim reaches; 1/8 px.
        colour: BGR, already shaded by depth.
        depth: Towards the viewer is greater; parts are painted in rising order.
        joints: Keypoints that count as seen where this part is on top.
    """

    points: tuple[Point, ...]
    radius: int
    colour: Colour
    depth: int
    joints: tuple[int, ...] = ()


@dataclass(slots=True)
class Figure:
    """A posed person in an image.

    Attributes:
        joints: 17 COCO keypoints, 1/8 px.
        facing: For each keypoint whether it faces the viewer (False: behind the own head).
        parts: In painting order.
    """

    joints: list[Point]
    facing: list[bool]
    parts: list[Part] = field(default_factory=list)


def turn(vector: Vector, yaw: int) -> Vector:
    """Rotate about the vertical axis (1/1024 turn)."""
    x, y, z = vector
    s, c = sine(yaw), cosine(yaw)
    return (x * c + z * s) >> SINE_BITS, y, (z * c - x * s) >> SINE_BITS


def nod(vector: Vector, pitch: int) -> Vector:
    """Rotate about the left-right axis; positive bends what is above forward."""
    x, y, z = vector
    s, c = sine(pitch), cosine(pitch)
    return x, (y * c + z * s) >> SINE_BITS, (z * c - y * s) >> SINE_BITS


def roll(vector: Vector, angle: int) -> Vector:
    """Rotate about the front-back axis."""
    x, y, z = vector
    s, c = sine(angle), cosine(angle)
    return (x * c - y * s) >> SINE_BITS, (y * c + x * s) >> SINE_BITS, z


def plus(a: Vector, b: Vector) -> Vector:
    """Return the sum of two vectors."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _limb(side: int, spread: int, lift: int, length: int) -> Vector:
    """Return a limb hanging down, spread sideways and then lifted ahead (degrees)."""
    s, c = sine(degrees(spread)), cosine(degrees(spread))
    fine = length * FINE
    down = fine * c >> SINE_BITS
    swing = degrees(lift)
    return (
        side * (fine * s >> SINE_BITS),
        down * cosine(swing) >> SINE_BITS,
        down * sine(swing) >> SINE_BITS,
    )


@dataclass(frozen=True, slots=True)
class Pose:
    """Angles in degrees; arms and legs as (spread, lift, spread of the lower half, bend)."""

    lean: int
    tilt: int
    head: Vector
    arms: tuple[tuple[int, int, int, int], tuple[int, int, int, int]]
    legs: tuple[tuple[int, int, int, int], tuple[int, int, int, int]]


def _arm(stream: PortableRng) -> tuple[int, int, int, int]:
    kind = stream.below(100)
    if kind < 35:  # hanging
        spread, lift, bend = stream.between(4, 30), stream.between(-20, 25), stream.middle(0, 50)
    elif kind < 60:  # reaching ahead
        spread, lift, bend = stream.between(0, 45), stream.between(30, 110), stream.between(0, 100)
    elif kind < 82:  # out to the side
        spread, lift, bend = stream.between(40, 110), stream.between(-15, 30), stream.middle(0, 60)
    else:  # overhead
        spread, lift, bend = stream.between(120, 172), stream.between(-15, 15), 0
    inward = stream.between(-70, 45) if kind < 60 else stream.between(-40, 70)
    return spread, lift, spread + inward, bend


def _legs(stream: PortableRng) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
    kind = stream.below(100)
    legs = []
    stride = stream.between(12, 42) * (1 if stream.chance(50) else -1)
    for side in (1, -1):
        spread = stream.between(1, 22)
        if kind < 40:  # standing
            lift, bend = stream.between(-8, 12), stream.between(0, 12)
        elif kind < 75:  # walking or running
            lift = side * stride + stream.between(-6, 10)
            bend = stream.between(5, 40) if lift > 0 else stream.between(10, 75)
        elif kind < 92:  # sitting
            lift, bend = stream.between(65, 98), stream.between(60, 105)
        else:  # legs apart
            spread, lift, bend = (
                stream.between(20, 50),
                stream.between(-5, 25),
                stream.middle(0, 70),
            )
        legs.append((spread, lift, spread + stream.between(-12, 6), bend))
    return legs[0], legs[1]


def draw_pose(stream: PortableRng) -> Pose:
    """Draw the angles of one person."""
    lean = stream.middle(-8, 20) if stream.chance(80) else stream.between(15, 50)
    head = stream.middle(-55, 55), stream.middle(-15, 30), stream.middle(-18, 18)
    return Pose(lean, stream.middle(-14, 14), head, (_arm(stream), _arm(stream)), _legs(stream))


def skeleton(pose: Pose) -> dict[int | str, Vector]:
    """Return joints and helper points in the body's frame, 1/16000 of the height."""
    points: dict[int | str, Vector] = {}
    lean, tilt = degrees(pose.lean), degrees(pose.tilt)

    def upper(vector: Vector) -> Vector:
        fine = vector[0] * FINE, vector[1] * FINE, vector[2] * FINE
        return roll(nod(fine, lean), tilt)

    neck = upper((0, -TRUNK, 0))
    points["neck"], points["pelvis"] = neck, (0, 0, 0)
    points["chest"], points["belly"] = upper((0, -TRUNK + 40, 44)), upper((0, -50, 44))
    for k, side in enumerate((1, -1)):
        points[L_SHOULDER + k] = upper((side * _SHOULDER_HALF, -TRUNK, 0))
        spread, lift, lower, bend = pose.arms[k]
        elbow = plus(points[L_SHOULDER + k], _limb(side, spread, lift, _UPPER_ARM))
        points[L_ELBOW + k] = elbow
        points[L_WRIST + k] = plus(elbow, _limb(side, lower, lift + bend, _FOREARM))
        points[L_HIP + k] = side * _HIP_HALF * FINE, 0, 0
        spread, lift, lower, bend = pose.legs[k]
        knee = plus(points[L_HIP + k], _limb(side, spread, lift, _THIGH))
        points[L_KNEE + k] = knee
        ankle = plus(knee, _limb(side, lower, lift - bend, _SHIN))
        points[L_ANKLE + k] = ankle
        points["left toe" if side > 0 else "right toe"] = plus(
            ankle, (side * 12 * FINE, 26 * FINE, _FOOT * FINE)
        )
    _add_head(points, upper((0, -TRUNK - _NECK, 14)), pose)
    return points


def head_frame(centre: Vector, pose: Pose) -> Callable[[int, int, int], Vector]:
    """Return what maps a place in the head's own frame into the body's.

    Args:
        centre: Middle of the head, 1/16000 of the height.
        pose: Holds how the head is turned.

    Returns:
        Function of x, y, z in thousandths of the height.
    """
    yaw, pitch, tilt = (degrees(angle) for angle in pose.head)

    def place(x: int, y: int, z: int) -> Vector:
        fine = x * FINE, y * FINE, z * FINE
        return plus(centre, turn(roll(nod(fine, pitch), tilt), yaw))

    return place


def _add_head(points: dict[int | str, Vector], centre: Vector, pose: Pose) -> None:
    place = head_frame(centre, pose)
    points["head"] = centre
    points["hair"] = place(0, -20, -20)
    points["mouth"] = place(0, 42, 62)
    points[NOSE] = place(0, 12, 82)
    for k, side in enumerate((1, -1)):
        points[L_EYE + k] = place(side * 31, -14, 64)
        points[L_EAR + k] = place(side * 76, 2, 0)


def draw_view(stream: PortableRng) -> int:
    """Return a viewing direction (1/1024 turn): front, back and both sides, any between."""
    kind = stream.below(100)
    base = 0 if kind < 45 else 512 if kind < 60 else 256 if kind < 80 else -256
    return base + stream.middle(-110, 110)


def make_figure(stream: PortableRng, centre: Point, height: int) -> Figure:
    """Pose and dress one person.

    Args:
        stream: Decides pose, view and colours.
        centre: Middle of the pelvis, 1/8 px.
        height: Length of the upright body, 1/8 px.

    Returns:
        The figure, parts in painting order.
    """
    points = skeleton(draw_pose(stream))
    yaw = draw_view(stream)
    view = {name: turn(point, yaw) for name, point in points.items()}

    def project(name: int | str) -> Point:
        x, y, _ = view[name]
        return centre[0] + x * height // (1000 * FINE), centre[1] + y * height // (1000 * FINE)

    joints = [project(k) for k in range(17)]
    margin = -14 * FINE
    head = view["head"][2]
    facing = [view[k][2] - head > margin for k in range(5)]
    figure = Figure(joints, facing + [True] * 12)
    places = {name: project(name) for name in view}
    figure.parts = _dress(stream, view, places, height)
    return figure


def _dress(
    stream: PortableRng, view: dict[int | str, Vector], places: dict[int | str, Point], height: int
) -> list[Part]:
    """Cover the skeleton with coloured parts, farthest first."""
    width = stream.between(88, 118)
    parts: list[Part] = []

    def add(
        names: tuple[int | str, ...], thick: int, colour: Colour, lift: int, sees: tuple[int, ...]
    ) -> None:
        depth = sum(view[name][2] for name in names) // len(names)
        radius = max(thick * width * height // 100_000, UNIT * 5 // 8)
        # Half the body's depth (about 200 thousandths) changes the brightness by a quarter.
        gain = min(310, max(150, 236 + depth // (3 * FINE)))
        tone = shade(colour, gain)
        parts.append(Part(tuple(places[n] for n in names), radius, tone, depth + lift * FINE, sees))

    def tint(choices: tuple[Colour, ...]) -> Colour:
        b, g, r = stream.pick(choices)
        return b + stream.between(-18, 18), g + stream.between(-18, 18), r + stream.between(-18, 18)

    shirt, sleeve, forearm = tint(SHIRTS), tint(SLEEVES), tint(FOREARMS)
    thigh, shin, skin, hair = tint(THIGHS), tint(SHINS), tint(SKINS), tint(HAIRS)
    trunk = (L_SHOULDER, R_SHOULDER, L_HIP, R_HIP)
    add((L_SHOULDER, R_SHOULDER, R_HIP, L_HIP), 40, shirt, 0, trunk)
    add(("pelvis", "pelvis"), 62, thigh, -6, (L_HIP, R_HIP))
    add(("chest", "belly"), 22, BIB, -30, trunk)
    add(("neck", "head"), 30, skin, -12, ())
    for k, toe in enumerate(("left toe", "right toe")):
        shoulder, elbow, wrist = L_SHOULDER + k, L_ELBOW + k, L_WRIST + k
        hip, knee, ankle = L_HIP + k, L_KNEE + k, L_ANKLE + k
        add((hip, knee), 46, thigh, 26, (hip, knee))
        add((knee, ankle), 35, shin, 22, (knee, ankle))
        add((ankle, toe), 29, SHOE, 30, (ankle,))
        add((shoulder, elbow), 33, sleeve, 34, (shoulder, elbow))
        add((elbow, wrist), 26, forearm, 44, (elbow, wrist))
        add((wrist, wrist), 33, HAND, 50, (wrist,))
    add(("head", "head"), _HEAD, skin, 20, ())
    add(("hair", "hair"), _HEAD - 3, hair, 24, ())
    face = view["head"][2] + 20 * FINE
    features: list[tuple[int | str, int, Colour]] = [
        (L_EAR, 22, EAR), (R_EAR, 22, EAR), (L_EYE, 15, _EYE), (R_EYE, 15, _EYE),
        ("mouth", 13, (40, 20, 130)), (NOSE, 17, NOSE_TIP),
    ]  # fmt: skip
    for name, thick, colour in features:
        if view[name][2] - view["head"][2] > -14 * FINE:
            lift = (face - view[name][2]) // FINE + 26
            add((name,), thick, colour, lift, (name,) if isinstance(name, int) else ())
    return sorted(parts, key=lambda part: part.depth)
