"""mmpose's way of grouping: against reference code, and where it differs from PaddleDetection's."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
import reference_grouping
import torch
from grouping_maps import FLIP, PAIRS, SETTINGS, assert_same_people, field, peak_set

pytest.importorskip("munkres")

import reference_grouping_filled

from posebench.inference import grouping, refine_missing
from posebench.inference.grouping import WAYS, Maps, full_maps, group, joint_order
from posebench.inference.instances import find_people
from posebench.keypoints import keypoint_set
from posebench.types.errors import UserError
from posebench.types.protocol import GROUPINGS

WAY = WAYS["associative_embedding_filled"]
ORDER = joint_order(keypoint_set("coco_17"), WAY)


def assert_as_reference(maps):
    joints = len(maps.heat)
    found = find_people(maps, WAY, ORDER if joints == 17 else range(joints))
    tags = maps.tags.permute(1, 2, 3, 0).numpy()
    return assert_same_people(found, reference_grouping_filled.people(maps.heat.numpy(), tags))


@pytest.mark.parametrize("setting", [{"people": 12, "size": (48, 56)}, *SETTINGS], ids=str)
def test_equal_to_reference_code(setting):
    for seed in range(2):
        maps, _ = field(seed, **({"joints": 6, "size": (34, 48)} | setting))
        assert_as_reference(maps)


def test_all_seventeen_joints_equal_reference_code():
    for seed in range(3):
        maps, _ = field(seed, 9, noise=0.12, missing=0.4)
        found = assert_as_reference(maps)
        assert found.joint_scores.all(), "every joint is filled"


def test_at_most_thirty_persons_but_joints_may_join_any():
    generator = np.random.default_rng(0)
    heat = np.full((3, 60, 60), -1.0)
    tags = np.zeros((1, 3, 60, 60))
    for joint in range(3):
        cells = generator.permutation(list(itertools.product(range(3, 58, 6), repeat=2)))[:30]
        for number, (y, x) in enumerate(cells):
            heat[joint, y, x] = 0.2 + number / 100
            # the second joints start thirty persons more, which the third ones join
            tags[0, joint, y, x] = 2 * number + (0.3 if joint == 2 else 0) + 1000 * (joint > 0)
    maps = Maps(torch.from_numpy(heat).float(), torch.from_numpy(tags).float())
    found = assert_as_reference(maps)
    assert len(found) == 30
    assert (found.joint_scores[:, 0] > 0).all()
    assert (found.joint_scores[:, 1:] < 0).all() or (found.score < 0.2).all()


def test_a_near_person_is_taken_rather_than_nobody():
    """The other way of grouping leaves the peak that is farther off alone."""
    peaks = peak_set((0, 0.9, 0.0), (0, 0.8, 3.0), (1, 0.9, 0.6), (1, 0.3, 0.2))
    # rounded, one is 1 off the first person and 2 off the second, the other 0 and 3
    assert group(peaks, range(2), WAY).peak.tolist() == [[0, 3], [1, -1], [-1, 2]]
    alone = peak_set((0, 0.9, 0.0), (1, 0.9, 0.8), (1, 0.3, 0.9))
    assert group(alone, range(2), WAY).peak[0].tolist() == [0, 1]


def test_a_new_person_of_a_known_name_starts_its_tags_anew():
    peaks = peak_set((0, 0.9, 1.5, 0.0), (1, 0.8, 1.5, 5.0))
    found = group(peaks, range(2), WAY)
    assert found.peak.tolist() == [[0, 1]]
    assert found.tag.tolist() == [[1.5, 5.0]]


def test_costs_are_doubles():
    """In single precision these two heats beside a cost of a hundred are one."""
    near, far = np.float32(0.5), np.float32(0.5 + 3.5e-6)
    assert near != far
    assert np.float32(100) - near == np.float32(100) - far
    peaks = peak_set((0, 0.9, 0.0), (1, near, 0.7), (1, far, 0.8))
    # both are one off; the hotter one is matched
    assert group(peaks, range(2), WAY).peak[0].tolist() == [0, 2]


def test_every_decoding_that_groups_has_its_way():
    assert tuple(WAYS) == GROUPINGS


def test_joints_come_from_the_head_outwards():
    assert tuple(reference_grouping_filled.OUTWARDS) == ORDER
    assert joint_order(keypoint_set("coco_17"), WAYS["associative_embedding"]) == tuple(range(17))
    assert joint_order(keypoint_set("mpii_16"), WAY) == tuple(range(16))
    # hips (11) before elbows (7): a chain of tags joins in that order alone
    chain = [(0, 0.9, 0.0), (7, 0.9, 1.3), (11, 0.9, 0.8)]
    assert len(group(peak_set(*chain), ORDER, WAY).tag) == 1
    assert len(group(peak_set(*chain), range(17), WAY).tag) == 2


@pytest.mark.parametrize(("y", "x"), [(0, 0), (6, 6), (0, 6), (1, 3), (3, 1), (5, 5), (2, 2)])
def test_cells_at_the_border_stay(y, x):
    for dy, dx in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        heat = torch.zeros(1, 7, 7)
        heat[0, y, x] = 0.5
        heat[0, min(max(y + dy, 0), 6), min(max(x + dx, 0), 6)] += 0.2
        assert_as_reference(Maps(heat, torch.zeros(1, 1, 7, 7)))


def test_of_equal_cells_the_first_is_filled_in(monkeypatch):
    heat, tags = torch.zeros(2, 9, 9), torch.full((1, 2, 9, 9), 3.0)
    heat[0, 2, 2], tags[0, 0, 2, 2] = 0.8, 0.0
    heat[1, 5, 5] = heat[1, 7, 7] = 0.05
    found = assert_as_reference(Maps(heat, tags))
    # a distance of 3 costs 300, beside which single precision forgets half of the heat's digits
    assert found.xy[0, 1].tolist() == [5, 5]
    tags[0, 1, 1, 1] = 0.4  # nearer wins over hotter
    found = assert_as_reference(Maps(heat, tags))
    assert found.xy[0, 1].tolist() == [1, 1]
    assert found.joint_scores[0, 1] == 0
    monkeypatch.setattr(refine_missing, "MOST_SCORED", 1)
    assert_as_reference(Maps(heat, tags))


def test_all_joints_that_a_person_has_say_where_the_missing_ones_are():
    """Also those from before its tags were started anew."""
    heat, tags = torch.zeros(3, 12, 12), torch.full((2, 3, 12, 12), 9.0)
    for joint, second in ((0, 0.0), (1, 5.0)):
        heat[joint, 3, 3] = 0.8
        tags[:, joint, 3, 3] = torch.tensor([1.5, second])
    tags[:, 2, 6, 6] = torch.tensor([1.5, 2.5])
    tags[:, 2, 8, 8] = torch.tensor([1.5, 5.0])
    found = assert_as_reference(Maps(heat, tags))
    assert found.xy[:, 2].tolist() == [[6, 6]]


def test_nobody():
    found = find_people(Maps(torch.zeros(17, 8, 8), torch.zeros(2, 17, 8, 8)), WAY, ORDER)
    assert len(found) == 0
    assert found.xy.shape == (0, 17, 2)


def test_enlarged_before_the_average_by_any_factor():
    generator = torch.Generator().manual_seed(0)
    plain, mirrored = (torch.rand(1, 34, 6, 9, generator=generator) for _ in range(2))
    first = full_maps(plain, mirrored, FLIP, shift=False, factor=4, enlarge_first=True)
    later = full_maps(plain, mirrored, FLIP, shift=False, factor=4)
    assert first.heat.shape == (17, 24, 36)
    torch.testing.assert_close(first.heat, later.heat)
    torch.testing.assert_close(first.tags, later.tags)
    assert not torch.equal(first.heat, later.heat), "rounding differs"
    one, other = plain[0].numpy(), reference_grouping.mirrored_back(mirrored[0].numpy(), PAIRS)
    twice = torch.nn.functional.interpolate
    grids = [
        twice(torch.from_numpy(each[:17].copy())[None], (24, 36), mode="bilinear")[0]
        for each in (one, other)
    ]
    assert torch.equal(first.heat, sum(grids) / 2)


def test_without_munkres_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "munkres", None)
    with pytest.raises(UserError, match="munkres") as caught:
        grouping.munkres_pairs(np.zeros((2, 2)))
    assert caught.value.hint == "pip install munkres"
