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

from posebench.types.entry import InputSpec

Matrix = NDArray[np.floating[Any]]
Float32 = NDArray[np.float32]
Image = NDArray[np.uint8]


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
    height, dst_width = size
    above = np.array([0.0, np.float32(width) * np.float32(-0.5)], np.float32)
    src = _right_angle(np.asarray(centre, np.float32), above)
    dst_centre = np.array([dst_width * 0.5, height * 0.5], np.float32)
    dst = _right_angle(dst_centre, np.array([0.0, dst_width * -0.5], np.float32))
    matrix = cv2.getAffineTransform(dst, src) if inverse else cv2.getAffineTransform(src, dst)
    return np.asarray(matrix, np.float64)


def _right_angle(corner: Float32, step: Float32) -> Float32:
    """Three points: a corner, the corner moved by ``step``, and the third of a right angle."""
    second = corner + step
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
        (2, 3) float32 matrix, source -> destination.

    Source: PaddleDetection ppdet/modeling/keypoint_utils.py, the matrix behind ``use_udp``.
    """
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


def box_pixels(scale: Float32, spec: InputSpec) -> Float32:
    """Return padded (width, height) in px, float32, of a stored scale."""
    return np.asarray(scale, np.float32) * np.float32(spec.pixel_std)


def crop_matrix(centre: Float32, scale: Float32, spec: InputSpec) -> Matrix:
    """Return image -> input (2, 3) for the crop rule of the weights."""
    pixels = box_pixels(scale, spec)
    if spec.crop == "hrnet_affine":
        return hrnet_affine(centre, pixels[0], spec.size)
    if spec.crop == "udp_affine":
        return udp_affine(centre, pixels, spec.size)
    raise NotImplementedError(f"crop rule {spec.crop} is not built yet")


def inverse_matrix(centre: Float32, scale: Float32, spec: InputSpec, rule: str) -> Matrix:
    """Return heatmap -> image (2, 3) for a protocol's ``inverse``."""
    pixels = box_pixels(scale, spec)
    if rule == "affine":
        return hrnet_affine(centre, pixels[0], spec.heatmap_size, inverse=True)
    if rule == "udp":
        return udp_inverse(centre, pixels, spec.heatmap_size)
    raise NotImplementedError(f"inverse {rule} is not built yet")


def crop_person(image: Image, matrix: Matrix, spec: InputSpec) -> Image:
    """Cut one person out: bilinear, zero border.

    Args:
        image: (H, W, 3) uint8, BGR as OpenCV reads it.
        matrix: From ``crop_matrix``.
        spec: Of the weights.

    Returns:
        (height, width, 3) uint8, channels still BGR.
    """
    height, width = spec.size
    crop = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return np.asarray(crop, np.uint8)


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
    crop = crop_person(image, crop_matrix(centre, scale, spec), spec)
    return hashlib.sha256(np.ascontiguousarray(crop).tobytes()).hexdigest()[:16]
