"""mmpose's grouping of tagged joints once more, one cell, one joint and one person at a time.

Nothing of posebench is imported: this is what the package is compared with. The assignment is the
package munkres' here as there: which of several cheapest ones it takes is part of the recipe.
"""

from __future__ import annotations

import numpy as np
from munkres import Munkres
from reference_grouping import mean, peaks

f32, f64 = np.float32, np.float64
OUTWARDS = [0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16]


def resized(height, width, target, fit):
    """Size of the input (height, width), and image -> input as a function of x, y."""
    tall, wide = target
    if fit:
        scale = min(wide / width, tall / height)
        size = tall, wide
    else:
        scale = max(wide / width, tall / height)
        size = tuple(int(-(-round(side * scale, 9) // 64) * 64) for side in (height, width))
    middle_y, middle_x = size[0] / 2, size[1] / 2
    return size, lambda x, y: (
        middle_x + scale * (x - width / 2),
        middle_y + scale * (y - height / 2),
    )


def grouped(found, tags):
    """Peaks per joint, tags (K, H, W, D) -> persons as {joint: (heat, y, x)}, at most thirty."""
    order = OUTWARDS if len(found) == 17 else range(len(found))
    joints, members = {}, {}
    for joint in order:
        candidates = found[joint]
        own = [tags[joint, y, x] for _, y, x in candidates]
        keys = list(joints)
        partner = {}
        if candidates and keys:
            centres = [mean(members[key]) for key in keys]
            apart = [
                [float(np.sqrt(sum((f64(a) - f64(b)) ** 2 for a, b in zip(tag, c, strict=True))))
                 for c in centres]
                for tag in own
            ]  # fmt: skip
            cost = [
                [round(d) * 100 - float(heat) for d in row]
                for row, (heat, _, _) in zip(apart, candidates, strict=True)
            ]
            for row in cost:
                row += [1e10] * (len(cost) - len(keys))
            for row, column in Munkres().compute(cost):
                if column < len(keys) and apart[row][column] < 1:
                    partner[row] = keys[column]
        for row, candidate in enumerate(candidates):
            key = partner.get(row)
            if key is None:
                key = float(own[row][0])
                members[key] = []
            joints.setdefault(key, {})[joint] = candidate
            members[key].append(own[row])
    return [joints[key] for key in list(joints)[:30]]


def moved(grid, y, x):
    """x, y in the middle of the cell, a quarter on to the higher neighbour off the border."""
    height, width = grid.shape
    right = np.sign(grid[y, x + 1] - grid[y, x - 1]) if 1 < x < width - 1 and y > 0 else 0
    below = np.sign(grid[y + 1, x] - grid[y - 1, x]) if 1 < y < height - 1 and x > 0 else 0
    return x + 0.25 * right + 0.5, y + 0.25 * below + 0.5


def nearest(grid, tags, centre):
    """(heat, y, x) of the cell with the least cost over the whole map, the first of equal ones."""
    squared = np.zeros(grid.shape, f32)
    for d in range(tags.shape[2]):
        squared += (tags[:, :, d] - centre[d]) ** 2
    cost = np.round(np.sqrt(squared)) * f32(100) - grid
    y, x = divmod(int(np.argmin(cost)), grid.shape[1])
    return grid[y, x], y, x


def people(heat, tags):
    """(K, H, W) heat and (K, H, W, D) tags at the input's size -> list of (xy, scores, score)."""
    result = []
    for person in grouped([peaks(grid) for grid in heat], tags):
        xy, scores = np.zeros((len(heat), 2)), np.zeros(len(heat), f32)
        for joint, (value, y, x) in person.items():
            xy[joint], scores[joint] = moved(heat[joint], y, x), value
        score = sum(float(s) for s in scores) / len(heat)
        centre = mean([tags[joint, y, x] for joint, (_, y, x) in sorted(person.items())])
        for joint in range(len(heat)):
            if joint not in person:
                scores[joint], y, x = nearest(heat[joint], tags[joint], centre)
                xy[joint] = x, y
        result.append((xy, scores, score))
    return result
