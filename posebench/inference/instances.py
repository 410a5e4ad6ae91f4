"""The persons of one image, from what a network says about the whole of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from posebench.inference.grouping import GroupingConfig, Maps, find_peaks, group
from posebench.inference.refine_missing import fill, refined, refined_inside, salvage
from posebench.types.arrays import Floats, Ints


@dataclass(frozen=True, eq=False)
class FoundPersons:
    """The persons of one image.

    Attributes:
        xy: (P, K, 2) float32 px of the network's input; (0, 0) where nothing was found.
        joint_scores: (P, K) float32; 0 where nothing was found.
        score: (P,) float32; of grouped joints their mean before missing ones were looked for.
        corners: (P, 4) float32 box of each person, x, y, x, y, px of the input; None where the
            network gives none.
    """

    xy: Floats
    joint_scores: Floats
    score: Floats
    corners: Floats | None = None

    def __len__(self) -> int:
        return len(self.score)


def find_people(maps: Maps, way: GroupingConfig, order: Sequence[int]) -> FoundPersons:
    """Group, refine, and look for what is missing.

    Args:
        maps: Of one image.
        way: Whose choices.
        order: The K joints in the order in which they are grouped.
    """
    peaks = find_peaks(maps)
    groups = group(peaks, order, way)
    found = groups.peak >= 0
    row = groups.peak[found]
    xy = np.zeros((*found.shape, 2), np.float32)
    scores = np.zeros(found.shape, np.float32)
    step = refined_inside if way.fill else refined
    xy[found] = step(maps.heat, peaks.joint[row], peaks.y[row], peaks.x[row])
    scores[found] = peaks.heat[row]
    score = scores.mean(axis=1)
    if way.fill:
        fill(maps, _mean_tags(peaks.tags, groups.peak), found, xy, scores)
    else:
        salvage(maps, groups.tag, found, xy, scores)
    return FoundPersons(xy, scores, score)


def _mean_tags(tags: Floats, peak: Ints) -> Floats:
    """Mean tag (P, D) of the peaks that each person has kept, joint after joint."""
    means = [tags[row[row >= 0]].mean(axis=0) for row in peak]
    return np.array(means, np.float32).reshape(len(peak), tags.shape[1])


def given_people(found: Tensor) -> FoundPersons:
    """Return the persons of a network that gives ``persons``, see ``InputSpec.output``.

    Args:
        found: (P, 5 + 3 K).
    """
    values = found.float().cpu().numpy()
    joints = values[:, 5:].reshape(len(values), (values.shape[1] - 5) // 3, 3)
    return FoundPersons(joints[..., :2], joints[..., 2], values[:, 0], values[:, 1:5])
