"""Heatmaps and tag maps of known persons, and what two groupings of them must have in common."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from posebench.inference.grouping import Maps, Peaks
from posebench.keypoints import keypoint_set

FLIP = keypoint_set("coco_17").flip_index()
PAIRS = keypoint_set("coco_17").flip_pairs
# What tells persons apart well, badly and not at all.
SETTINGS = [
    {"people": 3},
    {"people": 8, "dims": 1},
    {"people": 8, "missing": 0.7},
    {"people": 6, "gap": 0.6, "spread": 0.3},  # two persons with close tags
    {"people": 12, "gap": 0.2, "spread": 0.5},  # tags that tell nothing
    {"people": 4, "noise": 0.3},  # peaks of nobody, and missing joints to be found
    {"people": 10, "noise": 0.6, "gap": 0.8, "spread": 0.4},
]


def field(
    seed, people, *, joints=17, size=(48, 64), dims=2, spread=0.1, gap=1.5, missing=0.2, noise=0.0
):
    """Maps of persons at random cells, tags a grid with ``gap``; and where each joint was put.

    Cells of one joint lie apart, so that no peak hides another.
    """
    generator = np.random.default_rng(seed)
    height, width = size
    heat = generator.uniform(-0.05, noise, (joints, height, width))
    tags = generator.normal(0, 3, (dims, joints, height, width))
    truth = np.full((people, joints, 2), -1)
    for joint in range(joints):
        lattice = list(itertools.product(range(4, height - 4, 7), range(4, width - 4, 7)))
        cells = generator.permutation(lattice)[:people]
        for person, (y, x) in enumerate(cells):
            if generator.random() < missing and joint:
                continue
            truth[person, joint] = x, y
            reach = np.s_[y - 3 : y + 4, x - 3 : x + 4]
            dy, dx = np.mgrid[-3:4, -3:4]
            peak = generator.uniform(0.15, 1.0)
            heat[joint][reach] = np.maximum(heat[joint][reach], peak * np.exp(-(dx**2 + dy**2) / 4))
            own = gap * np.array([person // 6, person % 6] if dims == 2 else [person])
            for d in range(dims):
                tags[d, joint][reach] = own[d] + generator.normal(0, spread)
    return Maps(torch.from_numpy(heat).float(), torch.from_numpy(tags).float()), truth


def peak_set(*rows):
    """Peaks from (joint, heat, *tags), at cells in the order given."""
    joint, heat = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], np.float32)
    tags = np.array([r[2:] for r in rows], np.float32)
    return Peaks(joint, np.arange(len(rows)), np.arange(len(rows)), heat, tags)


def assert_same_people(found, expected):
    """Persons against reference code's (xy, scores, score)."""
    assert len(found) == len(expected)
    for row, (xy, scores, score) in enumerate(expected):
        np.testing.assert_array_equal(found.xy[row], xy)
        np.testing.assert_array_equal(found.joint_scores[row], scores)
        assert found.score[row] == pytest.approx(score, abs=1e-6)
    return found
