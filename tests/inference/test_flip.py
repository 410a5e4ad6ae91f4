"""The flip test, against a reference loop and by its algebra."""

from __future__ import annotations

import numpy as np
import pytest
import reference_steps
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posebench.inference.flip import average, flip_back
from posebench.keypoints import keypoint_set, keypoint_sets


def random_heatmaps(seed, joints=17, height=16, width=12):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, joints, height, width, generator=generator)


@pytest.mark.parametrize("shift", [True, False])
def test_flip_back_equals_a_reference_loop(shift):
    heatmaps = random_heatmaps(0)
    before = heatmaps.clone()
    ours = flip_back(heatmaps, keypoint_set("coco_17").flip_index(), shift=shift)
    for n, stack in enumerate(heatmaps.numpy()):
        expected = stack[:, :, ::-1].copy()
        for a, b in reference_steps.PAIRS:
            expected[[a, b]] = expected[[b, a]]
        if shift:
            moved = expected.copy()
            for column in range(1, expected.shape[2]):
                moved[:, :, column] = expected[:, :, column - 1]
            expected = moved
        assert np.array_equal(ours[n].numpy(), expected)
    assert torch.equal(heatmaps, before), "the network's output must stay as it was"


def test_a_wide_shift_reads_no_column_it_has_written():
    """An overlapping in-place copy corrupts columns 17 and 33-47 of a 48-wide map."""
    ramp = torch.arange(48.0).repeat(1, 1, 64, 1)
    back = flip_back(ramp, [0], shift=True)
    assert back[0, 0, 0].tolist() == [47.0, *range(47, 0, -1)]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), name=st.sampled_from(keypoint_sets()))
def test_flipping_back_twice_is_the_identity(seed, name):
    index = keypoint_set(name).flip_index()
    heatmaps = random_heatmaps(seed, joints=len(index))
    twice = flip_back(flip_back(heatmaps, index, shift=False), index, shift=False)
    assert torch.equal(twice, heatmaps)


def test_average_is_the_mean():
    a, b = random_heatmaps(1), random_heatmaps(2)
    np.testing.assert_allclose(average(a, b).numpy(), (a.numpy() + b.numpy()) / 2, rtol=1e-6)
