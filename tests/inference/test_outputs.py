"""Outputs that are not heatmaps: bins, shares and offsets, person by person in reference code."""

from __future__ import annotations

import make
import numpy as np
import pytest
import torch

from posebench.inference.outputs import check_output, decode_output
from posebench.keypoints import keypoint_set
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError

FLIPPED = keypoint_set("coco_17").flip_index()
SIZE = (64, 48)  # height, width


def spec(output, stride=1):
    return InputSpec(size=SIZE, output=output, stride=stride)


def protocol(decode, **axes):
    return make.protocol(decode=decode, no_peak="outside", **axes)


def noise(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return values, np.roll(values, 3, axis=0)[::-1].copy()


def run(one, other, chosen, output, stride=1):
    cells, scores = decode_output(
        torch.from_numpy(one), torch.from_numpy(other), chosen, spec(output, stride)
    )
    return cells.numpy(), scores.numpy()


@pytest.mark.parametrize("flip", [False, True])
def test_simcc_takes_the_highest_bin_of_each_side(flip):
    height, width = SIZE
    one, other = noise(4, 17, 2 * (height + width))
    cells, scores = run(one, other, protocol("simcc", flip=flip, shift=False), "simcc")
    for n in range(4):
        for k in range(17):
            across, down = one[n, k, : 2 * width], one[n, k, 2 * width :]
            if flip:
                back = other[n, FLIPPED[k]]
                across = (across + back[: 2 * width][::-1]) / 2
                down = (down + back[2 * width :]) / 2
            assert cells[n, k].tolist() == [across.argmax() / 2, down.argmax() / 2]
            assert scores[n, k] == pytest.approx(min(across.max(), down.max()))


def test_a_joint_without_a_positive_bin_stands_outside():
    one = -np.ones((1, 17, 2 * sum(SIZE)), np.float32)
    cells, scores = run(one, one, protocol("simcc", flip=False), "simcc")
    assert (cells == -0.5).all()
    assert (scores == -1).all()


@pytest.mark.parametrize("shift", [False, True])
def test_coordinates_are_shares_of_the_input(shift):
    one, other = noise(3, 17, 3)
    cells, scores = run(one, other, protocol("coordinates", shift=shift), "coordinates")
    height, width = SIZE
    for n in range(3):
        for k in range(17):
            back = other[n, FLIPPED[k]]
            x = (one[n, k, 0] + 1 - back[0] - (1 / width if shift else 0)) / 2
            y, score = (one[n, k, 1] + back[1]) / 2, (one[n, k, 2] + back[2]) / 2
            assert cells[n, k] == pytest.approx([x * width, y * height], abs=1e-4)
            assert scores[n, k] == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("flip", [False, True])
def test_offsets_are_read_at_the_peak_of_the_blurred_map(flip):
    import cv2

    one, other = (np.abs(values) for values in noise(3, 51, 32, 24))
    chosen = protocol("udp_offsets", flip=flip, shift=False, dark_kernel=3)
    cells, scores = run(one, other, chosen, "offset_heatmaps", stride=2)
    for n in range(3):
        for k in range(17):
            heat, dx, dy = one[n, 3 * k : 3 * k + 3]
            if flip:
                back = other[n, 3 * FLIPPED[k] : 3 * FLIPPED[k] + 3, :, ::-1]
                heat, dx, dy = (heat + back[0]) / 2, (dx - back[1]) / 2, (dy + back[2]) / 2
            heat = cv2.GaussianBlur(np.ascontiguousarray(heat), (7, 7), 0)
            y, x = np.unravel_index(heat.argmax(), heat.shape)
            radius = 0.0546875 * 32
            expected = [x + dx[y, x] * radius, y + dy[y, x] * radius]
            assert cells[n, k] == pytest.approx(expected, abs=1e-4)
            assert scores[n, k] == pytest.approx(heat.max(), abs=1e-5)


@pytest.mark.parametrize(
    ("output", "stride", "right", "wrong"),
    [
        ("heatmaps", 4, (17, 16, 12), (16, 16, 12)),
        ("offset_heatmaps", 4, (51, 16, 12), (17, 16, 12)),
        ("simcc", 1, (17, 224), (17, 223)),
        ("coordinates", 1, (17, 3), (17, 2)),
    ],
)
def test_an_output_of_another_shape_is_refused(output, stride, right, wrong):
    check_output(torch.zeros(1, *right), spec(output, stride), "Net")
    with pytest.raises(UserError, match=rf"Net gave {output.replace('_', ' ')} \({wrong[0]}, "):
        check_output(torch.zeros(1, *wrong), spec(output, stride), "Net")
