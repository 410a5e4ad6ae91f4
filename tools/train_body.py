"""Train the demo model of whole bodies on drawn pictures, and cut two shipped models out of it.

    python tools/train_body.py train --minutes 28
    python tools/train_demo.py register

``train`` draws its pictures once (12,000 of the split ``train``, 4 GB, a few minutes), trains one
network of 137 heatmaps for a fixed time and writes two files that share everything but their last
layer: ``demo_body.safetensors`` (Halpe's 136 keypoints) and ``demo_mpii.safetensors`` (MPII's 16).
What a fixed time reaches depends on the machine, so the committed files are the reference, and
their hashes stand in the registry.  They were trained with the minutes above on one busy core.
"""

from __future__ import annotations

import argparse
from itertools import cycle

import cv2
import numpy as np
import torch
import training
from demo_rows import ASSETS
from torch import Tensor, nn
from training import Flags, Floats, Labelled, Numbers, Pixels

from posebench.keypoints import keypoint_set
from posebench.networks.demo import BODY_SIZE, GAUSSIAN_SIGMA, DemoNet
from posebench.synthetic.body_dataset import draw_body
from posebench.synthetic.body_files import MPII_POINTS
from posebench.synthetic.body_points import POINTS, UPPER_NECK

# (H, W) of Halpe's crops and of MPII's, which are square.
SHAPES, STRIDE, PADDING = ((192, 144), (192, 192)), 4, 1.25
SQUARE_EVERY = 4
SCENES, BYTES_PER_SCENE = 12_000, 384 * 288 * 3
BATCH, CHECKPOINT_SECONDS, HELD_OUT = 32, 300, 256
# Body and feet are few among the points and matter in every metric; the face has half of all.
WEIGHTS = torch.tensor([2.0] * 26 + [0.6] * 68 + [1.0] * 42 + [2.0])
GROUPS = {"body": slice(0, 26), "face": slice(26, 94), "hands": slice(94, 136)}

Shape = tuple[int, int]


# --- training pictures ------------------------------------------------------------------------


def draw_scene(index: int) -> tuple[Pixels, list[tuple[float, ...]]]:
    """Draw one picture; return it with box and points of each labelled person."""
    scene = draw_body("train", index)
    persons = (person for person in scene.persons if person.labelled >= 3)
    return scene.image, [(*one.box, *(v for xyv in one.points for v in xyv)) for one in persons]


class TrainingSet(training.Drawn):
    """Persons of the drawn pictures."""

    def sample(
        self, number: int, shape: Shape, random: np.random.Generator | None
    ) -> tuple[Pixels, Floats, Flags]:
        """Cut out one person, varied at random unless ``random`` is None.

        Returns:
            Crop (H, W, 3) RGB, points (137, 2) in its px, and which of them are labelled.
        """
        row = self.rows[number]
        picture = self.picture(row)
        labels = row[7:].reshape(POINTS, 3).astype(np.float64)
        matrix = crop_matrix(row[3:7].astype(np.float64), shape, random)
        crop: Pixels = cv2.warpAffine(picture, matrix, shape[::-1], flags=cv2.INTER_LINEAR)  # type: ignore[assignment]
        points = labels[:, :2] / 8 @ matrix[:, :2].T + matrix[:, 2]
        labelled = labels[:, 2] > 0
        if random is not None:
            if random.random() < 0.5:
                crop, points, labelled = crop[:, ::-1], points[self.swap], labelled[self.swap]
                points[:, 0] = shape[1] - 1 - points[:, 0]
            crop = training.vary_colour(np.ascontiguousarray(crop), random)
        return crop[:, :, ::-1], points, labelled


def crop_matrix(box: Floats, shape: Shape, random: np.random.Generator | None) -> Floats:
    """Return image -> input as in evaluation, plus random shift, size and rotation."""
    x, y, w, h = box
    span = max(w, h * shape[1] / shape[0]) * PADDING
    centre = np.array([x + w / 2, y + h / 2])
    zoom, angle = shape[1] / span, 0.0
    if random is not None:
        centre += random.uniform(-0.06, 0.06, 2) * span * np.array([1, shape[0] / shape[1]])
        zoom *= np.exp(random.uniform(-0.22, 0.24))
        angle = np.deg2rad(random.uniform(-18, 18)) if random.random() < 0.5 else 0.0
    return training.placed(centre, np.array([shape[1], shape[0]]) / 2, zoom, angle)


def gather(
    data: TrainingSet, numbers: Numbers, shape: Shape, random: np.random.Generator | None
) -> Labelled:
    """Return crops (N, H, W, 3) uint8, points (N, 137, 2) px and labelled (N, 137)."""
    return training.stacked(data.sample(int(n), shape, random) for n in numbers)


# --- loss and progress ------------------------------------------------------------------------


def cross_entropy(logits: Tensor, points: Tensor, labelled: Tensor) -> Tensor:
    """Softmax over the cells of each map against a Gaussian; weighted mean over labelled points.

    The Gaussian is a product of a row and a column, so its map is never made: what the loss
    needs of it is one bilinear form per point.  A point stands at input px / 4, without half a
    pixel; points outside the crop do not count.
    """
    height, width = logits.shape[2:]
    cells = points / STRIDE
    down = _bell(torch.arange(height), cells[:, :, 1])
    across = _bell(torch.arange(width), cells[:, :, 0])
    wanted = torch.einsum("njhw,njh,njw->nj", logits.float(), down, across)
    loss = logits.float().flatten(2).logsumexp(2) - wanted
    inside = (cells > -0.5).all(2) & (cells < torch.tensor([width, height]) - 0.5).all(2)
    weight = (labelled & inside).float() * WEIGHTS
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def _bell(places: Tensor, middle: Tensor) -> Tensor:
    """Return (N, J, places) Gaussians that sum to 1."""
    bell = torch.exp(-((places - middle[:, :, None]) ** 2) / (2 * GAUSSIAN_SIGMA**2))
    return bell / bell.sum(2, keepdim=True).clamp(min=1e-6)


def found_shares(net: nn.Module, data: TrainingSet) -> str:
    """Say which share of held-out points has its peak within one cell."""
    crops, points, labelled = gather(data, np.arange(HELD_OUT), SHAPES[0], None)
    with torch.no_grad():
        peaks = torch.cat(
            [net(training.normalise(part)).flatten(2).argmax(2) for part in crops.split(32)]
        )
    width = SHAPES[0][1] // STRIDE
    cells = torch.stack([peaks % width, peaks // width], 2)
    near = (cells - points / STRIDE).norm(dim=2) < 1
    shares = (
        f"{name} {100 * float(near[:, part][labelled[:, part]].float().mean()):.1f} %"
        for name, part in GROUPS.items()
    )
    return "held-out points found: " + ", ".join(shares)


def losses(net: nn.Module, batch: Labelled) -> dict[str, Tensor]:
    """Return the loss of one batch."""
    crops, points, labelled = batch
    return {"loss": cross_entropy(training.logits(net, crops), points, labelled)}


def save(mean: nn.Module) -> None:
    """Write the two shipped files."""
    for name, rows in (("demo_body", list(range(UPPER_NECK))), ("demo_mpii", list(MPII_POINTS))):
        weights = {
            key: value[rows] if key.startswith("head.") else value
            for key, value in mean.state_dict().items()
        }
        training.save_weights(weights, ASSETS / f"{name}.safetensors")


def train_body(given: argparse.Namespace) -> None:
    """Train the network for a fixed time and save the running mean of its weights."""
    rows = given.work / "persons.npy"
    training.draw_once(draw_scene, (SCENES, BYTES_PER_SCENE), rows, given.processes)
    data = TrainingSet(rows, [*keypoint_set("halpe_136").flip_index(), UPPER_NECK])
    shapes = cycle([SHAPES[0]] * (SQUARE_EVERY - 1) + [SHAPES[1]])
    mean = training.train(
        training.Course(
            name="body",
            build=lambda: DemoNet(*BODY_SIZE, joints=POINTS),
            numbers=(HELD_OUT, len(data.rows)),
            batch=BATCH,
            gather=lambda numbers, random: gather(data, numbers, next(shapes), random),
            losses=losses,
            pause=CHECKPOINT_SECONDS,
            found=lambda mean: found_shares(mean, data),
        ),
        given,
    )
    save(mean)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="verb", required=True)
    one = commands.add_parser("train", help="train the network and cut it in two")
    one.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    training.add_options(one, minutes=28.0, peak=4e-3, seed=1, work=training.WORK / "body")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(0)
    train_body(given)


if __name__ == "__main__":
    main()
