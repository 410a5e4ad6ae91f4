"""Decoders, joint by joint against reference numpy, at borders and on known Gaussians."""

from __future__ import annotations

import make
import numpy as np
import pytest
import reference_mmpose_decode
import reference_steps
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from posebench.inference.plugin_tables import DECODERS


def reference_integral(joint, protocol):
    """Mean position under the sigmoid, in doubles."""
    map_ = 1 / (1 + np.exp(-joint.astype(np.float64)))
    share = map_ / map_.sum()
    x = sum(i * share[:, i].sum() for i in range(joint.shape[1]))
    y = sum(i * share[i].sum() for i in range(joint.shape[0]))
    return x, y, map_.max()


PLAIN = {
    "argmax": lambda joint, p: reference_steps.decode_argmax(joint),
    "quarter": lambda joint, p: reference_steps.decode_quarter(joint),
    "softargmax": lambda joint, p: reference_steps.decode_softargmax(joint, p.softargmax_beta),
    "dark": lambda joint, p: reference_steps.decode_dark(joint, p.dark_kernel),
    "integral_sigmoid": reference_integral,
    "quarter_each_axis": lambda joint, p: reference_mmpose_decode.decode_quarter_each_axis(joint),
    "quarter_and_half": lambda joint, p: reference_mmpose_decode.decode_quarter_and_half(
        joint, p.dark_kernel
    ),
    "dark_udp": lambda joint, p: reference_mmpose_decode.decode_dark_udp(joint, p.dark_kernel),
}


def gaussian(x, y, height=32, width=24, sigma=2.0):
    """A heatmap whose true peak is at (x, y)."""
    rows, columns = np.mgrid[:height, :width]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)).astype(np.float32)


def decode(name, joints, **changes):
    protocol = make.protocol(decode=name, **changes)
    xy, score = DECODERS[name](torch.from_numpy(np.stack(joints))[None], protocol)
    return xy[0].double().numpy(), score[0].double().numpy()


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_decoders_equal_the_reference_ones(name, data):
    """Peaks anywhere, the border included, with noise and a second peak."""
    seed = data.draw(st.integers(0, 10_000))
    kernel = data.draw(st.sampled_from([3, 11]))
    generator = np.random.default_rng(seed)
    joints = []
    for _ in range(6):
        x, y = generator.uniform(-0.4, 23.4), generator.uniform(-0.4, 31.4)
        joint = gaussian(x, y) * generator.uniform(0.3, 1.2)
        joint = joint + 0.4 * gaussian(generator.uniform(0, 23), generator.uniform(0, 31))
        joints.append((joint + generator.normal(0, 0.01, joint.shape)).astype(np.float32))
    protocol = make.protocol(decode=name, dark_kernel=kernel)
    xy, score = decode(name, joints, dark_kernel=kernel)
    for k, joint in enumerate(joints):
        px, py, ps = PLAIN[name](joint, protocol)
        # softmax(160 h) in float32 moves the expectation by its own rounding only.
        np.testing.assert_allclose(xy[k], [px, py], atol=2e-3 if name == "softargmax" else 1e-4)
        assert score[k] == pytest.approx(float(ps), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(x=st.floats(4, 19), y=st.floats(4, 27))
def test_round_trip_of_a_gaussian(x, y):
    """Paint a peak, decode it: within half a cell, a quarter step less, or nearly exact."""
    joint = gaussian(x, y)
    bounds = {"argmax": 0.5, "quarter": 0.26, "dark": 0.03}
    for name, bound in bounds.items():
        xy, score = decode(name, [joint], dark_kernel=3)
        assert np.abs(xy[0] - [x, y]).max() <= bound + 1e-6, name
        assert score[0] == pytest.approx(joint.max())


def test_quarter_leaves_the_two_outermost_cells():
    """1 < p < size - 1, strict: columns 0, 1 and the last are not refined, column 2 is."""
    for column, moved in ((0, False), (1, False), (2, True), (22, True), (23, False)):
        joint = np.zeros((32, 24), np.float32)
        joint[10, column] = 1.0
        joint[10, min(column + 1, 23)] += 0.5
        if column == 23:
            joint[10, 22] = 0.5
        xy, _ = decode("quarter", [joint])
        assert (xy[0, 0] != column) == moved, column


def test_dark_leaves_one_cell_more_at_the_far_border():
    for column, moved in ((1, False), (2, True), (21, True), (22, False)):
        joint = gaussian(column + 0.2, 12)
        xy, _ = decode("dark", [joint])
        assert (xy[0, 0] != column) == moved, column


def test_a_flat_map_has_no_joint():
    xy, score = decode("quarter", [np.full((32, 24), -1.0, np.float32)])
    assert xy[0].tolist() == [0.0, 0.0]
    assert score[0] == -1.0


@pytest.mark.parametrize("kernel", [3, 11])
@pytest.mark.parametrize("name", DECODERS)
def test_an_empty_map_gives_finite_numbers(name, kernel):
    """Also beside other joints; softmax and sigmoid know no empty map."""
    empty, full = np.zeros((32, 24), np.float32), gaussian(10, 12)
    xy, score = decode(name, [empty, full, empty], dark_kernel=kernel)
    assert np.isfinite(xy).all() and np.isfinite(score).all()
    alone = decode(name, [full], dark_kernel=kernel)
    assert xy[1].tolist() == alone[0][0].tolist() and score[1] == alone[1][0]
    if name not in ("softargmax", "integral_sigmoid"):
        assert xy[0].tolist() == xy[2].tolist() == [0.0, 0.0]


def test_equal_neighbours_do_not_move_a_joint():
    joint = np.zeros((32, 24), np.float32)
    joint[10, 10] = 1.0
    assert decode("quarter", [joint])[0][0].tolist() == [10.0, 10.0]


def test_softargmax_takes_the_published_factor():
    """Two peaks of 1.00 and 0.99: beta 160 puts exp(-1.6) of the weight on the second."""
    joint = np.zeros((32, 24), np.float32)
    joint[10, 5], joint[10, 15] = 1.0, 0.99
    xy, score = decode("softargmax", [joint])
    weight = np.exp(-1.6) / (1 + np.exp(-1.6))
    assert xy[0, 0] == pytest.approx(5 + 10 * weight, abs=1e-3)
    assert score[0] == 0.0, "the score is read at the rounded expectation"


def test_softargmax_adds_the_quarter_step():
    joint = gaussian(10.0, 12.0)
    joint[12, 11] += 0.001
    reference_x = reference_steps.decode_softargmax(joint)[0]
    assert decode("softargmax", [joint])[0][0, 0] == pytest.approx(reference_x, abs=1e-4)
    assert reference_x > 10.2


def test_dark_kernels_3_and_11_differ():
    generator = np.random.default_rng(0)
    joint = gaussian(10.3, 12.4) + generator.normal(0, 0.02, (32, 24)).astype(np.float32)
    three, _ = decode("dark", [joint.astype(np.float32)], dark_kernel=3)
    eleven, _ = decode("dark", [joint.astype(np.float32)], dark_kernel=11)
    assert np.abs(three - eleven).max() > 0.01


def test_dark_scores_are_the_raw_peaks():
    joint = gaussian(10.3, 12.4) * 0.7
    assert decode("dark", [joint])[1][0] == pytest.approx(joint.max())
