"""Keypoint sets once more, written out: mirror pairs, sigmas of the suppressions, parts."""

from __future__ import annotations

COCO = [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)]
HALPE_FEET = [(20, 21), (22, 23), (24, 25)]
HALPE_FACE = [
    *[(26, 42), (27, 41), (28, 40), (29, 39), (30, 38), (31, 37), (32, 36), (33, 35)],
    *[(43, 52), (44, 51), (45, 50), (46, 49), (47, 48)],
    *[(62, 71), (63, 70), (64, 69), (65, 68), (66, 73), (67, 72)],
    *[(57, 61), (58, 60)],
    *[(74, 80), (75, 79), (76, 78), (87, 89), (93, 91), (86, 90), (85, 81), (84, 82)],
]
WHOLEBODY_FEET = [(17, 20), (18, 21), (19, 22)]
WHOLEBODY_FACE = [
    *[(23, 39), (24, 38), (25, 37), (26, 36), (27, 35), (28, 34), (29, 33), (30, 32)],
    *[(40, 49), (41, 48), (42, 47), (43, 46), (44, 45)],
    *[(59, 68), (60, 67), (61, 66), (62, 65), (63, 70), (64, 69)],
    *[(54, 58), (55, 57)],
    *[(71, 77), (72, 76), (73, 75), (84, 86), (90, 88), (83, 87), (82, 78), (81, 79)],
]

PAIRS = {
    "coco_17": COCO,
    "mpii_16": [(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)],
    "halpe_26": COCO + HALPE_FEET,
    "halpe_136": COCO + HALPE_FEET + HALPE_FACE + [(94 + k, 115 + k) for k in range(21)],
    "wholebody_133": COCO
    + WHOLEBODY_FEET
    + WHOLEBODY_FACE
    + [(91 + k, 112 + k) for k in range(21)],
    "noface_68": COCO + HALPE_FEET + [(26 + k, 47 + k) for k in range(21)],
    "hand_21": [],
}

COUNT = {
    "coco_17": 17,
    "mpii_16": 16,
    "halpe_26": 26,
    "halpe_136": 136,
    "wholebody_133": 133,
    "noface_68": 68,
    "hand_21": 21,
}

# In thousandths, as AlphaPose's and HRNet's suppressions hold them.
COCO_SIGMAS = [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]
SUPPRESSION_SIGMAS = {
    "coco_17": COCO_SIGMAS,
    "halpe_26": COCO_SIGMAS + 3 * [80] + 6 * [89],
    "halpe_136": COCO_SIGMAS + 3 * [80] + 6 * [89] + 110 * [25],
}


def heatmap_joints(joints):
    """How many joints of a combined model are read from peaks: all but the last 110, or 42."""
    return joints - (42 if joints == 68 else 110)
