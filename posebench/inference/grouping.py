"""From heatmaps and tags of a whole image to persons.

A joint's peaks belong to the person whose tags are nearest.  The order of the steps, the types
they are computed in and the constants are those of PaddleDetection
ppdet/modeling/architectures/keypoint_hrhrnet.py; HigherHRNet's own code goes from the body's
centre outwards and pads the costs with 1e10, which gives other persons.

Maps have the size of the network's input here; cells are its pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from posebench.inference.flip import average, flip_back
from posebench.types.arrays import Floats, Ints

MOST_PEOPLE = 30  # peaks a joint, and persons that a joint may join
HEAT_THRESHOLD = 0.1  # a peak must exceed it
TAG_THRESHOLD = 1.0  # a joint joins a person nearer than this
NEIGHBOURHOOD = 5  # side of the window in which a peak must be the highest, cells
# The nearest first: they exclude most.
NEIGHBOURS = sorted(
    itertools.product(range(-(NEIGHBOURHOOD // 2), NEIGHBOURHOOD // 2 + 1), repeat=2),
    key=lambda step: step[0] ** 2 + step[1] ** 2,
)[1:]
DISTANCE_COST = 100.0
NEW_PERSON_COST = 1e-10
# Where joints that were not found are looked for: first among few cells, then among more.
SALVAGE_LEVELS = (HEAT_THRESHOLD, 0.05, 0.02, 0.01, 0.004, 0.0)
MOST_SCORED = 2**20  # cells times persons at once


@dataclass(frozen=True, eq=False)
class Maps:
    """What a network says about one image, at the size of its input.

    Attributes:
        heat: (K, H, W).
        tags: (D, K, H, W); D is 2 with a flip test, whose tags are not averaged.
    """

    heat: Tensor
    tags: Tensor


@dataclass(frozen=True, eq=False)
class Peaks:
    """Peaks of the heatmaps, joint after joint, each joint's highest first.

    Attributes:
        joint: (M,) int64.
        y: (M,) int64, cells.
        x: (M,) int64, cells.
        heat: (M,) float32.
        tags: (M, D) float32.
    """

    joint: Ints
    y: Ints
    x: Ints
    heat: Floats
    tags: Floats


@dataclass(frozen=True, eq=False)
class Groups:
    """Peaks of each person.

    Attributes:
        peak: (P, K) int64 row of ``Peaks``, -1 where the person has none.
        tag: (P, D) float32 mean tag.
    """

    peak: Ints
    tag: Floats


@dataclass(frozen=True, eq=False)
class People:
    """The persons of one image.

    Attributes:
        xy: (P, K, 2) float32 px of the network's input; (0, 0) where nothing was found.
        joint_scores: (P, K) float32; 0 where nothing was found.
        score: (P,) float32 mean of the K joint scores, before missing joints were looked for.
    """

    xy: Floats
    joint_scores: Floats
    score: Floats

    def __len__(self) -> int:
        return len(self.score)


def full_maps(
    plain: Tensor, mirrored: Tensor | None, flip_index: Sequence[int], *, shift: bool
) -> Maps:
    """Merge the outputs for an image and its mirror image and enlarge them to the input's size.

    Args:
        plain: (1, 2 K, H / 2, W / 2) heatmaps, then tags.
        mirrored: Output for the mirrored image, not yet flipped back; None without flip test.
        flip_index: K positions, see ``flip_back``.
        shift: Move what comes from the mirrored image by a cell.
    """
    joints = len(flip_index)
    heat, tags = plain.split(joints, dim=1)
    if mirrored is not None:
        there, others = (
            flip_back(part, flip_index, shift=shift) for part in mirrored.split(joints, dim=1)
        )
        heat, tags = average(heat, there), torch.cat([tags, others])
    return Maps(_double(heat)[0], _double(tags))


def _double(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


def find_people(maps: Maps) -> People:
    """Group, refine, and look for what is missing."""
    peaks = find_peaks(maps)
    groups = group(peaks, len(maps.heat))
    found = groups.peak >= 0
    row = groups.peak[found]
    xy = np.zeros((*found.shape, 2), np.float32)
    scores = np.zeros(found.shape, np.float32)
    xy[found] = refined(maps.heat, peaks.joint[row], peaks.y[row], peaks.x[row])
    scores[found] = peaks.heat[row]
    score = scores.mean(axis=1)
    _salvage(maps, groups, found, xy, scores)
    return People(xy, scores, score)


def find_peaks(maps: Maps) -> Peaks:
    """Return the peaks above the threshold, at most 30 a joint; of equal ones the first."""
    joint, y, x = _highest_nearby(maps.heat)
    values = maps.heat[joint, y, x].cpu().numpy()
    tags, joints = maps.tags[:, joint, y, x].T.cpu().numpy(), joint.cpu().numpy()
    order = np.lexsort((-values, joints))
    rank = np.arange(len(order)) - np.searchsorted(joints[order], joints[order])
    order = order[rank < MOST_PEOPLE]
    return Peaks(
        joints[order], y.cpu().numpy()[order], x.cpu().numpy()[order], values[order], tags[order]
    )


def _highest_nearby(heat: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Joint, y and x of the cells above the threshold that no neighbour exceeds, in order.

    The same cells as a comparison with the maximum over every window, but few cells are above
    the threshold, and fewer are left after each neighbour.
    """
    reach = NEIGHBOURHOOD // 2
    framed = F.pad(heat, (reach,) * 4, value=-torch.inf)
    joint, y, x = (heat > HEAT_THRESHOLD).nonzero(as_tuple=True)
    for dy, dx in NEIGHBOURS:
        kept = heat[joint, y, x] >= framed[joint, y + reach + dy, x + reach + dx]
        joint, y, x = joint[kept], y[kept], x[kept]
    return joint, y, x


def group(peaks: Peaks, joints: int) -> Groups:
    """Give each peak to a person, joint by joint in the order of the keypoint set.

    Peaks and persons are matched at the least total cost; a peak whose match is too far, or for
    which a new person is cheaper, starts one.  A person is known by the first component of its
    first tag: a peak that would start a person of the same value joins that one.

    Args:
        peaks: Of one image.
        joints: K.
    """
    most, dims = len(peaks.joint), peaks.tags.shape[1]
    total, count = np.zeros((most, dims), np.float32), np.zeros(most, np.float32)
    table = np.full((most, joints), -1, np.int64)
    persons: dict[float, int] = {}
    bounds = np.searchsorted(peaks.joint, np.arange(joints + 1))
    for joint in range(joints):
        rows = np.arange(bounds[joint], bounds[joint + 1])
        if not len(rows):
            continue
        known = min(len(persons), MOST_PEOPLE)
        centres = total[:known] / count[:known, None]
        owner = _matched(peaks.tags[rows], peaks.heat[rows], centres)
        for new in np.flatnonzero(owner < 0):
            owner[new] = persons.setdefault(float(peaks.tags[rows[new], 0]), len(persons))
        # In order, so that of two peaks of one person the later stays; both tags count.
        np.add.at(total, owner, peaks.tags[rows])
        np.add.at(count, owner, 1)
        table[owner, joint] = rows
    number = len(persons)
    return Groups(table[:number], total[:number] / count[:number, None])


def _matched(tags: Floats, heat: Floats, centres: Floats) -> Ints:
    """Person of each peak, (n,) int64; -1 for a new one."""
    owner = np.full(len(tags), -1, np.int64)
    if not len(centres):
        return owner
    distance = np.linalg.norm(tags[:, None] - centres[None], ord=2, axis=2)
    # Single precision: the heat's last digits do not count beside a cost of hundreds.
    cost = np.round(distance) * np.float32(DISTANCE_COST) - heat[:, None]
    spare = max(len(tags) - len(centres), 0)
    cost = np.pad(cost, ((0, 0), (0, spare)), constant_values=NEW_PERSON_COST)
    peak, person = linear_sum_assignment(cost)
    peak, person = peak[person < len(centres)], person[person < len(centres)]
    near = distance[peak, person] < TAG_THRESHOLD
    owner[peak[near]] = person[near]
    return owner


def refined(heat: Tensor, joint: Ints, y: Ints, x: Ints) -> NDArray[np.float32]:
    """Move cells a quarter towards the higher neighbour, and by half a cell to its centre.

    Equal neighbours, and the image's border, count as the lower coordinate's being higher.

    Args:
        heat: (K, H, W).
        joint: (n,) heatmap of each cell.
        y: (n,).
        x: (n,).

    Returns:
        (n, 2) float32 x, y.
    """
    height, width = heat.shape[-2:]
    j = torch.as_tensor(joint, device=heat.device)
    cy, cx = (torch.as_tensor(cells, device=heat.device) for cells in (y, x))
    left, right = (cx - 1).clamp(min=0), (cx + 1).clamp(max=width - 1)
    up, down = (cy - 1).clamp(min=0), (cy + 1).clamp(max=height - 1)
    rising = torch.stack(
        [heat[j, cy, right] > heat[j, cy, left], heat[j, down, cx] > heat[j, up, cx]]
    )
    step = np.where(rising.T.cpu().numpy(), 0.25, -0.25)
    return (np.stack([x, y], axis=1) + step + 0.5).astype(np.float32)


def _salvage(
    maps: Maps, groups: Groups, found: NDArray[np.bool_], xy: Floats, scores: Floats
) -> None:
    """Put each missing joint where heat minus rounded tag distance is highest, if above 0."""
    tag = torch.from_numpy(groups.tag).to(maps.heat.device)
    places: list[tuple[int, int, int, float]] = []
    for joint in np.flatnonzero(~found.all(axis=0)).tolist():
        places += _best_cells(maps, joint, np.flatnonzero(~found[:, joint]).tolist(), tag)
    if not places:
        return
    person, joints, cell, score = (np.array(column) for column in zip(*places, strict=True))
    y, x = np.divmod(cell, maps.heat.shape[-1])
    xy[person, joints] = refined(maps.heat, joints, y, x)
    scores[person, joints] = score


def _best_cells(
    maps: Maps, joint: int, persons: list[int], tag: Tensor
) -> list[tuple[int, int, int, float]]:
    """(person, joint, cell, score) of the persons that have a cell with a score above 0.

    A score is at most the heat.  So once a cell scores at least a level, no cell whose heat is
    below that level can be better, and the search need not go there.
    """
    heat, tags = maps.heat[joint].flatten(), maps.tags[:, joint].flatten(1)
    best = dict.fromkeys(persons, (0.0, -1))
    above = torch.inf
    for level in SALVAGE_LEVELS:
        cells = ((heat < above) & (heat >= level if level else heat > 0)).nonzero()[:, 0]
        for person, score, cell in _scored(heat, tags, cells, persons, tag):
            known, place = best[person]
            if score > known or (score == known and cell < place):
                best[person] = score, cell
        persons, above = [person for person in persons if best[person][0] < level], level
        if not persons:
            break
    return [(person, joint, cell, score) for person, (score, cell) in best.items() if score > 0]


def _scored(
    heat: Tensor, tags: Tensor, cells: Tensor, persons: list[int], tag: Tensor
) -> Iterator[tuple[int, float, int]]:
    """Each person's best of some cells, the first of equal ones: (person, score, cell).

    Args:
        heat: (H W,).
        tags: (D, H W).
        cells: (n,), rising.
        persons: Rows of ``tag``, some at a time so that memory stays bounded.
        tag: (P, D) mean tags.
    """
    if not len(cells):
        return
    here, planes = heat[cells], tags[:, cells]
    some = max(MOST_SCORED // len(cells), 1)
    for first in range(0, len(persons), some):
        rows = persons[first : first + some]
        squared = torch.zeros(len(rows), len(cells), device=heat.device)
        for plane, mean in zip(planes, tag[rows].T, strict=True):
            squared += (plane - mean[:, None]).square_()
        scores, at = (here - squared.sqrt_().round_()).max(dim=1)
        yield from zip(rows, scores.tolist(), cells[at].tolist(), strict=True)
