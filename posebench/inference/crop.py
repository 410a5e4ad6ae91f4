"""Where a box lands in the network's input, and the way back.

All matrices are 2x3, map homogeneous pixel coordinates (x, y, 1) and follow OpenCV's convention
(pixel centres at integers).  Arithmetic is float32 where the reference's is: one unit in the last
place moves bytes of the crop.
"""

from __future__ import annotations

import hashlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from posebench.types.arrays import Floats, Persons
from posebench.types.entry import InputSpec

Matrix = NDArray[np.floating[Any]]
Float32 = NDArray[np.float32]
Image = NDArray[np.uint8]

# A box of this side is a point, px: no map of it into the input is a finite one.
POINT = 1e-6
# The second point of a three-point affine, from the centre, in shares of the width.
ABOVE, LEFT = (0.0, -0.5), (-0.5, 0.0)


def hrnet_affine(
    centre: Float32, width: np.float32, size: tuple[int, int], *, inverse: bool = False
) -> Matrix:
    """Three-point affine of the HRNet lineage (biased: the destination centre is size / 2).

    The source triangle is the centre, the point half a box width above it and the corner that
    makes a right angle; only the box width counts, its height follows from isotropy.

    Args:
        centre: (2,) float32 box centre, px.
        width: Padded box width, px, float32.
        size: Destination (height, width): input pixels, or heatmap cells for the way back.
        inverse: Return destination -> source.

    Returns:
        (2, 3) float64 matrix.

    Source: deep-high-resolution-net.pytorch lib/utils/transforms.py; also AlphaPose, GluonCV,
        FPD, LPN and PaddleDetection's modeling/keypoint_utils.py.
    """
    return _three_points(centre, width, size, ABOVE, inverse=inverse)


def mmpose_affine(centre: Float32, width: np.float32, size: tuple[int, int]) -> Matrix:
    """The same map, fixed by the point half a box width to the left of the centre.

    It differs in rounding alone, which moves bytes of some crops.

    Args: as of ``hrnet_affine``.

    Returns:
        (2, 3) float64 matrix, source -> destination.

    Source: mmpose mmpose/structures/bbox/transforms.py (``get_warp_matrix``).
    """
    return _three_points(centre, width, size, LEFT)


def _three_points(
    centre: Float32,
    width: np.float32,
    size: tuple[int, int],
    second: tuple[float, float],
    *,
    inverse: bool = False,
) -> Matrix:
    """Affine fixed by the centre, a second point in shares of the width, and a right angle."""
    height, dst_width = size
    src_centre = np.asarray(centre, np.float32)
    src = _right_angle(src_centre, src_centre + np.float32(width) * np.array(second, np.float32))
    dst_centre = np.array([dst_width * 0.5, height * 0.5], np.float32)
    dst = _right_angle(dst_centre, dst_centre + dst_width * np.array(second, np.float32))
    matrix = cv2.getAffineTransform(dst, src) if inverse else cv2.getAffineTransform(src, dst)
    return np.asarray(matrix, np.float64)


def _right_angle(corner: Float32, second: Float32) -> Float32:
    """Three points: two given ones and the third of a right angle at the second."""
    direction = corner - second
    third = second + np.array([-direction[1], direction[0]], np.float32)
    return np.stack([corner, second, third]).astype(np.float32)


def udp_affine(centre: Float32, box_size: Float32, size: tuple[int, int]) -> Float32:
    """Corner-aligned affine (UDP) without rotation: doubles of float32 sides, rounded once.

    That is the reference's arithmetic under the numpy 1 it demands; the last bit moves bytes.

    Args:
        centre: (2,) float32 box centre, px.
        box_size: (2,) float32 padded box width and height, px.
        size: Destination (height, width), px.

    Returns:
        (2, 3) float32 matrix, source -> destination; zeros for a box without extent, as
        ``hrnet_affine`` gives, where the reference divides by zero.

    Source: PaddleDetection ppdet/modeling/keypoint_utils.py, the matrix behind ``use_udp``.
    """
    if not box_size.min() > POINT:
        return np.zeros((2, 3), np.float32)
    height, width = size
    scale_x = (width - 1.0) / float(box_size[0])
    scale_y = (height - 1.0) / float(box_size[1])
    matrix = np.zeros((2, 3), np.float32)
    matrix[0, 0] = scale_x
    matrix[0, 2] = scale_x * (-float(centre[0]) + 0.5 * float(box_size[0]))
    matrix[1, 1] = scale_y
    matrix[1, 2] = scale_y * (-float(centre[1]) + 0.5 * float(box_size[1]))
    return matrix


def udp_inverse(centre: Float32, box_size: Float32, size: tuple[int, int]) -> Matrix:
    """Corner-aligned way back: heatmap cell 0 and size - 1 are the box's edges.

    Args:
        centre: (2,) box centre, px.
        box_size: (2,) padded box width and height, px.
        size: Heatmap (height, width), cells.

    Returns:
        (2, 3) float64 matrix, heatmap -> image.
    """
    step = np.asarray(box_size, np.float64) / np.array([size[1] - 1.0, size[0] - 1.0])
    corner = np.asarray(centre, np.float64) - 0.5 * np.asarray(box_size, np.float64)
    return np.array([[step[0], 0.0, corner[0]], [0.0, step[1], corner[1]]])


def corner_affine(box: Floats, size: tuple[int, int]) -> Matrix:
    """Whole-pixel box into the input, corners to corners, centred with whole-pixel margins.

    Args:
        box: (4,) x, y, width, height, whole px; the last row and column do not belong to it.
        size: Destination (height, width), px.

    Returns:
        (2, 3) float64 matrix, source -> destination.

    Source: gluon-cv gluoncv/data/transforms/pose.py (``cv_cropBox``, alpha_pose).
    """
    height, width = size
    left, top, right, bottom = _whole_corners(box)
    full_height = max(bottom - top, (right - left) * height / width)
    full_width = full_height * width / height
    margin_x = (full_width - (right - left)) // 2
    margin_y = (full_height - (bottom - top)) // 2
    first = np.array([left - margin_x, top - margin_y], np.float32)
    last = np.array([right + margin_x, bottom + margin_y], np.float32)
    src = _right_angle(first, last)
    end = np.array([width - 1, height - 1], np.float32)
    dst = _right_angle(np.zeros(2, np.float32), end)
    return np.asarray(cv2.getAffineTransform(src, dst), np.float64)


def corner_inverse(box: Floats, size: tuple[int, int]) -> Matrix:
    """GroupingConfig back that belongs to ``corner_affine`` by name, though it is not its inverse.

    The margin here is not floored, and cells count from the box's corner.

    Args:
        box: (4,) x, y, width, height, whole px.
        size: Heatmap (height, width), cells.

    Returns:
        (2, 3) float64 matrix, heatmap -> image.

    Source: gluon-cv gluoncv/data/transforms/pose.py (``transformBoxInvert``).
    """
    x, y, box_width, box_height = (float(value) for value in box)
    height, width = size
    full_height = max(box_height, box_width * height / width)
    full_width = full_height * width / height
    step = full_height / height
    margin_x = max((full_width - 1) / 2 - (box_width - 1) / 2, 0.0)
    margin_y = max((full_height - 1) / 2 - (box_height - 1) / 2, 0.0)
    return np.array([[step, 0.0, x - margin_x], [0.0, step, y - margin_y]])


def _whole_corners(box: Floats) -> tuple[int, int, int, int]:
    """First and last column and row that belong to a whole-pixel box."""
    x, y, width, height = (int(value) for value in box)
    return x, y, x + width - 1, y + height - 1


def box_pixels(scale: Float32, spec: InputSpec) -> Float32:
    """Return padded (width, height) in px, float32, of a stored scale."""
    return np.asarray(scale, np.float32) * np.float32(spec.pixel_std)


def crop_matrix(persons: Persons, row: int, spec: InputSpec) -> Matrix:
    """Return image -> input (2, 3) of one person, for the crop rule of the weights."""
    centre, pixels = persons.centre[row], box_pixels(persons.scale[row], spec)
    if spec.crop == "hrnet_affine":
        return hrnet_affine(centre, pixels[0], spec.size)
    if spec.crop == "mmpose_affine":
        return mmpose_affine(centre, pixels[0], spec.size)
    if spec.crop == "udp_affine":
        return udp_affine(centre, pixels, spec.size)
    if spec.crop == "alpha_pose_box":
        return corner_affine(persons.box[row], spec.size)
    raise NotImplementedError(f"crop rule {spec.crop} is not one of boxes")


def inverse_matrix(persons: Persons, row: int, spec: InputSpec, rule: str) -> Matrix:
    """Return heatmap -> image (2, 3) of one person, for a protocol's ``inverse``."""
    centre, pixels = persons.centre[row], box_pixels(persons.scale[row], spec)
    if rule == "affine":
        return hrnet_affine(centre, pixels[0], spec.heatmap_size, inverse=True)
    if rule == "udp":
        return udp_inverse(centre, pixels, spec.heatmap_size)
    return corner_inverse(persons.box[row], spec.heatmap_size)


def crop_person(image: Image, persons: Persons, row: int, spec: InputSpec) -> Image:
    """Cut one person out: bilinear, zero border.

    Args:
        image: (H, W, 3) uint8, BGR as OpenCV reads it.
        persons: Where to cut.
        row: Which of them.
        spec: Of the weights.

    Returns:
        (height, width, 3) uint8, channels still BGR.
    """
    if spec.crop == "alpha_pose_box":
        image = _only_inside(image, persons.box[row])
    height, width = spec.size
    matrix = crop_matrix(persons, row, spec)
    crop = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return np.asarray(crop, np.uint8)


def _only_inside(image: Image, box: Floats) -> Image:
    """A copy that is black outside the box, as gluon-cv's ``cv_cropBox`` leaves it."""
    left, top, right, bottom = _whole_corners(box)
    inside = (slice(top, bottom + 1), slice(left, right + 1))
    black = np.zeros_like(image)
    black[inside] = image[inside]
    return black


def apply_affine(points: Matrix, matrices: Matrix) -> Matrix:
    """Map points with one matrix each.

    Args:
        points: (N, K, 2).
        matrices: (N, 2, 3).

    Returns:
        (N, K, 2) float64.
    """
    linear, offset = matrices[:, None, :, :2], matrices[:, None, :, 2]
    return (linear @ np.asarray(points, np.float64)[..., None])[..., 0] + offset


def self_test() -> str:
    """Digest of a fixed crop: equal on every platform whose OpenCV crops alike."""
    grid = np.arange(97 * 131 * 3, dtype=np.int64).reshape(97, 131, 3)
    image = ((grid * grid) % 251).astype(np.uint8)
    spec = InputSpec(size=(64, 48))
    centre, scale = np.array([61.3, 40.7], np.float32), np.array([0.41, 0.55], np.float32)
    matrix = hrnet_affine(centre, box_pixels(scale, spec)[0], spec.size)
    crop = cv2.warpAffine(image, matrix, spec.size[::-1], flags=cv2.INTER_LINEAR)
    return hashlib.sha256(np.ascontiguousarray(crop).tobytes()).hexdigest()[:16]
