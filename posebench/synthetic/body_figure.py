"""A whole drawn body: the figure of ``figure`` with a face, fingers and toes of its own.

Pose and skeleton are those of the plain figure; head, hands and feet are drawn from the points
themselves, so that every one of the 137 lies on something that can be seen.  As there, no colour
tells left from right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from posebench.synthetic.body_points import (
    BIG_TOE,
    FACE,
    FACE_POINTS,
    FINGER_RADIUS,
    FINGERS,
    HAND_POINTS,
    HEAD_RADIUS,
    HEAD_TOP,
    HEEL,
    LEFT_HAND,
    MID_HIP,
    NECK,
    POINTS,
    RIGHT_HAND,
    SMALL_TOE,
    UPPER_NECK,
    face_points,
    hand_points,
)
from posebench.synthetic.figure import (
    BIB,
    EAR,
    FINE,
    FOREARMS,
    HAIRS,
    HAND,
    L_ANKLE,
    L_EAR,
    L_ELBOW,
    L_EYE,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    L_WRIST,
    NOSE,
    NOSE_TIP,
    R_HIP,
    R_SHOULDER,
    SHINS,
    SHIRTS,
    SHOE,
    SKINS,
    SLEEVES,
    THIGHS,
    Part,
    Pose,
    Vector,
    draw_pose,
    head_frame,
    plus,
    skeleton,
    turn,
)
from posebench.synthetic.raster import UNIT, Colour, Point, PortableRng, degrees, shade

Name = int | str

_COLLAR: Colour = (30, 30, 30)
_BUCKLE: Colour = (40, 215, 245)
_BROW: Colour = (25, 30, 45)
_WHITE: Colour = (245, 245, 245)
_IRIS: Colour = (130, 30, 10)
_LIP: Colour = (60, 45, 200)
_MOUTH: Colour = (30, 10, 70)
_SOLE: Colour = (60, 30, 60)
_TOES: tuple[Colour, Colour] = ((40, 130, 250), (220, 200, 40))
# Each finger has a hue of its own, the same on both hands.
_FINGERS: tuple[Colour, ...] = (
    (45, 45, 200), (50, 215, 240), (80, 190, 60), (235, 225, 225), (190, 70, 40),
)  # fmt: skip

FACE_GROUP = tuple(range(FACE, FACE + FACE_POINTS))
_HEAD_GROUP = (*range(5), HEAD_TOP, UPPER_NECK, *FACE_GROUP)
# What lies behind the head's middle by less than this still faces the viewer.
_MARGIN = -14 * FINE
# The face can be seen when the nose stands out this far towards the viewer (about 65 degrees).
_FRONTAL = 35 * FINE


@dataclass(slots=True)
class Body:
    """A posed person with fine points.

    Attributes:
        points: 137, 1/8 px: Halpe's 136 in Halpe's order, then MPII's upper neck.
        facing: For each point whether it faces the viewer (False: behind the own head).
        frontal: Whether so much of the face is seen that somebody would label it.
        head_box: Two corners (left, top) and (right, bottom) of the head, 1/8 px.
        parts: In painting order.
    """

    points: list[Point]
    facing: list[bool]
    frontal: bool
    head_box: tuple[Point, Point]
    parts: list[Part] = field(default_factory=list)


def _view(stream: PortableRng) -> int:
    """Return a viewing direction (1/1024 turn): mostly from the front, where faces are."""
    kind = stream.below(100)
    base = 0 if kind < 72 else 512 if kind < 80 else 256 if kind < 90 else -256
    return base + stream.middle(-110, 110)


def _fine_skeleton(stream: PortableRng, pose: Pose) -> dict[Name, Vector]:
    """Return all points but the hands in the body's frame, 1/16000 of the height."""
    points = skeleton(pose)
    up = tuple(h - n for h, n in zip(points["head"], points["neck"], strict=True))

    def along_neck(share: int) -> Vector:
        x, y, z = (part * share // 100 for part in up)
        return plus(points["neck"], (x, y, z))

    points[NECK], points[MID_HIP] = points["neck"], points["pelvis"]
    points[UPPER_NECK], points["head"] = along_neck(38), along_neck(112)
    place = head_frame(points["head"], pose)
    points["hair"], points[HEAD_TOP] = place(0, -22, -18), place(0, -106, -8)
    for k, spot in enumerate(face_points(stream)):
        points[FACE + k] = place(*spot)
    points[NOSE] = place(0, 14, HEAD_RADIUS + 20)
    for k, side in enumerate((1, -1)):
        points[L_EYE + k] = place(side * 36, -24, 90)
        points[L_EAR + k] = place(side * 96, -6, 0)
        out = degrees(side * stream.between(-5, 28))
        for name, spot in (
            (BIG_TOE, (side * -10, 30, 82)),
            (SMALL_TOE, (side * 30, 32, 64)),
            (HEEL, (0, 32, -30)),
        ):
            x, y, z = (value * FINE for value in spot)
            points[name + k] = plus(points[L_ANKLE + k], turn((x, y, z), out))
    return points


def _add_hands(stream: PortableRng, view: dict[Name, Vector]) -> None:
    """Add the 42 hand points to points that are already seen from the viewer."""
    for k, first in enumerate((LEFT_HAND, RIGHT_HAND)):
        wrist = view[L_WRIST + k]
        for number, (x, y) in enumerate(hand_points(stream, view[L_ELBOW + k], wrist)):
            view[first + number] = x, y, wrist[2]


def make_body(stream: PortableRng, centre: Point, height: int) -> Body:
    """Pose and dress one person.

    Args:
        stream: Decides pose, view, expression and colours.
        centre: Middle of the pelvis, 1/8 px.
        height: Length of the upright body, 1/8 px.

    Returns:
        The body, parts in painting order.
    """
    points = _fine_skeleton(stream, draw_pose(stream))
    yaw = _view(stream)
    view = {name: turn(point, yaw) for name, point in points.items()}
    _add_hands(stream, view)
    places = {
        name: (
            centre[0] + x * height // (1000 * FINE),
            centre[1] + y * height // (1000 * FINE),
        )
        for name, (x, y, _) in view.items()
    }
    own = (*range(5), *FACE_GROUP)
    head, middle = view["head"][2], places["head"]
    facing = [name not in own or view[name][2] - head > _MARGIN for name in range(POINTS)]
    radius = HEAD_RADIUS * height // 1000
    corners = (
        (middle[0] - radius, middle[1] - radius),
        (middle[0] + radius, middle[1] + radius),
    )
    body = Body(
        [places[k] for k in range(POINTS)], facing, view[NOSE][2] - head > _FRONTAL, corners
    )
    tailor = _Tailor(stream, view, places, height)
    tailor.dress_trunk_and_limbs()
    tailor.dress_hands()
    tailor.dress_head()
    body.parts = sorted(tailor.parts, key=lambda part: part.depth)
    return body


class _Tailor:
    """Covers the points with coloured parts.

    Args:
        stream: Decides build and colours.
        view: Points in the viewer's frame, 1/16000 of the height.
        places: The same points in the picture, 1/8 px.
        height: Of the body, 1/8 px.
    """

    def __init__(
        self,
        stream: PortableRng,
        view: dict[Name, Vector],
        places: dict[Name, Point],
        height: int,
    ) -> None:
        self.stream, self.view, self.places, self.height = stream, view, places, height
        self.parts: list[Part] = []
        self.build = stream.between(92, 118)
        self.skin = self.tint(SKINS)

    def tint(self, choices: Sequence[Colour]) -> Colour:
        """Return one of the colours, slightly changed."""
        b, g, r = self.stream.pick(choices)
        return (
            b + self.stream.between(-18, 18),
            g + self.stream.between(-18, 18),
            r + self.stream.between(-18, 18),
        )

    def depth(self, names: Sequence[Name]) -> int:
        """Return the mean depth of some points."""
        return sum(self.view[name][2] for name in names) // len(names)

    def add(
        self,
        names: Sequence[Name],
        thick: int,
        colour: Colour,
        lift: int,
        sees: tuple[int, ...],
        depth: int | None = None,
    ) -> None:
        """Add one part over some points.

        Args:
            names: One point (disc), two (capsule) or more (convex polygon).
            thick: Radius or rim, thousandths of the height.
            colour: BGR before shading.
            lift: How much nearer than its points it counts when painting, thousandths.
            sees: Keypoints that count as seen where this part is on top.
            depth: Counts instead of the points' own depth.
        """
        own = self.depth(names) if depth is None else depth
        gain = min(310, max(150, 236 + own // (3 * FINE)))
        radius = max(thick * self.height // 1000, UNIT * 5 // 8)
        corners = tuple(self.places[name] for name in names)
        self.parts.append(Part(corners, radius, shade(colour, gain), own + lift * FINE, sees))

    def dress_trunk_and_limbs(self) -> None:
        """Add shirt, trousers, sleeves, shoes."""
        shirt, sleeve, forearm = self.tint(SHIRTS), self.tint(SLEEVES), self.tint(FOREARMS)
        thigh, shin = self.tint(THIGHS), self.tint(SHINS)
        trunk = (L_SHOULDER, R_SHOULDER, L_HIP, R_HIP, NECK, MID_HIP)
        build = self.build

        def cover(names: tuple[Name, ...], thick: int, colour: Colour, lift: int,
                  sees: tuple[int, ...]) -> None:  # fmt: skip
            self.add(names, thick * build // 100, colour, lift, sees)

        cover((L_SHOULDER, R_SHOULDER, R_HIP, L_HIP), 40, shirt, 0, trunk)
        cover((MID_HIP,), 62, thigh, -6, (L_HIP, R_HIP, MID_HIP))
        cover(("chest", "belly"), 22, BIB, -30, trunk)
        self.add((MID_HIP,), 16, _BUCKLE, 36, (MID_HIP,))
        self.add((NECK, "head"), 36, self.skin, -12, (NECK, UPPER_NECK))
        self.add((NECK,), 20, _COLLAR, 8, (NECK,))
        for k in range(2):
            shoulder, elbow, wrist = L_SHOULDER + k, L_ELBOW + k, L_WRIST + k
            hip, knee, ankle = L_HIP + k, L_KNEE + k, L_ANKLE + k
            cover((hip, knee), 46, thigh, 26, (hip, knee))
            cover((knee, ankle), 35, shin, 22, (knee, ankle))
            cover((shoulder, elbow), 33, sleeve, 34, (shoulder, elbow))
            cover((elbow, wrist), 26, forearm, 44, (elbow, wrist))
            big, small, heel = BIG_TOE + k, SMALL_TOE + k, HEEL + k
            foot = (ankle, big, small, heel)
            self.add((heel, big, small), 17, SHOE, 30, foot)
            self.add((ankle, heel), 24, SHOE, 28, foot)
            self.add((heel,), 15, _SOLE, 34, foot)
            self.add((big,), 16, _TOES[0], 36, foot)
            self.add((small,), 14, _TOES[1], 35, foot)

    def dress_hands(self) -> None:
        """Add palms and fingers; a hand lies in front of its forearm."""
        for k, first in enumerate((LEFT_HAND, RIGHT_HAND)):
            wrist = L_WRIST + k
            hand = (wrist, *range(first, first + HAND_POINTS))
            bases = [first + 1 + 4 * f for f in range(len(FINGERS))]
            self.add((first, bases[0], bases[1], bases[2], bases[4]), 10, HAND, 50, hand)
            for finger, (base, colour) in enumerate(zip(bases, _FINGERS, strict=True)):
                for piece in range(3):
                    names = (base + piece, base + piece + 1)
                    self.add(names, FINGER_RADIUS, colour, 54 + finger, hand)
            self.add((wrist,), 20, HAND, 49, hand)

    def dress_head(self) -> None:
        """Add head, hair and the face, each feature where it faces the viewer."""
        self.add(("head",), HEAD_RADIUS, self.skin, 20, _HEAD_GROUP)
        self.add(("hair",), HEAD_RADIUS - 12, self.tint(HAIRS), 24, _HEAD_GROUP)
        self.add((HEAD_TOP,), 14, _COLLAR, 26, _HEAD_GROUP)
        for ear in (L_EAR, L_EAR + 1):
            self._feature((ear,), 24, EAR, 0)
        beard = shade(self.skin, 200)
        for k in range(0, 16, 2):
            self._feature((FACE + k, FACE + k + 2), 6, beard, 1)
        for first in (17, 22):
            for k in (0, 2):
                self._feature((FACE + first + k, FACE + first + k + 2), 6, _BROW, 2)
        for first, centre in ((36, L_EYE + 1), (42, L_EYE)):
            self._feature(tuple(range(FACE + first, FACE + first + 6)), 4, _WHITE, 3)
            self._feature((centre,), 8, _IRIS, 4)
        self._feature(tuple(FACE + k for k in (48, 50, 52, 54, 56, 58)), 4, _LIP, 3)
        self._feature(tuple(FACE + k for k in (60, 62, 64, 66)), 2, _MOUTH, 4)
        self._feature((FACE + 27, FACE + 30), 6, shade(self.skin, 285), 5)
        self._feature((FACE + 31, FACE + 35), 6, beard, 6)
        self._feature((NOSE,), 10, NOSE_TIP, 7)

    def _feature(self, names: tuple[int, ...], thick: int, colour: Colour, order: int) -> None:
        """Add a part of the face, if its middle faces the viewer."""
        head = self.view["head"][2]
        if self.depth(names) - head > _MARGIN:
            self.add(names, thick, colour, 26 + order, _HEAD_GROUP, head)
