"""Grouping against reference code and against persons that are known."""

from __future__ import annotations

import itertools

import effort
import numpy as np
import pytest
import reference_grouping
import torch
from grouping_maps import FLIP, PAIRS, SETTINGS, assert_same_people, field, peak_set

from posebench.inference import grouping, instances, refine_missing
from posebench.inference.grouping import WAYS, Maps, Peaks, find_peaks, full_maps

WAY = WAYS["associative_embedding"]


def find_people(maps):
    return instances.find_people(maps, WAY, range(len(maps.heat)))


def group(peaks, joints):
    return grouping.group(peaks, range(joints), WAY)


def reference_people(maps):
    tags = maps.tags.permute(1, 2, 3, 0).numpy()
    return reference_grouping.people(maps.heat.numpy(), tags)


def assert_as_reference(maps):
    return assert_same_people(find_people(maps), reference_people(maps))


@pytest.mark.parametrize("people", [1, 5, 25, 30])
def test_known_people_come_back_whole(people):
    maps, truth = field(people, people, joints=17, size=(60, 80))
    found = find_people(maps)
    assert len(found) == people
    # persons are in the order of the nose's heat; a person is recognised by its nose
    taken = {tuple(np.floor(xy[0]).astype(int)): row for row, xy in enumerate(found.xy)}
    for person in range(people):
        row = taken[tuple(truth[person, 0])]
        there = truth[person, :, 0] >= 0
        assert np.array_equal(np.floor(found.xy[row][there]), truth[person][there])
        assert np.array_equal(found.joint_scores[row] > 0, there)
        assert not found.xy[row][~there].any()


@pytest.mark.parametrize(
    "setting",
    [{"people": 25, "size": (48, 56)}, {"people": 30, "size": (48, 64)}, *SETTINGS],
    ids=str,
)
def test_equal_to_reference_code(setting):
    for seed in range(2):
        maps, _ = field(seed, **({"joints": 6, "size": (34, 48)} | setting))
        assert_as_reference(maps)


def test_all_seventeen_joints_equal_reference_code():
    maps, _ = field(5, 9, noise=0.12)
    found = assert_as_reference(maps)
    assert (found.joint_scores > 0).any(axis=0).all()


def test_more_than_thirty_peaks_and_more_than_thirty_persons():
    """The thirty highest peaks count; persons beyond thirty get no more joints by their tags."""
    generator = np.random.default_rng(0)
    heat = np.full((3, 60, 60), -1.0)
    tags = np.zeros((1, 3, 60, 60))
    for joint in range(3):
        cells = generator.permutation(list(itertools.product(range(3, 58, 6), repeat=2)))[:40]
        for number, (y, x) in enumerate(cells):
            heat[joint, y, x] = 0.2 + number / 100
            tags[0, joint, y, x] = 2 * number + (0.3 if joint == 2 else 1000 * joint)
    maps = Maps(torch.from_numpy(heat).float(), torch.from_numpy(tags).float())
    peaks = find_peaks(maps)
    assert np.bincount(peaks.joint).tolist() == [30, 30, 30]
    assert peaks.heat.min() == pytest.approx(0.3)
    found = assert_as_reference(maps)
    # noses start 30, eyes 30 more, the third joints join the first thirty
    assert len(found) == 60
    assert (found.joint_scores[:30] > 0).sum(axis=1).tolist() == [2] * 30


def test_equal_tags_merge_even_within_a_joint():
    peaks = peak_set((0, 0.9, 1.5), (0, 0.8, 1.5), (0, 0.7, -1.0))
    found = group(peaks, 2)
    # the later peak of the same tag takes the place
    assert found.peak.tolist() == [[1, -1], [2, -1]]
    assert found.tag.tolist() == [[1.5], [-1.0]]


def test_the_first_component_alone_is_a_new_persons_name():
    peaks = peak_set((0, 0.9, 1.5, 0.0), (0, 0.8, 1.5, 7.0))
    found = group(peaks, 1)
    assert found.peak.tolist() == [[1]]
    assert found.tag.tolist() == [[1.5, 3.5]]


def test_a_peak_that_would_start_a_person_of_a_known_name_joins_it():
    # the second joint's peak is 5 away in the other component, yet has the first one's name
    found = group(peak_set((0, 0.9, 1.5, 0.0), (1, 0.8, 1.5, 5.0)), 2)
    assert found.peak.tolist() == [[0, 1]]
    assert found.tag.tolist() == [[1.5, 2.5]]


@pytest.mark.parametrize(("tag", "persons"), [(0.99, 1), (1.0, 2), (1.01, 2)])
def test_a_joint_joins_nearer_than_one(tag, persons):
    assert len(group(peak_set((0, 0.9, 0.0), (1, 0.8, tag)), 2).tag) == persons


def test_a_new_person_costs_next_to_nothing():
    """Of two peaks for one person the other starts its own, though it is near, too.

    With a cost of 1e10 for a new person a far peak would be taken rather than left alone.
    """
    peaks = peak_set((0, 0.9, 0.0), (1, 0.9, 0.7), (1, 0.3, 0.2))
    # distances round to 1 and 0: the second one is matched
    assert group(peaks, 2).peak.tolist() == [[0, 2], [-1, 1]]
    far = peak_set((0, 0.9, 0.0), (1, 0.9, 0.8), (1, 0.3, 0.9))
    # both distances round to 1: 100 - heat is dearer than a new person, whichever is matched
    assert group(far, 2).peak[0].tolist() == [0, 1]


def test_heat_decides_among_equally_near():
    peaks = peak_set((0, 0.9, 0.0), (1, 0.3, 0.1), (1, 0.8, 0.3))
    assert group(peaks, 2).peak[0].tolist() == [0, 2]


def test_joints_come_in_their_order():
    """A chain of tags: who is first decides who belongs together."""
    chain = [(0, 0.9, 0.0), (1, 0.9, 0.8), (2, 0.9, 1.3)]
    assert len(group(peak_set(*chain), 3).tag) == 1
    # 1.3 is 1.3 from the first, but 0.9 from the mean of the first two
    turned = [(0, 0.9, 0.0), (1, 0.9, 1.3), (2, 0.9, 0.8)]
    assert len(group(peak_set(*turned), 3).tag) == 2


def test_nobody():
    for heat in (torch.zeros(17, 8, 8), torch.full((17, 8, 8), 0.1)):
        found = find_people(Maps(heat, torch.zeros(2, 17, 8, 8)))
        assert len(found) == 0
        assert found.xy.shape == (0, 17, 2)
        assert found.joint_scores.shape == (0, 17)


def test_a_plateau_gives_the_quarter_to_the_left_and_up():
    heat = torch.zeros(1, 7, 7)
    heat[0, 3, 4] = 0.5
    found = find_people(Maps(heat, torch.zeros(1, 1, 7, 7)))
    assert found.xy[0, 0].tolist() == [4.25, 3.25]


@pytest.mark.parametrize(("y", "x"), [(0, 0), (6, 6), (0, 6), (3, 3)])
def test_steps_go_to_the_higher_neighbour_and_stop_at_the_border(y, x):
    for dy, dx in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        heat = torch.zeros(1, 7, 7)
        heat[0, y, x] = 0.5
        heat[0, min(max(y + dy, 0), 6), min(max(x + dx, 0), 6)] += 0.2
        maps = Maps(heat, torch.zeros(1, 1, 7, 7))
        assert_as_reference(maps)


def test_missing_joints_are_found_by_their_tags():
    heat = torch.zeros(2, 9, 9)
    tags = torch.zeros(1, 2, 9, 9)
    heat[0, 2, 2] = 0.8
    heat[0, 6, 6], tags[0, 0, 6, 6] = 0.6, 5.0
    heat[1, 2, 3], tags[0, 1, 2, 3] = 0.05, 0.4
    heat[1, 6, 5], tags[0, 1, 6, 5] = 0.09, 4.6
    found = find_people(Maps(heat, tags))
    np.testing.assert_allclose(found.joint_scores, [[0.8, 0.05], [0.6, 0.09]])
    assert np.floor(found.xy[:, 1]).tolist() == [[3, 2], [5, 6]]
    # the score does not know them
    np.testing.assert_allclose(found.score, [0.4, 0.3])


def test_a_missing_joint_may_lie_where_another_persons_is():
    """A peak above 1 can be salvaged by a person one tag away, at a cost of 1."""
    heat = torch.zeros(2, 9, 9)
    tags = torch.zeros(1, 2, 9, 9)
    heat[0, 2, 2], heat[0, 6, 6], tags[0, 0, 6, 6] = 0.8, 0.6, 1.2
    heat[1, 6, 5], tags[0, 1, 6, 5] = 1.3, 1.2
    found = assert_as_reference(Maps(heat, tags))
    np.testing.assert_allclose(found.joint_scores, [[0.8, 0.3], [0.6, 1.3]], atol=1e-6)


@pytest.mark.parametrize("level", refine_missing.SALVAGE_LEVELS[:-1])
def test_salvage_is_exact_at_every_level(level):
    """The best cell may lie below a level though others lie above it."""
    heat = torch.zeros(2, 9, 9)
    tags = torch.full((1, 2, 9, 9), 9.0)
    heat[0, 2, 2], tags[0, 0, 2, 2] = 0.8, 0.0
    heat[1, 0, 0] = 0.09
    heat[1, 5, 5], tags[0, 1, 5, 5] = level * 0.9, 0.0
    heat[1, 7, 7], tags[0, 1, 7, 7] = level * 0.9, 0.2  # as good, but later
    found = assert_as_reference(Maps(heat, tags))
    assert found.joint_scores[0, 1] == pytest.approx(level * 0.9)
    assert np.floor(found.xy[0, 1]).tolist() == [5, 5]


def test_a_level_is_left_only_when_nothing_below_can_be_better():
    heat = torch.zeros(2, 9, 9)
    tags = torch.zeros(1, 2, 9, 9)
    heat[0, 2, 2] = 0.8
    heat[1, 5, 5] = 0.07
    heat[1, 7, 7], tags[0, 1, 7, 7] = 1.05, 1.0  # scores 0.05
    found = assert_as_reference(Maps(heat, tags))
    assert found.joint_scores[0, 1] == pytest.approx(0.07)


@pytest.mark.parametrize("levels", [(0.0625, 0.0), (0.1, 0.05, 0.0), (0.0,)])
def test_of_equal_cells_the_first_is_taken_wherever_the_levels_lie(monkeypatch, levels):
    monkeypatch.setattr(refine_missing, "SALVAGE_LEVELS", levels)
    heat = torch.zeros(2, 9, 9)
    tags = torch.zeros(1, 2, 9, 9)
    heat[0, 2, 2] = 0.8
    heat[1, 1, 1] = 0.0625
    heat[1, 7, 7], tags[0, 1, 7, 7] = 1.0625, 1.0  # scores 0.0625, too
    found = assert_as_reference(Maps(heat, tags))
    assert np.floor(found.xy[0, 1]).tolist() == [1, 1]


# --- flip and enlargement ---------------------------------------------------------------------


def test_full_maps_equal_reference_enlargement_and_flip():
    generator = torch.Generator().manual_seed(0)
    plain, mirrored = (torch.rand(1, 34, 6, 9, generator=generator) for _ in range(2))
    alone = full_maps(plain, None, FLIP, shift=False)
    both = full_maps(plain, mirrored, FLIP, shift=False)
    assert alone.heat.shape == both.heat.shape == (17, 12, 18)
    assert alone.tags.shape == (1, 17, 12, 18)
    assert both.tags.shape == (2, 17, 12, 18)
    one = plain[0].numpy()
    other = reference_grouping.mirrored_back(mirrored[0].numpy(), PAIRS)
    for joint in range(17):
        heat = reference_grouping.doubled((one[joint] + other[joint]) / 2)
        np.testing.assert_allclose(both.heat[joint].numpy(), heat, atol=1e-6)
        for row, output in enumerate((one, other)):
            tags = reference_grouping.doubled(output[17 + joint])
            np.testing.assert_allclose(both.tags[row, joint].numpy(), tags, atol=1e-6)
    assert torch.equal(alone.tags[0], both.tags[0])


def test_tags_of_the_mirror_image_need_not_agree():
    """Two persons that the plain tags confuse are told apart by those of the mirror image."""
    maps, truth = field(2, 2, dims=2, missing=0.0, spread=0.0)
    both = torch.stack([torch.zeros_like(maps.tags[0]), maps.tags[1] * 3])
    found = find_people(Maps(maps.heat, both))
    assert len(found) == 1  # same name: the first component is the same
    both[0] = maps.tags[1] * 0.01
    found = find_people(Maps(maps.heat, both))
    assert len(found) == 2
    noses = np.floor(found.xy[:, 0]).astype(int).tolist()
    order = [noses.index(truth[person, 0].tolist()) for person in range(2)]
    assert np.array_equal(np.floor(found.xy[order]), truth)


# --- speed ------------------------------------------------------------------------------------


def test_thirty_peaks_a_joint_and_twenty_five_persons_take_little_work():
    """Five milliseconds on one quiet core; a loop over pairs of peaks would be far more calls."""
    generator = np.random.default_rng(0)
    joint = np.repeat(np.arange(17), 30)
    person = np.tile(np.arange(30) % 25, 17)
    tags = np.stack([person // 5, person % 5], axis=1) * 1.5 + generator.normal(0, 0.1, (510, 2))
    cells = generator.integers(0, 512, (2, 510))
    heat = np.sort(generator.uniform(0.1, 1, 510))[::-1]
    peaks = Peaks(joint, *cells, heat.astype(np.float32), tags.astype(np.float32))
    assert 25 <= len(group(peaks, 17).tag) <= 40
    assert effort.calls(lambda: group(peaks, 17)) < 5_000  # 1,436
