"""mmpose's ways from one heatmap to a joint, written out cell by cell."""

from __future__ import annotations

import numpy as np
import reference_steps


def sign(a, b):
    return int(a > b) - int(a < b)


def decode_quarter_each_axis(joint):
    x, y, score = reference_steps.peak(joint)
    height, width = joint.shape
    step_x = sign(joint[y, x + 1], joint[y, x - 1]) if 1 < x < width - 1 and y > 0 else 0
    step_y = sign(joint[y + 1, x], joint[y - 1, x]) if 1 < y < height - 1 and x > 0 else 0
    return x + step_x / 4, y + step_y / 4, score


def decode_quarter_and_half(joint, kernel):
    blurred = reference_steps.blurred_map(joint, kernel)
    x, y, score = reference_steps.peak(blurred)
    height, width = joint.shape
    score = score / 255 + 0.5
    if not (1 < x < width - 1 and 1 < y < height - 1):
        return x, y, score
    step_x = sign(blurred[y, x + 1], blurred[y, x - 1])
    step_y = sign(blurred[y + 1, x], blurred[y - 1, x])
    return x + step_x / 4 + 0.5, y + step_y / 4 + 0.5, score


def decode_dark_udp(joint, kernel):
    x, y, score = reference_steps.peak(joint)
    height, width = joint.shape
    log = np.log(np.clip(reference_steps.blurred_map(joint, kernel), 1e-3, 50)).astype(np.float64)

    def at(dx, dy):
        return log[min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)]

    here, sides = at(0, 0), at(1, 0) + at(-1, 0) + at(0, 1) + at(0, -1)
    gradient = np.array([at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)]) / 2
    mixed = (at(1, 1) + at(-1, -1) + 2 * here - sides) / 2
    xx, yy = at(1, 0) - 2 * here + at(-1, 0), at(0, 1) - 2 * here + at(0, -1)
    hessian = np.array([[xx, mixed], [mixed, yy]]) + np.finfo(np.float32).eps * np.eye(2)
    step = np.linalg.inv(hessian) @ gradient
    return x - step[0], y - step[1], score
