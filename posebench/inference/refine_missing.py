"""Where a person's joints lie: cells moved to where the peak must be, and joints not found.

Maps have the size of the network's input; cells are its pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posebench.inference.grouping import DISTANCE_COST, HEAT_THRESHOLD, Maps
from posebench.types.arrays import Floats, Ints

# Where joints that were not found are looked for: first among few cells, then among more.
SALVAGE_LEVELS = (HEAT_THRESHOLD, 0.05, 0.02, 0.01, 0.004, 0.0)
MOST_SCORED = 2**20  # cells times persons at once


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


def refined_inside(heat: Tensor, joint: Ints, y: Ints, x: Ints) -> NDArray[np.float32]:
    """The same, but equal neighbours move nothing, nor does a cell at the map's border.

    The first two columns and rows count as border, of the others the last.

    Source: mmpose mmpose/codecs/utils/refinement.py; the half cell is the codec's.
    """
    height, width = heat.shape[-2:]
    j = torch.as_tensor(joint, device=heat.device)
    cy, cx = (torch.as_tensor(cells, device=heat.device) for cells in (y, x))
    along = (cx > 1) & (cx < width - 1) & (cy > 0)
    down = (cy > 1) & (cy < height - 1) & (cx > 0)
    beside, below = cx.clamp(1, width - 2), cy.clamp(1, height - 2)
    dx = heat[j, cy, beside + 1] - heat[j, cy, beside - 1]
    dy = heat[j, below + 1, cx] - heat[j, below - 1, cx]
    step = 0.25 * torch.stack([dx.sign() * along, dy.sign() * down], dim=1)
    return (np.stack([x, y], axis=1) + step.cpu().numpy() + 0.5).astype(np.float32)


def fill(maps: Maps, tag: Floats, found: NDArray[np.bool_], xy: Floats, scores: Floats) -> None:
    """Put each missing joint into the cell of the nearest tag, of equally near ones the hottest.

    It stands on the cell's number, neither moved nor in its middle, and scores its heat, however
    low. Distances are rounded, and the sum of both in single precision decides.

    Args:
        maps: Of one image.
        tag: (P, D) mean tags.
        found: (P, K) joints that need nothing.
        xy: (P, K, 2), written to.
        scores: (P, K), written to.

    Source: mmpose mmpose/codecs/associative_embedding.py.
    """
    means = torch.from_numpy(tag).to(maps.heat.device)
    cells = torch.arange(maps.heat[0].numel(), device=maps.heat.device)
    for joint in np.flatnonzero(~found.all(axis=0)).tolist():
        heat, tags = maps.heat[joint].flatten(), maps.tags[:, joint].flatten(1)
        persons = np.flatnonzero(~found[:, joint]).tolist()
        for person, _, cell in _scored(heat, tags, cells, persons, means, DISTANCE_COST):
            y, x = divmod(cell, maps.heat.shape[-1])
            xy[person, joint] = x, y
            scores[person, joint] = float(heat[cell])


def salvage(maps: Maps, tag: Floats, found: NDArray[np.bool_], xy: Floats, scores: Floats) -> None:
    """Put each missing joint where heat minus rounded tag distance is highest, if above 0.

    Args: as of ``fill``.

    Source: PaddleDetection ppdet/modeling/architectures/keypoint_hrhrnet.py.
    """
    means = torch.from_numpy(tag).to(maps.heat.device)
    places: list[tuple[int, int, int, float]] = []
    for joint in np.flatnonzero(~found.all(axis=0)).tolist():
        places += _best_cells(maps, joint, np.flatnonzero(~found[:, joint]).tolist(), means)
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
    heat: Tensor,
    tags: Tensor,
    cells: Tensor,
    persons: list[int],
    tag: Tensor,
    weight: float = 1.0,
) -> Iterator[tuple[int, float, int]]:
    """Each person's best of some cells, the first of equal ones: (person, score, cell).

    Args:
        heat: (H W,).
        tags: (D, H W).
        cells: (n,), rising.
        persons: Rows of ``tag``, some at a time so that memory stays bounded.
        tag: (P, D) mean tags.
        weight: Of a rounded distance of 1.
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
        scores, at = (here - weight * squared.sqrt_().round_()).max(dim=1)
        yield from zip(rows, scores.tolist(), cells[at].tolist(), strict=True)
