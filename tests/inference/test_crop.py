"""Crops equal a reference reimplementation to the byte; the way back undoes them."""

from __future__ import annotations

import make
import numpy as np
import pytest
import reference_steps
from hypothesis import given, settings
from hypothesis import strategies as st

from posebench.datasets.boxes import SANITISERS, centre_and_scale
from posebench.inference import crop
from posebench.types.arrays import Persons
from posebench.types.entry import InputSpec

SIZES = [(256, 192), (128, 96), (384, 288), (256, 256)]
BOXES = st.tuples(
    st.floats(-40, 600, width=32),
    st.floats(-40, 400, width=32),
    st.floats(1, 640, width=32),
    st.floats(1, 480, width=32),
)


def person(box, spec):
    """One person to crop, from its box."""
    box = np.array([box], np.float64)
    centre, scale = centre_and_scale(box, spec)
    zero = np.zeros(1, np.int64)
    return Persons(zero, zero, box, centre, scale, np.ones(1), "gt")


def stored(box, spec):
    centre, scale = centre_and_scale(np.array([box], np.float64), spec)
    return centre[0], scale[0]


@settings(max_examples=60, deadline=None)
@given(box=BOXES, size=st.sampled_from(SIZES))
def test_centre_and_scale_are_the_references_bits(box, size):
    spec = InputSpec(size=size)
    centre, scale = stored(box, spec)
    expected_centre, expected_scale = reference_steps.centre_scale(box, *size)
    assert centre.tobytes() == expected_centre.tobytes()
    assert scale.tobytes() == expected_scale.tobytes()


def test_a_centre_at_minus_one_is_not_padded():
    spec = InputSpec(size=(256, 192))
    centre, scale = stored((-4, 10, 6, 8), spec)
    assert centre[0] == -1
    assert scale[0] * 200 == pytest.approx(6)


@settings(max_examples=40, deadline=None)
@given(box=BOXES, size=st.sampled_from(SIZES), seed=st.integers(0, 5))
def test_hrnet_crops_are_the_references_bytes(box, size, seed):
    spec = InputSpec(size=size)
    centre, scale = stored(box, spec)
    image = make.image(320, 240, seed)
    ours = crop.crop_person(image, person(box, spec), 0, spec)
    theirs = reference_steps.crop(image, reference_steps.hrnet_matrix(centre, scale, *size), *size)
    assert ours.tobytes() == theirs.tobytes()


@settings(max_examples=40, deadline=None)
@given(box=BOXES, size=st.sampled_from(SIZES), seed=st.integers(0, 5))
def test_udp_crops_are_the_references_bytes(box, size, seed):
    spec = InputSpec(size=size, crop="udp_affine")
    centre, scale = stored(box, spec)
    image = make.image(320, 240, seed)
    ours = crop.crop_person(image, person(box, spec), 0, spec)
    theirs = reference_steps.crop(image, reference_steps.udp_matrix(centre, scale, *size), *size)
    assert ours.tobytes() == theirs.tobytes()


@settings(max_examples=100, deadline=None)
@given(box=BOXES, size=st.sampled_from(SIZES), seed=st.integers(0, 999))
def test_the_way_back_undoes_the_crop(box, size, seed):
    """Image -> input, over the stride, -> image is the identity for each rule's own pair."""
    points = np.random.default_rng(seed).uniform(0, 300, (1, 5, 2))
    for rule, inverse in (("hrnet_affine", "affine"), ("udp_affine", "udp")):
        spec = InputSpec(size=size, crop=rule)
        centre, scale = stored(box, spec)
        there = crop.apply_affine(points, crop.crop_matrix(person(box, spec), 0, spec)[None])
        if inverse == "udp":
            height, width = np.array(spec.size) - 1
            cells_high, cells_wide = np.array(spec.heatmap_size) - 1
            there *= np.array([cells_wide / width, cells_high / height])
        else:
            there /= spec.stride
        someone = person(box, spec)
        back = crop.apply_affine(there, crop.inverse_matrix(someone, 0, spec, inverse)[None])
        # float32 corners: relative to the longest distance in the picture.
        reach = np.abs(points - centre).max() + scale.max() * 200
        np.testing.assert_allclose(back, points, atol=2e-5 * reach)


def test_the_biased_and_the_corner_aligned_way_back_differ():
    spec = InputSpec(size=(256, 192))
    centre, scale = stored((10, 20, 200, 300), spec)
    someone = person((10, 20, 200, 300), spec)
    cell = np.array([[[0.0, 0.0]]])
    biased = crop.apply_affine(cell, crop.inverse_matrix(someone, 0, spec, "affine")[None])
    corner = crop.apply_affine(cell, crop.inverse_matrix(someone, 0, spec, "udp")[None])
    width = scale[0] * 200
    np.testing.assert_allclose(corner[0, 0], centre - scale * 100, atol=1e-3)
    np.testing.assert_allclose(biased[0, 0, 0], centre[0] - width / 2, atol=1e-3)
    other = np.array([[[47.0, 63.0]]])
    biased = crop.apply_affine(other, crop.inverse_matrix(someone, 0, spec, "affine")[None])
    corner = crop.apply_affine(other, crop.inverse_matrix(someone, 0, spec, "udp")[None])
    assert (corner - biased)[0, 0, 0] == pytest.approx(width / 48, abs=1e-3)


def test_padding_is_a_quarter_of_the_box():
    spec = InputSpec(size=(256, 192))
    _, scale = stored((0, 0, 96, 128), spec)
    np.testing.assert_allclose(scale * 200, [120, 160], rtol=1e-6)


@pytest.mark.parametrize("rule", ["hrnet_affine", "mmpose_affine", "udp_affine"])
@pytest.mark.parametrize("precision", ["double", "single"])
@pytest.mark.parametrize("sanitise", ["none", "clip_before_width", "clip_after_width"])
def test_boxes_of_next_to_no_size_have_finite_maps(rule, precision, sanitise):
    """Where a box is left at all: a pixel's width is taken off annotated ones."""
    spec = InputSpec(size=(256, 192), crop=rule, box_precision=precision)
    image = make.image(320, 240, 0)
    sides = [1e-300, 5e-324, 1e-45, 1e-40, 1e-30, 1e-9, 1e-6, 1e-4, 0.5, 1.0, 20.0]
    places = [(0.0, 0.0), (10.5, 12.0), (300.0, 200.0), (500.0, -400.0)]
    boxes = np.array([(*p, w, h) for p in places for w in sides for h in sides])
    wide = np.full(len(boxes), 320), np.full(len(boxes), 240)
    boxes, usable = SANITISERS[sanitise].clip(boxes, *wide)
    assert usable.any()
    with np.errstate(all="raise", under="ignore"):
        for box in boxes[usable]:
            someone = person(box, spec)
            assert np.isfinite(crop.crop_matrix(someone, 0, spec)).all()
            crop.crop_person(image, someone, 0, spec)
            for inverse in ("affine", "udp"):
                assert np.isfinite(crop.inverse_matrix(someone, 0, spec, inverse)).all()


def test_the_self_test_names_this_opencv():
    """The digest on x86-64 wheels of OpenCV 4.x; another value means other crops."""
    assert crop.self_test() == "1e352eb2959e4eb9"
