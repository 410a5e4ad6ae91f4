"""Whole images: sizes, matrices, bytes, and the way back."""

from __future__ import annotations

import cv2
import make
import numpy as np
import plain_grouping
import pytest

from posebench.inference.whole_image import input_size, resize_whole, to_image, whole_matrix

SIZES = [(480, 640), (640, 480), (427, 640), (640, 425), (333, 333), (500, 375), (51, 97), (1, 7)]


@pytest.mark.parametrize(
    ("image", "short", "expected"),
    [
        ((480, 640), 512, (512, 704)),
        ((640, 480), 512, (704, 512)),
        ((480, 640), 640, (640, 896)),
        ((427, 640), 512, (512, 768)),
        ((500, 500), 512, (512, 512)),
        # a pixel more than square already takes another step of 64
        ((500, 501), 512, (512, 576)),
        ((240, 320), 192, (192, 256)),
    ],
)
def test_input_size(image, short, expected):
    assert input_size(image, short) == expected


@pytest.mark.parametrize("short", [512, 640, 200])
@pytest.mark.parametrize("size", SIZES)
def test_matrices_equal_the_plain_ones(size, short):
    expected, there, back = plain_grouping.resized(*size, short)
    assert input_size(size, short) == expected
    assert np.array_equal(whole_matrix(size, short), there)
    assert np.array_equal(whole_matrix(size, short, inverse=True), back)


def test_every_size_equals_the_plain_one():
    generator = np.random.default_rng(0)
    for height, width in generator.integers(20, 900, (400, 2)).tolist():
        expected, there, _ = plain_grouping.resized(height, width, 512)
        assert input_size((height, width), 512) == expected
        assert np.array_equal(whole_matrix((height, width), 512), there)


def test_scale_is_that_of_the_shorter_side_in_both_directions():
    for size in SIZES[:6]:
        matrix = whole_matrix(size, 512)
        np.testing.assert_allclose(matrix[:, :2], np.eye(2) * 512 / min(size), atol=1e-5)


def test_halves_of_the_centre_go_to_the_even_neighbour():
    # 101 / 2 and 103 / 2 are 50.5 and 51.5: 50 and 52
    for width, centre in ((101, 50), (103, 52)):
        x, y = whole_matrix((80, width), 128) @ np.array([centre, 40, 1])
        height, out = input_size((80, width), 128)
        assert (x, y) == pytest.approx((out / 2, height / 2), abs=1e-4)


def test_pixels_are_those_of_opencv_and_the_surplus_is_black():
    image = make.image(97, 51, 4)
    (height, width), matrix, _ = plain_grouping.resized(51, 97, 128)
    resized = resize_whole(image, 128)
    assert resized.shape == (height, width, 3) == (128, 256, 3)
    assert np.array_equal(resized, cv2.warpAffine(image, matrix, (width, height)))
    covered = 97 / 51 * 128
    margin = int((256 - covered) / 2) - 4
    assert margin > 0
    assert not resized[:, :margin].any()
    assert not resized[:, -margin:].any()
    assert resized[:, 128 - 100 : 128 + 100].any(axis=(0, 2)).all()


@pytest.mark.parametrize("size", SIZES[:7])
def test_points_come_back(size):
    points = np.random.default_rng(0).uniform(-50, 700, (3, 17, 2))
    matrix = whole_matrix(size, 512)
    there = points @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(to_image(there, size, 512), points, atol=2e-3)
