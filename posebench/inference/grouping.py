"""From heatmaps and tags of a whole image to persons.

A joint's peaks belong to the person whose tags are nearest.  The order of the steps, the types
they are computed in and the constants are a ``GroupingConfig``: that of PaddleDetection
ppdet/modeling/architectures/keypoint_hrhrnet.py, or that of mmpose
mmpose/codecs/associative_embedding.py, which is HigherHRNet's own: from the body's centre
outwards, and a new person is dear, not cheap, which gives other persons.

Maps have the size of the network's input here; cells are its pixels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from posebench.inference.flip import average, flip_back
from posebench.keypoints import KeypointSet
from posebench.types.arrays import Floats, Ints
from posebench.types.errors import UserError

MOST_PEOPLE = 30  # peaks a joint
HEAT_THRESHOLD = 0.1  # a peak must exceed it
TAG_THRESHOLD = 1.0  # a joint joins a person nearer than this
NEIGHBOURHOOD = 5  # side of the window in which a peak must be the highest, cells
# The nearest first: they exclude most.
NEIGHBOURS = sorted(
    itertools.product(range(-(NEIGHBOURHOOD // 2), NEIGHBOURHOOD // 2 + 1), repeat=2),
    key=lambda step: step[0] ** 2 + step[1] ** 2,
)[1:]
DISTANCE_COST = 100.0
# Head, shoulders and hips before arms and legs.
OUTWARDS = {"coco_17": (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)}

Pairs = tuple[Ints, Ints]


def cheapest_pairs(cost: Floats) -> Pairs:
    """Rows and columns of a cheapest assignment, as scipy finds it."""
    rows, columns = linear_sum_assignment(cost)
    return np.asarray(rows), np.asarray(columns)


def munkres_pairs(cost: Floats) -> Pairs:
    """The same as the package ``munkres`` finds it; of several cheapest ones it takes another.

    Raises:
        UserError: It is not installed.
    """
    try:
        from munkres import Munkres
    except ImportError as error:
        raise UserError("Grouping as MMPose does needs munkres.", "pip install munkres") from error
    rows, columns = zip(*Munkres().compute(cost.tolist()), strict=True)
    return np.array(rows), np.array(columns)


@dataclass(frozen=True)
class GroupingConfig:
    """How a zoo groups: choices, each of which gives other persons.

    Attributes:
        outwards: Joints come in the order of ``OUTWARDS``, not in that of the keypoint set.
        enlarge_first: Maps are enlarged before the mirrored ones are averaged in, not after.
        precise: Costs are computed in doubles, else in single precision.
        new_person_cost: Of a peak that joins nobody.
        joinable: Persons that a joint may join, the first of them; None for all.
        most: Persons kept, the first of them; None for all.
        renew: A peak that starts a person of a known name replaces its tags, else joins them.
        pairs: Finds a cheapest assignment.
        fill: Every person gets every joint, and cells are moved by a quarter within the map
            alone; else joints are salvaged where they score above 0.
    """

    outwards: bool
    enlarge_first: bool
    precise: bool
    new_person_cost: float
    joinable: int | None
    most: int | None
    renew: bool
    pairs: Callable[[Floats], Pairs]
    fill: bool


# Protocol.decode -> how
WAYS = {
    "associative_embedding": GroupingConfig(
        outwards=False,
        enlarge_first=False,
        precise=False,
        new_person_cost=1e-10,
        joinable=MOST_PEOPLE,
        most=None,
        renew=False,
        pairs=cheapest_pairs,
        fill=False,
    ),
    "associative_embedding_filled": GroupingConfig(
        outwards=True,
        enlarge_first=True,
        precise=True,
        new_person_cost=1e10,
        joinable=None,
        most=MOST_PEOPLE,
        renew=True,
        pairs=munkres_pairs,
        fill=True,
    ),
}


def joint_order(keypoints: KeypointSet, way: GroupingConfig) -> tuple[int, ...]:
    """Return the joints of a keypoint set in the order in which they are grouped."""
    own = tuple(range(len(keypoints)))
    return OUTWARDS.get(keypoints.name, own) if way.outwards else own


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


def full_maps(
    plain: Tensor,
    mirrored: Tensor | None,
    flip_index: Sequence[int],
    *,
    shift: bool,
    factor: int = 2,
    enlarge_first: bool = False,
) -> Maps:
    """Merge the outputs for an image and its mirror image and enlarge them to the input's size.

    Args:
        plain: (1, 2 K, H / factor, W / factor) heatmaps, then tags.
        mirrored: Output for the mirrored image, not yet flipped back; None without flip test.
        flip_index: K positions, see ``flip_back``.
        shift: Move what comes from the mirrored image by a cell.
        factor: Input pixels a cell.
        enlarge_first: Enlarge before averaging: the same but for rounding, which moves peaks.
    """
    # Heat and tags apart throughout: the last bit depends on how many maps are enlarged at once.
    heat, tags = ([part] for part in plain.split(len(flip_index), dim=1))
    if mirrored is not None:
        for parts, other in zip((heat, tags), mirrored.split(len(flip_index), dim=1), strict=True):
            parts.append(flip_back(other, flip_index, shift=shift))
    if enlarge_first:
        heat, tags = ([_enlarged(part, factor) for part in parts] for parts in (heat, tags))
    merged = average(*heat) if len(heat) == 2 else heat[0]
    together = torch.cat(tags)
    if not enlarge_first:
        merged, together = _enlarged(merged, factor), _enlarged(together, factor)
    return Maps(merged[0], together)


def _enlarged(maps: Tensor, factor: int) -> Tensor:
    return F.interpolate(maps, scale_factor=float(factor), mode="bilinear", align_corners=False)


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


def group(peaks: Peaks, order: Sequence[int], way: GroupingConfig) -> Groups:
    """Give each peak to a person, joint by joint.

    Peaks and persons are matched at the least total cost; a peak whose match is too far, or that
    is matched with nobody, starts a person.  A person is known by the first component of its
    first tag: a peak that would start a person of the same value takes its place in that one.

    Args:
        peaks: Of one image.
        order: The K joints, in the order in which they are grouped.
        way: Whose choices.
    """
    most, dims = len(peaks.joint), peaks.tags.shape[1]
    total, count = np.zeros((most, dims), np.float32), np.zeros(most, np.float32)
    table = np.full((most, len(order)), -1, np.int64)
    persons: dict[float, int] = {}
    bounds = np.searchsorted(peaks.joint, np.arange(len(order) + 1))
    for joint in order:
        rows = np.arange(bounds[joint], bounds[joint + 1])
        if not len(rows):
            continue
        known = len(persons) if way.joinable is None else min(len(persons), way.joinable)
        centres = total[:known] / count[:known, None]
        owner = _matched(peaks.tags[rows], peaks.heat[rows], centres, way)
        # In order: of two peaks of one person the later stays.
        for row, person in zip(rows.tolist(), owner.tolist(), strict=True):
            if person < 0:
                person = persons.setdefault(float(peaks.tags[row, 0]), len(persons))
                if way.renew:
                    total[person], count[person] = 0, 0
            total[person] += peaks.tags[row]
            count[person] += 1
            table[person, joint] = row
    number = len(persons) if way.most is None else min(len(persons), way.most)
    return Groups(table[:number], total[:number] / count[:number, None])


def _matched(tags: Floats, heat: Floats, centres: Floats, way: GroupingConfig) -> Ints:
    """Person of each peak, (n,) int64; -1 for a new one."""
    owner = np.full(len(tags), -1, np.int64)
    if not len(centres):
        return owner
    if way.precise:
        tags, heat = tags.astype(np.float64), heat.astype(np.float64)
    distance = np.linalg.norm(tags[:, None] - centres[None], ord=2, axis=2)
    # In single precision the heat's last digits do not count beside a cost of hundreds.
    cost = np.round(distance) * np.float32(DISTANCE_COST) - heat[:, None]
    spare = max(len(tags) - len(centres), 0)
    cost = np.pad(cost, ((0, 0), (0, spare)), constant_values=way.new_person_cost)
    peak, person = way.pairs(cost)
    peak, person = peak[person < len(centres)], person[person < len(centres)]
    near = distance[peak, person] < TAG_THRESHOLD
    owner[peak[near]] = person[near]
    return owner
