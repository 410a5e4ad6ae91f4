"""The evaluation chain once more, person by person, as plainly as it can be written.

Nothing of posebench is imported: this is what the package is compared with.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from reference_keypoints import COCO as PAIRS
from reference_keypoints import COCO_SIGMAS


def hrnet_box(bbox, image_width, image_height):
    """Ground-truth box as HRNet and PaddleDetection clean it; None if nothing is left."""
    x, y, w, h = bbox
    left, top = max(0, x), max(0, y)
    right = min(image_width - 1, left + max(0, w - 1))
    bottom = min(image_height - 1, top + max(0, h - 1))
    if right < left or bottom < top:
        return None
    return left, top, right - left, bottom - top


def centre_scale(box, net_height, net_width, pixel_std=200, padding=1.25):
    x, y, w, h = box
    centre = np.zeros(2, np.float32)
    centre[0], centre[1] = x + w * 0.5, y + h * 0.5
    ratio = net_width / net_height
    if w > ratio * h:
        h = w / ratio
    elif w < ratio * h:
        w = h * ratio
    scale = np.array([w / pixel_std, h / pixel_std], np.float32)
    if centre[0] != -1:
        scale = scale * np.float32(padding)
    return centre, scale


def three_points(a, b):
    d = a - b
    return np.array([a, b, b + np.array([-d[1], d[0]], np.float32)], np.float32)


def hrnet_matrix(centre, scale, out_height, out_width, inverse=False, pixel_std=200):
    source_width = (scale * np.float32(pixel_std))[0]
    # MPII's centre is held in doubles until the two points are stored.
    above = np.asarray(centre, np.float64) + np.array([0.0, -source_width / 2])
    source = three_points(np.array(centre, np.float32), above.astype(np.float32))
    a = np.array([out_width * 0.5, out_height * 0.5], np.float32)
    target = three_points(a, a + np.array([0, -out_width * 0.5], np.float32))
    if inverse:
        return cv2.getAffineTransform(target, source)
    return cv2.getAffineTransform(source, target)


def udp_matrix(centre, scale, net_height, net_width):
    # The reference multiplies the float32 scale before anything becomes double.
    w, h = (float(side) for side in scale * np.float32(200))
    cx, cy = (float(place) for place in centre)
    sx, sy = (net_width - 1) / w, (net_height - 1) / h
    return np.array([[sx, 0, sx * (-cx + w / 2)], [0, sy, sy * (-cy + h / 2)]], np.float32)


def crop(image_bgr, matrix, net_height, net_width):
    return cv2.warpAffine(image_bgr, matrix, (net_width, net_height), flags=cv2.INTER_LINEAR)


def tensor(crop_bgr, colour="rgb", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)):
    """The network's input; no std, no division."""
    pixels = crop_bgr[:, :, ::-1] if colour == "rgb" else crop_bgr
    value = pixels.astype(np.float32) / np.float32(255)
    value = value - np.array(mean, np.float32)
    if std is not None:
        value = value / np.array(std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(value.transpose(2, 0, 1)))[None]


def heatmap(network, x, flip=True, shift=True):
    """(K, h, w) numpy heatmap with the flip test, of COCO's 17 joints."""
    with torch.no_grad():
        plain = network(x)[0].numpy()
        if not flip:
            return plain
        back = flip_back(network(torch.flip(x, [3]))[0].numpy(), PAIRS, shift)
    return (plain + back) * np.float32(0.5)


def flip_back(mirrored, pairs, shift=True):
    """(K, h, w) heatmaps of a mirrored crop, as the plain crop would have them."""
    back = mirrored[:, :, ::-1].copy()
    for a, b in pairs:
        back[[a, b]] = back[[b, a]]
    if shift:
        moved = back.copy()
        for column in range(1, back.shape[2]):
            moved[:, :, column] = back[:, :, column - 1]
        back = moved
    return back


def peak(joint):
    at = int(np.argmax(joint))
    y, x = divmod(at, joint.shape[1])
    score = joint[y, x]
    return (x, y, score) if score > 0 else (0, 0, score)


def sign(value):
    return int(value > 0) - int(value < 0)


def nudge(joint, x, y):
    """The quarter step at rounded cell (x, y)."""
    height, width = joint.shape
    px, py = math.floor(x + 0.5), math.floor(y + 0.5)
    if 1 < px < width - 1 and 1 < py < height - 1:
        x += 0.25 * sign(joint[py, px + 1] - joint[py, px - 1])
        y += 0.25 * sign(joint[py + 1, px] - joint[py - 1, px])
    return x, y


def decode_argmax(joint):
    return peak(joint)


def decode_quarter(joint):
    x, y, score = peak(joint)
    return (*nudge(joint, x, y), score)


def decode_softargmax(joint, beta=160, step=True):
    # float32, as LPN has it: 160 times the rounding of a heatmap shows in a thousandth of a px.
    z = torch.from_numpy(joint.reshape(-1)) * beta
    p = torch.softmax(z, 0).numpy().reshape(joint.shape)
    x = float((p.sum(axis=0) * np.arange(joint.shape[1])).sum())
    y = float((p.sum(axis=1) * np.arange(joint.shape[0])).sum())
    score = joint[int(np.round(y)), int(np.round(x))]
    return (*(nudge(joint, x, y) if step else (x, y)), score)


def blurred_map(joint, kernel):
    """The blurred map (float32), rescaled to the peak before the blur."""
    pad = (kernel - 1) // 2
    height, width = joint.shape
    framed = np.zeros((height + 2 * pad, width + 2 * pad))
    framed[pad : pad + height, pad : pad + width] = joint
    blurred = cv2.GaussianBlur(framed, (kernel, kernel), 0)[pad : pad + height, pad : pad + width]
    blurred = blurred.astype(np.float32)
    blurred *= joint.max() / blurred.max()
    return blurred


def log_blurred(joint, kernel):
    return np.log(np.maximum(blurred_map(joint, kernel), np.float32(1e-10)))


def curvature(log, x, y):
    """Gradient and Hessian of a float64 map at a cell, in steps of two cells."""
    gradient = np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]]) / 2
    xx = (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2]) / 4
    yy = (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x]) / 4
    xy = (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1]) / 4
    return gradient, np.array([[xx, xy], [xy, yy]])


def decode_dark(joint, kernel=3):
    x, y, score = peak(joint)
    height, width = joint.shape
    log = log_blurred(joint, kernel).astype(np.float64)
    if 1 < x < width - 2 and 1 < y < height - 2:
        gradient, hessian = curvature(log, x, y)
        if hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2 != 0:
            step = -np.linalg.inv(hessian) @ gradient
            return x + step[0], y + step[1], score
    return x, y, score


def decode_integral(joint):
    """Mean cell under the sigmoid, one axis at a time; the score is the sigmoid's peak."""
    m = 1 / (1 + np.exp(-joint.astype(np.float64)))
    p = m / m.sum()
    x = sum(i * float(p[:, i].sum()) for i in range(joint.shape[1]))
    y = sum(i * float(p[i].sum()) for i in range(joint.shape[0]))
    return x, y, float(m.max())


def to_image(points, matrix):
    return np.array([[*(matrix @ np.array([x, y, 1.0]))] for x, y in points])


def instance_score(joint_scores, box_score, threshold=0.2):
    """HRNet, FPD, LPN, Paddle, AlphaPose of 2020; GluonCV with a box score of 1."""
    counted = [float(s) for s in joint_scores if s > threshold]
    return box_score * (sum(counted) / len(counted) if counted else 0.0)


def alphapose_score(joint_scores, box_score, weight):
    """AlphaPose of 2019 (weight 1) and of 2022 (1.25); None for its run on annotated boxes."""
    joints = [float(s) for s in joint_scores]
    score = sum(joints) / len(joints) + weight * max(joints)
    return score if box_score is None else score + box_score


def similarity(a, b, area_a, area_b, sigmas=COCO_SIGMAS):
    """OKS of two predictions; sigmas in thousandths."""
    total = 0.0
    for (ax, ay), (bx, by), sigma in zip(a, b, sigmas, strict=True):
        variance = (2 * sigma / 1000) ** 2
        total += math.exp(-((ax - bx) ** 2 + (ay - by) ** 2) / variance / (area_a + area_b))
    return total / len(sigmas)


def suppress(people, threshold=0.9, sigmas=COCO_SIGMAS):
    """Persons of one image as (id, points, area, score) -> ids kept; of equals the later first."""
    rest = sorted(people, key=lambda person: person[3])[::-1]
    kept = []
    while rest:
        best = rest.pop(0)
        kept.append(best[0])
        rest = [p for p in rest if similarity(best[1], p[1], best[2], p[2], sigmas) <= threshold]
    return kept
