"""Train the bottom-up demo model on drawn pictures.

    python tools/train_bottom_up.py --minutes 33

Draws its pictures once (16,000 of the split ``train``, 4 GB, a few minutes), trains for a fixed
time and writes ``posebench/assets/demo/demo_bottom_up.safetensors``.  What a fixed time reaches
depends on the machine, so the committed file is the reference: it was trained with the minutes
above on one busy core (3,028 steps).  ``--resume`` goes on from the state that is kept every two
minutes.

Two losses: heatmaps against Gaussians as a penalty-reduced focal loss (Zhou et al., "Objects as
points", arXiv:1904.07850), and tags that shall be equal within a person and ``MARGIN`` apart
between persons (Newell et al., "Associative embedding", NeurIPS 2017, with a hinge).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import training
from demo_rows import ASSETS
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from training import Flags, Floats, Numbers, Pixels

from posebench.keypoints import keypoint_set
from posebench.networks.demo_bottom_up import DemoBottomUp
from posebench.synthetic.keypoints_dataset import draw

NAME = "demo_bottom_up"
SHORT, CANVAS = 192, (192, 256)  # the input's shorter side; (height, width) of training
JOINTS, PEOPLE = 17, 16
SCENES, BYTES_PER_SCENE = 16_000, 240 * 320 * 3
BATCH, CHECKPOINT_SECONDS = 16, 120
SIGMA = {2: 1.6, 4: 1.1}  # cells, for each stride
MARGIN = 2.0
PULL, PUSH = 1.0, 0.5


@dataclass(frozen=True)
class Batch:
    """Pictures with what they should give.

    Attributes:
        pixels: (N, H, W, 3) uint8 RGB.
        goals: Stride -> Gaussians (N, 17, H / stride, W / stride), 1 at a joint's own cell.
        counts: Stride -> 0 where persons without labels stand, (N, 1, H / stride, W / stride).
        joints: (N, P, 17, 2) px, and (N, P, 17) which of them are there.
        there: See ``joints``.
    """

    pixels: Tensor
    goals: dict[int, Tensor]
    counts: dict[int, Tensor]
    joints: Tensor
    there: Tensor


# --- training pictures ------------------------------------------------------------------------


def draw_scene(index: int) -> tuple[Pixels, list[tuple[float, ...]]]:
    """Draw one picture; return it with box and keypoints of each person."""
    scene = draw("train", index)
    return scene.image, [(*p.box, *(v for xyv in p.keypoints for v in xyv)) for p in scene.persons]


class TrainingSet(training.Drawn):
    """The drawn pictures, each with its persons."""

    def __init__(self, rows: Path) -> None:
        super().__init__(rows, keypoint_set("coco_17").flip_index())
        self.scenes = np.split(self.rows, np.flatnonzero(np.diff(self.rows[:, 0])) + 1)

    def sample(
        self, number: int, random: np.random.Generator
    ) -> tuple[Pixels, Floats, Flags, Floats]:
        """Vary one picture.

        Returns:
            Picture (H, W, 3) RGB, joints (P, 17, 2) px, which of them are labelled and inside,
            and corners (Q, 4, 2) px of the boxes of persons without labels.
        """
        rows = self.scenes[number]
        picture = self.picture(rows[0])
        height, width = picture.shape[:2]
        matrix = varied_matrix(height, width, random)
        pixels: Pixels = cv2.warpAffine(picture, matrix, CANVAS[::-1])  # type: ignore[assignment]
        points = rows[:, 7:].reshape(-1, JOINTS, 3).astype(np.float64)
        joints = points[..., :2] @ matrix[:, :2].T + matrix[:, 2]
        there = points[..., 2] > 0
        silent = ~there.any(axis=1)
        corners = box_corners(rows[silent, 3:7]) @ matrix[:, :2].T + matrix[:, 2]
        joints, there = joints[~silent], there[~silent]
        if random.random() < 0.5:
            pixels, joints, there = pixels[:, ::-1], joints[:, self.swap], there[:, self.swap]
            joints[..., 0] = CANVAS[1] - 1 - joints[..., 0]
            corners[..., 0] = CANVAS[1] - 1 - corners[..., 0]
        inside = ((joints >= 0) & (joints < np.array(CANVAS[::-1]))).all(axis=2)
        pixels = training.vary_colour(np.ascontiguousarray(pixels), random)
        return pixels[:, :, ::-1], joints, there & inside, corners


def varied_matrix(height: int, width: int, random: np.random.Generator) -> Floats:
    """Return picture -> canvas: as in evaluation, but for random size, place and angle."""
    zoom = SHORT / min(height, width) * np.exp(random.uniform(-0.3, 0.3))
    angle = np.deg2rad(random.uniform(-15, 15)) if random.random() < 0.4 else 0.0
    centre = np.array([width, height]) / 2
    # What does not fit in is moved about more.
    room = 0.1 * np.array(CANVAS[::-1]) + 0.5 * np.abs(2 * centre * zoom - np.array(CANVAS[::-1]))
    target = np.array(CANVAS[::-1]) / 2 + random.uniform(-1, 1, 2) * room
    return training.placed(centre, target, zoom, angle)


def box_corners(boxes: NDArray[np.int32]) -> Floats:
    """(Q, 4) x, y, w, h -> (Q, 4, 2) corners."""
    x, y, w, h = boxes.T.astype(np.float64)
    return np.stack(
        [np.stack([x + i * w, y + k * h], 1) for i, k in ((0, 0), (1, 0), (0, 1), (1, 1))], 1
    )


def paint(joints: Floats, there: Flags, stride: int) -> NDArray[np.float32]:
    """Gaussians (17, H / stride, W / stride), the highest of each joint's persons.

    A joint at input pixel p stands at cell p / stride - 0.5: the grouping adds the half pixel
    that the cells' corners lie off their centres.
    """
    shape = CANVAS[0] // stride, CANVAS[1] // stride
    goal = np.zeros((JOINTS, *shape), np.float32)
    sigma = SIGMA[stride]
    reach = int(np.ceil(4 * sigma))
    for person, joint in zip(*np.nonzero(there), strict=True):
        x, y = joints[person, joint] / stride - 0.5
        cx, cy = min(max(round(x), 0), shape[1] - 1), min(max(round(y), 0), shape[0] - 1)
        left, top = max(cx - reach, 0), max(cy - reach, 0)
        columns, rows = np.arange(left, cx + reach + 1), np.arange(top, cy + reach + 1)
        columns, rows = columns[columns < shape[1]], rows[rows < shape[0]]
        across = np.exp(-((columns - x) ** 2) / (2 * sigma**2))
        down = np.exp(-((rows - y) ** 2) / (2 * sigma**2))
        part = goal[joint, top : rows[-1] + 1, left : columns[-1] + 1]
        np.maximum(part, np.outer(down, across), out=part)
        goal[joint, cy, cx] = 1.0
    return goal


def silence(corners: Floats, stride: int) -> NDArray[np.float32]:
    """Weights (1, H / stride, W / stride), 0 in the boxes of persons without labels."""
    weight = np.ones((1, CANVAS[0] // stride, CANVAS[1] // stride), np.float32)
    for box in corners / stride:
        left, top = np.maximum(np.floor(box.min(axis=0)).astype(int), 0)
        right, bottom = np.maximum(np.ceil(box.max(axis=0)).astype(int), 0)
        weight[:, top : bottom + 1, left : right + 1] = 0
    return weight


def gather(data: TrainingSet, numbers: Numbers, random: np.random.Generator) -> Batch:
    """Return varied pictures with their goals."""
    samples = [data.sample(int(number), random) for number in numbers]
    joints = np.zeros((len(samples), PEOPLE, JOINTS, 2), np.float32)
    there = np.zeros((len(samples), PEOPLE, JOINTS), np.bool_)
    for row, (_, points, labelled, _) in enumerate(samples):
        joints[row, : len(points)], there[row, : len(points)] = points, labelled
    return Batch(
        torch.from_numpy(np.stack([pixels for pixels, *_ in samples])),
        {s: torch.from_numpy(np.stack([paint(p, t, s) for _, p, t, _ in samples])) for s in SIGMA},
        {s: torch.from_numpy(np.stack([silence(c, s) for *_, c in samples])) for s in SIGMA},
        torch.from_numpy(joints),
        torch.from_numpy(there),
    )


# --- losses and training ----------------------------------------------------------------------


def heatmap_loss(logits: Tensor, goal: Tensor, weight: Tensor) -> Tensor:
    """Penalty-reduced focal loss, over the number of joints."""
    here = goal == 1
    missed, share = F.logsigmoid(-logits), logits.sigmoid()
    # At a joint's own cell the factor (1 - goal) is 0.
    false = (1 - goal) ** 4 * weight * share**2 * missed
    peaks = logits[here]
    hit = peaks.sigmoid().neg().add(1) ** 2 * F.logsigmoid(peaks)
    return -(hit.sum() + false.sum()) / here.sum().clamp(min=1)


def tag_loss(tags: Tensor, joints: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Spread within persons, and nearness of persons in one picture.

    Args:
        tags: (N, 17, h, w).
        joints: (N, P, 17, 2) px.
        there: (N, P, 17).
    """
    number, people, count = there.shape
    # A peak is off by a pixel or two; its tag shall be right all the same.
    near = joints + torch.randn_like(joints) * 1.5
    grid = near / torch.tensor(CANVAS[::-1]) * 2 - 1
    grid = grid.permute(0, 2, 1, 3).reshape(number * count, people, 1, 2)
    flat = tags.reshape(number * count, 1, *tags.shape[2:])
    read = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    read = read.view(number, count, people).transpose(1, 2)
    labelled = there.float()
    size = labelled.sum(2)
    mean = (read * labelled).sum(2) / size.clamp(min=1)
    spread = ((read - mean[..., None]) ** 2 * labelled).sum(2) / size.clamp(min=1)
    real = size > 0
    pairs = real[:, :, None] & real[:, None, :] & ~torch.eye(people, dtype=torch.bool)
    gap = (mean[:, :, None] - mean[:, None, :]).abs()
    close = F.relu(MARGIN - gap)[pairs] ** 2
    return spread[real].mean(), close.sum() / pairs.sum().clamp(min=1)


def losses(net: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Return the loss of one batch and its parts."""
    coarse, fine = training.logits(net, batch.pixels)
    heat, tags = coarse.float().split(JOINTS, dim=1)
    found = heatmap_loss(fine.float(), batch.goals[2], batch.counts[2])
    found = found + heatmap_loss(heat, batch.goals[4], batch.counts[4])
    pull, push = tag_loss(tags, batch.joints, batch.there)
    loss = found + PULL * pull + PUSH * push
    return {"loss": loss, "heatmaps": found, "within": pull, "between": push}


def train_bottom_up(given: argparse.Namespace) -> None:
    """Train for a fixed time and save the running mean of the weights."""
    rows = given.work / "people.npy"
    training.draw_once(draw_scene, (SCENES, BYTES_PER_SCENE), rows, given.processes)
    data = TrainingSet(rows)
    mean = training.train(
        training.Course(
            name=NAME,
            build=DemoBottomUp,
            numbers=(0, len(data.scenes)),
            batch=BATCH,
            gather=lambda numbers, random: gather(data, numbers, random),
            losses=losses,
            pause=CHECKPOINT_SECONDS,
        ),
        given,
    )
    training.save_weights(mean.state_dict(), given.out)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    training.add_options(parser, minutes=33.0, peak=2e-3, seed=0, work=training.WORK / "bottom_up")
    parser.add_argument("--out", type=Path, default=ASSETS / f"{NAME}.safetensors")
    given = parser.parse_args()
    torch.set_num_threads(1)
    train_bottom_up(given)


if __name__ == "__main__":
    main()
