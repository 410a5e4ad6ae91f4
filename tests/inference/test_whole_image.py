"""Whole images: sizes, matrices, bytes, and the way back."""

from __future__ import annotations

import cv2
import make
import numpy as np
import pytest
import reference_grouping
import reference_grouping_filled

from posebench.inference.whole_image import frame, input_size, whole_matrix
from posebench.types.entry import InputSpec


def whole(short, crop="whole_image", **fields):
    return InputSpec(size=(short, short), crop=crop, **fields)


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
def test_matrices_equal_the_reference_ones(size, short):
    expected, there, back = reference_grouping.resized(*size, short)
    assert input_size(size, short) == expected
    assert np.array_equal(whole_matrix(size, short), there)
    assert np.array_equal(whole_matrix(size, short, inverse=True), back)


def test_every_size_equals_the_reference_one():
    generator = np.random.default_rng(0)
    for height, width in generator.integers(20, 900, (400, 2)).tolist():
        expected, there, _ = reference_grouping.resized(height, width, 512)
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
    (height, width), matrix, _ = reference_grouping.resized(51, 97, 128)
    resized = frame(image.shape[:2], whole(128)).resize(image)
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
    np.testing.assert_allclose(frame(size, whole(512)).to_image(there), points, atol=2e-3)


# --- the image's very centre: covering a size, or fitting into it ------------------------------

BOTH = pytest.mark.parametrize("crop", ["whole_image_expand", "whole_image_fit"])


@BOTH
@pytest.mark.parametrize("target", [(512, 512), (640, 640), (416, 416), (512, 768)])
@pytest.mark.parametrize("size", SIZES[:7])
def test_covering_and_fitting_equal_reference_arithmetic(size, target, crop):
    fit = crop == "whole_image_fit"
    if not fit:
        target = tuple(64 * -(-side // 64) for side in target)
    expected, there = reference_grouping_filled.resized(*size, target, fit)
    found = frame(size, InputSpec(size=target, crop=crop))
    assert found.size == expected
    points = np.random.default_rng(0).uniform(-50, 700, (9, 2))
    mapped = points @ found.there[:, :2].T + found.there[:, 2]
    np.testing.assert_allclose(mapped, [there(x, y) for x, y in points], atol=2e-3)
    # along the longer side the way back knows the extent in single precision alone
    np.testing.assert_allclose(found.to_image(mapped), points, atol=2e-3)


@pytest.mark.parametrize(
    ("image", "crop", "expected"),
    [
        ((480, 640), "whole_image_expand", (512, 704)),
        ((640, 480), "whole_image_expand", (704, 512)),
        ((500, 500), "whole_image_expand", (512, 512)),
        ((500, 501), "whole_image_expand", (512, 576)),
        ((480, 640), "whole_image_fit", (512, 512)),
        ((51, 97), "whole_image_fit", (512, 512)),
    ],
)
def test_sizes_of_covering_and_fitting(image, crop, expected):
    assert frame(image, whole(512, crop)).size == expected


def test_the_grid_is_the_row_s():
    assert frame((500, 501), whole(512, "whole_image_expand", grid=32)).size == (512, 544)
    assert frame((500, 501), whole(500, "whole_image_expand", grid=32)).size == (512, 544)


@pytest.mark.parametrize("border", [0, 114])
def test_what_the_image_does_not_fill_is_grey(border):
    image = np.full((60, 120, 3), 200, np.uint8)
    resized = frame((60, 120), whole(128, "whole_image_fit", border=border)).resize(image)
    assert resized.shape == (128, 128, 3)
    assert (resized[:30] == border).all()
    assert (resized[-30:] == border).all()
    assert (resized[36:-36, 4:-4] == 200).all()
