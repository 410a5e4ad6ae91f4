"""Keypoint sets: names, mirror pairs, OKS sigmas and skeletons.

Orders are those of the published annotation files: COCO and COCO-WholeBody
(jin-s13/COCO-WholeBody), Halpe (Fang-Haoshu/Halpe-FullBody) and MPII as HRNet's
``lib/dataset/mpii.py`` reads it.  Sigmas are dimensionless, as in COCO's keypoint evaluation:
OKS = mean(exp(-d^2 / (2 * area * (2 * sigma)^2))).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from posebench.plugins import PluginTable

Pairs = tuple[tuple[int, int], ...]
Sigmas = tuple[float, ...]


@dataclass(frozen=True)
class KeypointSet:
    """An ordered set of K keypoints.

    Attributes:
        name: Name that registry rows and files use.
        names: K keypoint names.
        flip_pairs: Indices that a mirrored image exchanges (left, right).
        sigmas: K OKS sigmas of the set's usual evaluator; empty where OKS is not the metric.
        skeleton: Pairs of indices to draw a line between.
        sigma_tables: Every published table, by name; the first is ``sigmas``.
    """

    name: str
    names: tuple[str, ...]
    flip_pairs: Pairs
    sigmas: Sigmas
    skeleton: Pairs = ()
    sigma_tables: Mapping[str, Sigmas] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.names)

    def body_and_feet(self) -> int:
        """Return how many keypoints stand before the face and the hands."""
        fine = (
            k for k, name in enumerate(self.names) if name.startswith("face_") or "hand" in name
        )
        return next(fine, len(self.names))

    def flip_index(self) -> tuple[int, ...]:
        """Return the permutation p of a mirrored person: mirrored[k] = original[p[k]]."""
        order = list(range(len(self.names)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)


def keypoint_set(name: str) -> KeypointSet:
    """Return a keypoint set by name.

    Raises:
        UserError: There is no such set, or the package that brings it gives something else.

    Example:
        >>> keypoint_set("coco_17").names[0]
        'nose'
    """
    return KEYPOINT_SETS[name]


def keypoint_sets() -> tuple[str, ...]:
    """Return the names of all keypoint sets."""
    return tuple(KEYPOINT_SETS)


def selection(source: str, target: str) -> tuple[int, ...] | None:
    """Return where the keypoints of one set stand in another, matched by name.

    MPII's neck, head and pelvis are other points of the body than Halpe's neck, head and hip, and
    no one published how to turn one into the other: its set goes with itself alone.

    Args:
        source: Set that is there.
        target: Set that is wanted.

    Returns:
        For each keypoint of ``target`` its index in ``source``; None where one is missing.

    Raises:
        UserError: There is no such set.
    """
    have, want = keypoint_set(source), keypoint_set(target)
    if source != target and "mpii_16" in (source, target):
        return None
    place = {name: index for index, name in enumerate(have.names)}
    if not place.keys() >= set(want.names):
        return None
    return tuple(place[name] for name in want.names)


# --- names -------------------------------------------------------------------------------------

COCO_NAMES = (
    "nose",
    *(f"{side}_{part}" for part in ("eye", "ear") for side in ("left", "right")),
    *(f"{side}_{part}" for part in ("shoulder", "elbow", "wrist") for side in ("left", "right")),
    *(f"{side}_{part}" for part in ("hip", "knee", "ankle") for side in ("left", "right")),
)
MPII_NAMES = (
    *("right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle"),
    *("pelvis", "thorax", "neck", "head"),
    *("right_wrist", "right_elbow", "right_shoulder"),
    *("left_shoulder", "left_elbow", "left_wrist"),
)
_FEET = ("big_toe", "small_toe", "heel")
HALPE_26_NAMES = (
    *COCO_NAMES,
    *("head", "neck", "hip"),
    *(f"{side}_{part}" for part in _FEET for side in ("left", "right")),
)
HAND_NAMES = (
    "hand_root",
    *(f"{f}_{i}" for f in ("thumb", "forefinger", "middle", "ring", "pinky") for i in range(1, 5)),
)
_FACE = tuple(f"face_{i}" for i in range(68))
_HANDS = tuple(f"{side}_{name}" for side in ("left", "right") for name in HAND_NAMES)
WHOLEBODY_NAMES = (
    *COCO_NAMES,
    *(f"{side}_{part}" for side in ("left", "right") for part in _FEET),
    *_FACE,
    *_HANDS,
)

# CrowdPose: COCO's limbs without the face, then the top of the head and the neck.
CROWDPOSE_NAMES = (*COCO_NAMES[5:], "top_head", "neck")

# --- mirror pairs ------------------------------------------------------------------------------

COCO_PAIRS: Pairs = tuple((i, i + 1) for i in range(1, 17, 2))
MPII_PAIRS: Pairs = ((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13))
CROWDPOSE_PAIRS: Pairs = tuple((i, i + 1) for i in range(0, 12, 2))
HALPE_26_PAIRS: Pairs = (*COCO_PAIRS, (20, 21), (22, 23), (24, 25))
# The 68 face points of the 300-W scheme, from its first point: jaw, brows, nostrils, eyes, lips.
FACE_PAIRS: Pairs = (
    *((i, 16 - i) for i in range(8)),
    *((17 + i, 26 - i) for i in range(5)),
    *((31, 35), (32, 34)),
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58)),
    *((60, 64), (61, 63), (65, 67)),
)

# --- sigmas ------------------------------------------------------------------------------------

# pycocotools cocoeval.py, Params.setKpParams.
COCO_SIGMAS: Sigmas = (
    *(0.026, 0.025, 0.025, 0.035, 0.035),
    *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
    *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
# mmpose configs/_base_/datasets/crowdpose.py: the head and the neck count as a shoulder.
CROWDPOSE_SIGMAS: Sigmas = (*COCO_SIGMAS[5:], 0.079, 0.079)
# mmpose configs/_base_/datasets/coco_wholebody.py.
WHOLEBODY_FOOT_SIGMAS: Sigmas = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
WHOLEBODY_FACE_SIGMAS: Sigmas = (
    *(0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020),
    *(0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041, 0.045),
    *(0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015),
    *(0.009, 0.007, 0.007, 0.007, 0.012, 0.009, 0.008, 0.016, 0.010),
    *(0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034),
    *(0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007),
    *(0.007, 0.008, 0.011, 0.008, 0.008, 0.008, 0.010, 0.008),
)
WHOLEBODY_HAND_SIGMAS: Sigmas = (
    *(0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024),
    *(0.022, 0.026, 0.017, 0.021, 0.021, 0.032, 0.020, 0.019, 0.022, 0.031),
)
WHOLEBODY_SIGMAS: Sigmas = (
    *COCO_SIGMAS,
    *WHOLEBODY_FOOT_SIGMAS,
    *WHOLEBODY_FACE_SIGMAS,
    *WHOLEBODY_HAND_SIGMAS,
    *WHOLEBODY_HAND_SIGMAS,
)
# halpecocotools cocoeval.py: head, neck, hip; feet; face and hands.
_HALPE_HEAD: Sigmas = (0.080,) * 3
_HALPE_FEET: Sigmas = (0.089,) * 6
_HALPE_FINE: Sigmas = (0.015,) * 110


def _halpe_26() -> KeypointSet:
    alphapose = (*COCO_SIGMAS, *_HALPE_HEAD, *_HALPE_FEET)
    tables = {
        # AlphaPose alphapose/utils/pPose_nms.py.
        "alphapose": alphapose,
        # mmpose configs/_base_/datasets/halpe26.py.
        "mmpose": (*COCO_SIGMAS, 0.026, 0.026, 0.066, *(0.079,) * 6),
    }
    return KeypointSet("halpe_26", HALPE_26_NAMES, HALPE_26_PAIRS, alphapose, sigma_tables=tables)


def _halpe_136() -> KeypointSet:
    halpe = (*COCO_SIGMAS, *_HALPE_HEAD, *_HALPE_FEET, *_HALPE_FINE)
    tables = {
        "halpe": halpe,
        # AlphaPose's own suppression uses wider face and hand sigmas than its metric
        # (alphapose/utils/pPose_nms.py).
        "alphapose_nms": (*halpe[:26], *(0.025,) * 110),
    }
    pairs = (*HALPE_26_PAIRS, *_shifted(FACE_PAIRS, 26), *_hand_pairs(94))
    names = (*HALPE_26_NAMES, *_FACE, *_HANDS)
    return KeypointSet("halpe_136", names, pairs, halpe, sigma_tables=tables)


def _wholebody_133() -> KeypointSet:
    tables = {
        "wholebody": WHOLEBODY_SIGMAS,
        # The flat table that AlphaPose's 133-joint evaluation uses (halpecocotools).
        "halpe": (*COCO_SIGMAS, *_HALPE_FEET, *_HALPE_FINE),
    }
    feet = ((17, 20), (18, 21), (19, 22))
    pairs = (*COCO_PAIRS, *feet, *_shifted(FACE_PAIRS, 23), *_hand_pairs(91))
    name = "wholebody_133"
    return KeypointSet(name, WHOLEBODY_NAMES, pairs, WHOLEBODY_SIGMAS, sigma_tables=tables)


def _noface_68() -> KeypointSet:
    # No one published an evaluation of this set: Halpe's own sigmas, without the face.
    sigmas = (*COCO_SIGMAS, *_HALPE_HEAD, *_HALPE_FEET, *_HALPE_FINE[:42])
    pairs = (*HALPE_26_PAIRS, *_hand_pairs(26))
    names = (*HALPE_26_NAMES, *_HANDS)
    return KeypointSet("noface_68", names, pairs, sigmas, sigma_tables={"halpe": sigmas})


def _hand_pairs(start: int) -> Pairs:
    return tuple((start + k, start + 21 + k) for k in range(21))


def _shifted(pairs: Pairs, offset: int) -> Pairs:
    return tuple((left + offset, right + offset) for left, right in pairs)


# pycocotools' person skeleton: ankles to hips, torso, arms, face.
COCO_SKELETON: Pairs = (
    *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12)),
    *((5, 11), (6, 12), (5, 6)),
    *((5, 7), (6, 8), (7, 9), (8, 10)),
    *((1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)
MPII_SKELETON: Pairs = (
    *((0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5)),
    *((6, 7), (7, 8), (8, 9)),
    *((10, 11), (11, 12), (12, 7), (7, 13), (13, 14), (14, 15)),
)
HAND_SKELETON: Pairs = tuple(
    pair for k in range(1, 21, 4) for pair in ((0, k), *((i, i + 1) for i in range(k, k + 3)))
)


# mmpose configs/_base_/datasets/crowdpose.py, which has no point called pelvis or thorax.
CROWDPOSE_SKELETON: Pairs = (
    *((10, 8), (8, 6), (11, 9), (9, 7), (6, 7)),
    *((0, 6), (1, 7), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5)),
    *((12, 13), (1, 13), (0, 13)),
)


def _sets() -> dict[str, KeypointSet]:
    coco = KeypointSet(
        *("coco_17", COCO_NAMES, COCO_PAIRS, COCO_SIGMAS, COCO_SKELETON),
        sigma_tables={"coco": COCO_SIGMAS},
    )
    hand = KeypointSet(
        *("hand_21", HAND_NAMES, (), WHOLEBODY_HAND_SIGMAS, HAND_SKELETON),
        sigma_tables={"wholebody": WHOLEBODY_HAND_SIGMAS},
    )
    mpii = KeypointSet("mpii_16", MPII_NAMES, MPII_PAIRS, (), MPII_SKELETON)
    crowdpose = KeypointSet(
        *("crowdpose_14", CROWDPOSE_NAMES, CROWDPOSE_PAIRS, CROWDPOSE_SIGMAS, CROWDPOSE_SKELETON),
        sigma_tables={"mmpose": CROWDPOSE_SIGMAS},
    )
    sets = (coco, mpii, _halpe_26(), _halpe_136(), _wholebody_133(), _noface_68(), hand, crowdpose)
    return {each.name: each for each in sets}


def _check_set(name: str, found: KeypointSet) -> None:
    """Refuse a set of another package whose parts do not fit together."""
    if found.name != name:
        raise ValueError(f"it calls itself {found.name!r}")
    if not found.names or len(set(found.names)) != len(found):
        raise ValueError("its keypoints have no names, or two have the same one")
    for what, pairs in (("flip pair", found.flip_pairs), ("line", found.skeleton)):
        for pair in pairs:
            if len(pair) != 2 or not all(0 <= index < len(found) for index in pair):
                raise ValueError(f"its {what} {pair} is not two of its {len(found)} keypoints")
    if len(flipped := [index for pair in found.flip_pairs for index in pair]) != len(set(flipped)):
        raise ValueError("a keypoint is in two of its flip pairs")
    for sigmas in (found.sigmas, *found.sigma_tables.values()):
        if len(sigmas) not in (0, len(found)) or not all(sigma > 0 for sigma in sigmas):
            raise ValueError(f"its sigmas are not {len(found)} positive numbers")


KEYPOINT_SETS: PluginTable[KeypointSet] = PluginTable(
    "keypoint set",
    "posebench.keypoint_sets",
    _sets(),
    wanted=KeypointSet,
    check=_check_set,
)
