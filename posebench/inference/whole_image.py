"""A whole image into the network's input, and the way back.

The image keeps its shape: the shorter side becomes a fixed number of pixels, the longer one is
rounded up to a multiple of 64, and what the image does not fill is black.  Conventions are those
of ``posebench.inference.crop``.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from posebench.inference.crop import Image, Matrix
from posebench.types.arrays import Floats

GRID = 64  # the longer side is a multiple of this, px


def input_size(image_size: tuple[int, int], short: int) -> tuple[int, int]:
    """Return the input's (height, width) for an image's (height, width), px.

    Args:
        image_size: Of the image as it was decoded.
        short: The input's shorter side; its height where the image is square.

    Source: PaddleDetection ppdet/modeling/keypoint_utils.py.
    """
    height, width = image_size
    if width < height:
        return _on_grid(short / width * height), short
    return short, _on_grid(short / height * width)


def _on_grid(side: float) -> int:
    return math.ceil(side / GRID) * GRID


def whole_matrix(image_size: tuple[int, int], short: int, *, inverse: bool = False) -> Matrix:
    """Affine of the image's rounded centre to the input's centre, the shorter sides alike.

    Halves are rounded to the even neighbour.  The corners of the triangle are computed in
    doubles and rounded once, unlike those of ``hrnet_affine``: the last bit moves bytes.

    Args:
        image_size: (height, width) px.
        short: The input's shorter side, px.
        inverse: Return input -> image.

    Returns:
        (2, 3) float64 matrix.

    Source: PaddleDetection ppdet/modeling/keypoint_utils.py.
    """
    height, width = image_size
    out_height, out_width = input_size(image_size, short)
    covered = float(width) if width < height else out_width / out_height * height
    src = _triangle(float(np.round(width / 2)), float(np.round(height / 2)), covered)
    dst = _triangle(out_width * 0.5, out_height * 0.5, float(out_width))
    matrix = cv2.getAffineTransform(dst, src) if inverse else cv2.getAffineTransform(src, dst)
    return np.asarray(matrix, np.float64)


def _triangle(x: float, y: float, width: float) -> Floats:
    """Centre, half a width above it, and the corner of a right angle there: (3, 2) float32."""
    centre = np.array([x, y], np.float32)
    above = np.array([x, y - 0.5 * width], np.float32)
    direction = centre - above
    corner = above + np.array([-direction[1], direction[0]], np.float32)
    return np.stack([centre, above, corner])


def resize_whole(image: Image, short: int) -> Image:
    """Resize an image as ``whole_matrix`` says: bilinear, zero border.

    Args:
        image: (H, W, 3) uint8.
        short: The result's shorter side, px.

    Returns:
        (height, width, 3) uint8 of ``input_size``, channels as they were.
    """
    size = image.shape[0], image.shape[1]
    height, width = input_size(size, short)
    resized = cv2.warpAffine(
        image, whole_matrix(size, short), (width, height), flags=cv2.INTER_LINEAR
    )
    return np.asarray(resized, np.uint8)


def to_image(points: Floats, image_size: tuple[int, int], short: int) -> Floats:
    """Map points of the input to the image.

    Args:
        points: (..., 2) x, y, px of the input.
        image_size: (height, width) of the image, px.
        short: The input's shorter side, px.

    Returns:
        (..., 2) float64, px of the image.
    """
    matrix = whole_matrix(image_size, short, inverse=True)
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
