"""A whole image into the network's input, and the way back.

The image keeps its shape.  Either its shorter side becomes a fixed number of pixels and the
longer one is rounded up to a multiple of 64, or it fits into an input of fixed size.
Conventions are those of ``posebench.inference.crop``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from posebench.inference.crop import Image, Matrix, mmpose_affine
from posebench.types.arrays import Floats
from posebench.types.entry import InputSpec

GRID = 64  # the longer side is a multiple of this, px


@dataclass(frozen=True, eq=False)
class Frame:
    """How an image lies in the network's input.

    Attributes:
        size: (height, width) of the input, px.
        there: (2, 3) matrix, image -> input.
        back: (2, 3) float64 matrix, input -> image; not always the exact inverse of ``there``.
        border: Grey level of what the image does not fill.
    """

    size: tuple[int, int]
    there: Matrix
    back: Matrix
    border: int = 0

    def resize(self, image: Image) -> Image:
        """Bring an image (H, W, 3) into the input (height, width, 3), bilinear."""
        height, width = self.size
        grey = (self.border,) * 3
        resized = cv2.warpAffine(
            image, self.there, (width, height), flags=cv2.INTER_LINEAR, borderValue=grey
        )
        return np.asarray(resized, np.uint8)

    def to_image(self, points: Floats) -> Floats:
        """Map points (..., 2), x and y in px of the input, to px of the image, float64."""
        # Persons of whom a number is not finite are left out later, counted and named in a note.
        with np.errstate(invalid="ignore"):
            return np.asarray(points, np.float64) @ self.back[:, :2].T + self.back[:, 2]


def frame(image_size: tuple[int, int], spec: InputSpec) -> Frame:
    """Return how an image of (height, width) px lies in the input of a network.

    Args:
        image_size: Of the image as it was decoded.
        spec: One whose ``crop`` takes whole images.
    """
    if spec.crop == "whole_image":
        short = min(spec.size)
        there, back = (whole_matrix(image_size, short, inverse=way) for way in (False, True))
        return Frame(input_size(image_size, short), there, back, spec.border)
    return _unrounded(image_size, spec)


def _unrounded(image_size: tuple[int, int], spec: InputSpec) -> Frame:
    """The image's very centre to the input's; it covers the given size, or fits into it.

    Source: mmpose mmpose/datasets/transforms/bottomup_transforms.py (``BottomupResize``) and
        mmpose/models/pose_estimators/bottomup.py for the way back.
    """
    (image_height, image_width), (height, width) = image_size, spec.size
    ratio = image_width / image_height
    fits = spec.crop == "whole_image_fit"
    if not fits:
        width, height = _on_grid(width, spec.grid), _on_grid(height, spec.grid)
    choose = min if fits else max
    covered_width, covered_height = choose(width, height * ratio), choose(height, width / ratio)
    if not fits:
        width, height = _on_grid(covered_width, spec.grid), _on_grid(covered_height, spec.grid)
    centre = np.array([image_width / 2, image_height / 2], np.float32)
    # The input's extent, px of the image.
    extent = np.array(
        [image_width * width / covered_width, image_height * height / covered_height], np.float32
    )
    there = mmpose_affine(centre, extent[0], (height, width))
    step = extent.astype(np.float64) / (width, height)
    corner = centre.astype(np.float64) - 0.5 * extent
    back = np.array([[step[0], 0.0, corner[0]], [0.0, step[1], corner[1]]])
    return Frame((height, width), there, back, spec.border)


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


def _on_grid(side: float, grid: int = GRID) -> int:
    return math.ceil(side / grid) * grid


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
