"""Bottom-up inference once more, one cell and one person at a time.

Nothing of posebench is imported: this is what the package is compared with.  The matching itself
is scipy's here as there: which of several cheapest matchings it takes is part of the recipe.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

f32 = np.float32


def resized(height, width, short):
    """Size of the input (height, width) and the two matrices, there and back."""
    if width < height:
        out_w, out_h = short, 64 * math.ceil(short / width * height / 64)
        covered = width
    else:
        out_h, out_w = short, 64 * math.ceil(short / height * width / 64)
        covered = out_w / out_h * height
    # Python's round goes to the even neighbour, as numpy's.
    cx, cy = round(width / 2), round(height / 2)
    half = f32(cy) - f32(cy - covered / 2)
    image = np.array([[cx, cy], [cx, cy - covered / 2], [0, 0]], f32)
    image[2] = [image[1, 0] - half, image[1, 1]]
    net = np.array(
        [[out_w / 2, out_h / 2], [out_w / 2, out_h / 2 - out_w / 2], [0, out_h / 2 - out_w / 2]],
        f32,
    )
    return (out_h, out_w), cv2.getAffineTransform(image, net), cv2.getAffineTransform(net, image)


def doubled(grid):
    """Bilinear enlargement of (h, w) by two, cell centres a quarter off."""
    sides = []
    for side in grid.shape:
        place = np.maximum((np.arange(2 * side) + 0.5) / 2 - 0.5, 0)
        first = place.astype(int)
        sides.append((first, np.minimum(first + 1, side - 1), place - first))
    (top, low, b), (left, right, a) = sides
    upper = (1 - a) * grid[top][:, left] + a * grid[top][:, right]
    lower = (1 - a) * grid[low][:, left] + a * grid[low][:, right]
    return (1 - b[:, None]) * upper + b[:, None] * lower


def peaks(grid, most=30, threshold=0.1):
    """(heat, y, x) of the cells that are highest within two cells, best first."""
    height, width = grid.shape
    found = []
    for y in range(height):
        for x in range(width):
            if grid[y, x] <= f32(threshold):
                continue
            window = grid[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
            if grid[y, x] == window.max():
                found.append((grid[y, x], y, x))
    found.sort(key=lambda peak: -peak[0])
    return found[:most]


class Person:
    def __init__(self):
        self.tags = []
        self.joints = {}

    def mean(self):
        return mean(self.tags)


def mean(tags):
    total = np.zeros_like(tags[0])
    for tag in tags:
        total = total + tag
    return total / f32(len(tags))


def distance(one, other):
    total = f32(0)
    for a, b in zip(one, other, strict=True):
        total += (a - b) * (a - b)
    return np.sqrt(total)


def grouped(found, tags):
    """Peaks per joint, tags (K, H, W, D) -> persons with their joints' (heat, y, x)."""
    people = {}
    for joint, candidates in enumerate(found):
        if not candidates:
            continue
        known = list(people)[:30]
        centres = [people[key].mean() for key in known]
        there = [tags[joint, y, x] for _, y, x in candidates]
        match = {}
        if known:
            wide = max(len(known), len(candidates))
            cost = np.full((len(candidates), wide), 1e-10, f32)
            for row, tag in enumerate(there):
                for column, centre in enumerate(centres):
                    steps = f32(np.round(distance(tag, centre)))
                    cost[row, column] = steps * f32(100) - candidates[row][0]
            match = dict(zip(*linear_sum_assignment(cost), strict=True))
        for row, candidate in enumerate(candidates):
            column = match.get(row, len(known))
            if column < len(known) and distance(there[row], centres[column]) < 1:
                key = known[column]
            else:
                key = float(there[row][0])
            person = people.setdefault(key, Person())
            person.tags.append(there[row])
            person.joints[joint] = candidate
    return list(people.values())


def finished(grid, y, x):
    """Quarter steps and half a cell: x, y."""
    height, width = grid.shape
    right, left = grid[y, min(x + 1, width - 1)], grid[y, max(x - 1, 0)]
    below, above = grid[min(y + 1, height - 1), x], grid[max(y - 1, 0), x]
    return x + 0.5 + (0.25 if right > left else -0.25), y + 0.5 + (0.25 if below > above else -0.25)


def salvaged(grid, tags, mean):
    """Best (score, y, x) of a missing joint over the whole map, or None."""
    squared = np.zeros(grid.shape, f32)
    for d in range(tags.shape[2]):
        squared += (tags[:, :, d] - mean[d]) ** 2
    score = grid - np.round(np.sqrt(squared))
    y, x = divmod(int(np.argmax(score)), grid.shape[1])
    return (score[y, x], y, x) if score[y, x] > 0 else None


def people(heat, tags):
    """(K, H, W) heat and (K, H, W, D) tags at the input's size -> list of (xy, scores, score)."""
    result = []
    for person in grouped([peaks(grid) for grid in heat], tags):
        xy, scores = np.zeros((len(heat), 2)), np.zeros(len(heat), f32)
        for joint, (value, y, x) in person.joints.items():
            xy[joint], scores[joint] = finished(heat[joint], y, x), value
        score = sum(float(s) for s in scores) / len(heat)
        for joint in range(len(heat)):
            if joint not in person.joints:
                found = salvaged(heat[joint], tags[joint], person.mean())
                if found:
                    scores[joint] = found[0]
                    xy[joint] = finished(heat[joint], found[1], found[2])
        result.append((xy, scores, score))
    return result


def mirrored_back(output, pairs):
    """(2 K, h, w) output for a mirrored image -> the plain image's frame."""
    joints = len(output) // 2
    order = list(range(joints))
    for a, b in pairs:
        order[a], order[b] = order[b], order[a]
    return output[order + [joints + k for k in order]][:, :, ::-1]
