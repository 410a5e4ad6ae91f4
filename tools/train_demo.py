"""Train the demo models on drawn pictures, and write their registry rows from what they reach.

    python tools/train_demo.py train demo_s --minutes 13
    python tools/train_demo.py train demo_m --minutes 24
    python tools/train_demo.py train demo_l --minutes 50
    python tools/train_demo.py register

``train`` draws its pictures once (16,000 of the split ``train``, 4 GB, a few minutes), trains for a
fixed time and writes ``posebench/assets/demo/<name>.safetensors``.  What a fixed time
reaches depends on the machine, so the committed files are the reference, and their hashes stand in
the registry.  They were trained with the minutes above on one busy core each, by an earlier state
of this script that differed in its progress report only (nothing was held out for it).
``register`` evaluates the files under the
demo protocols and writes ``registry/zoos/demo.yaml``; the numbers there are posebench's own claims.
"""

from __future__ import annotations

import argparse

import cv2
import numpy as np
import torch
import training
from demo_rows import ASSETS, ROWS, register
from torch import Tensor, nn
from training import Flags, Floats, Labelled, Numbers, Pixels

from posebench.inference.crop import hrnet_affine
from posebench.keypoints import keypoint_set
from posebench.networks.demo import GAUSSIAN_SIGMA, SIZES, DemoNet
from posebench.synthetic.keypoints_dataset import draw

SIZE, STRIDE, PADDING = (128, 96), 4, 1.25
SCENES, BYTES_PER_SCENE = 16_000, 240 * 320 * 3
BATCH, CHECKPOINT_SECONDS, HELD_OUT = 64, 300, 512


# --- training pictures ------------------------------------------------------------------------


def draw_scene(index: int) -> tuple[Pixels, list[tuple[float, ...]]]:
    """Draw one picture; return it with box and keypoints of each labelled person."""
    scene = draw("train", index)
    persons = (person for person in scene.persons if person.labelled >= 3)
    return scene.image, [(*one.box, *(v for xyv in one.keypoints for v in xyv)) for one in persons]


class TrainingSet(training.Drawn):
    """Persons of the drawn pictures."""

    def sample(
        self, number: int, random: np.random.Generator | None
    ) -> tuple[Pixels, Floats, Flags]:
        """Cut out one person, varied at random unless ``random`` is None.

        Returns:
            Crop (128, 96, 3) RGB, joints (17, 2) in its px, and which of them are labelled.
        """
        row = self.rows[number]
        points = row[7:].reshape(17, 3).astype(np.float64)
        matrix = crop_matrix(row[3:7].astype(np.float64), random)
        size = SIZE[1], SIZE[0]
        crop: Pixels = cv2.warpAffine(self.picture(row), matrix, size, flags=cv2.INTER_LINEAR)  # type: ignore[assignment]
        joints = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        labelled = points[:, 2] > 0
        if random is not None:
            if random.random() < 0.5:
                crop, joints, labelled = crop[:, ::-1], joints[self.swap], labelled[self.swap]
                joints[:, 0] = SIZE[1] - 1 - joints[:, 0]
            crop = training.vary_colour(np.ascontiguousarray(crop), random)
        return crop[:, :, ::-1], joints, labelled


def crop_matrix(box: Floats, random: np.random.Generator | None) -> Floats:
    """Return image -> input as in evaluation, plus random shift, size and rotation."""
    x, y, w, h = box
    w, h = max(w - 1, 1.0), max(h - 1, 1.0)
    span = max(w, h * SIZE[1] / SIZE[0]) * PADDING
    centre = np.array([x + w / 2, y + h / 2])
    if random is None:
        return np.asarray(hrnet_affine(centre.astype(np.float32), np.float32(span), SIZE))
    centre += random.uniform(-0.07, 0.07, 2) * span * np.array([1, SIZE[0] / SIZE[1]])
    zoom = SIZE[1] / (span * np.exp(random.uniform(-0.22, 0.26)))
    angle = np.deg2rad(random.uniform(-22, 22)) if random.random() < 0.5 else 0.0
    return training.placed(centre, np.array([SIZE[1], SIZE[0]]) / 2, zoom, angle)


def gather(data: TrainingSet, numbers: Numbers, random: np.random.Generator | None) -> Labelled:
    """Return crops (N, 128, 96, 3) uint8, joints (N, 17, 2) px and labelled (N, 17)."""
    return training.stacked(data.sample(int(n), random) for n in numbers)


# --- loss and progress ------------------------------------------------------------------------


def targets(joints: Tensor, labelled: Tensor) -> tuple[Tensor, Tensor]:
    """Return Gaussians (N, 17, 32, 24) that sum to 1 and weights (N, 17).

    A joint stands at input px / 4, without half a pixel; joints outside the crop do not count.
    """
    height, width = SIZE[0] // STRIDE, SIZE[1] // STRIDE
    cells = joints / STRIDE
    dx = torch.arange(width)[None, None, None, :] - cells[:, :, 0, None, None]
    dy = torch.arange(height)[None, None, :, None] - cells[:, :, 1, None, None]
    maps = torch.exp(-(dx**2 + dy**2) / (2 * GAUSSIAN_SIGMA**2))
    inside = (cells > -0.5).all(2) & (cells < torch.tensor([width, height]) - 0.5).all(2)
    return maps / maps.sum((2, 3), keepdim=True).clamp(min=1e-6), (labelled & inside).float()


def cross_entropy(logits: Tensor, goal: Tensor, weight: Tensor) -> Tensor:
    """Softmax over the cells of each joint against its Gaussian; mean over labelled joints."""
    log = logits.float().flatten(2).log_softmax(2)
    return (-(goal.flatten(2) * log).sum(2) * weight).sum() / weight.sum().clamp(min=1)


def found_share(net: nn.Module, data: TrainingSet) -> float:
    """Share of held-out joints whose peak lies within one cell and a half, percent."""
    crops, joints, labelled = gather(data, np.arange(HELD_OUT), None)
    with torch.no_grad():
        peaks = net(training.normalise(crops)).flatten(2).argmax(2)
    width = SIZE[1] // STRIDE
    cells = torch.stack([peaks % width, peaks // width], 2)
    near = (cells - joints / STRIDE).norm(dim=2) < 1.5
    return 100 * float(near[labelled].float().mean())


def losses(net: nn.Module, batch: Labelled) -> dict[str, Tensor]:
    """Return the loss of one batch."""
    crops, joints, labelled = batch
    return {"loss": cross_entropy(training.logits(net, crops), *targets(joints, labelled))}


def train_one(given: argparse.Namespace) -> None:
    """Train one model for a fixed time and save the running mean of its weights."""
    rows = given.work / "persons.npy"
    training.draw_once(draw_scene, (SCENES, BYTES_PER_SCENE), rows, given.processes)
    data = TrainingSet(rows, keypoint_set("coco_17").flip_index())
    mean = training.train(
        training.Course(
            name=given.name,
            build=lambda: DemoNet(*SIZES[given.name]),
            numbers=(HELD_OUT, len(data.rows)),
            batch=BATCH,
            gather=lambda numbers, random: gather(data, numbers, random),
            losses=losses,
            pause=CHECKPOINT_SECONDS,
            found=lambda mean: (
                f"{given.name} finds {found_share(mean, data):.1f} % of held-out joints"
            ),
        ),
        given,
    )
    training.save_weights(mean.state_dict(), ASSETS / f"{given.name}.safetensors")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="verb", required=True)
    rows = commands.add_parser("register", help="evaluate weights, write registry/zoos/demo.yaml")
    rows.add_argument("rows", nargs="*", metavar="ROW", help="only these (default: all)")
    one = commands.add_parser("train", help="train one model")
    one.add_argument("name", choices=sorted(SIZES))
    one.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    training.add_options(one, minutes=24.0, peak=4e-3, seed=1, work=training.WORK)
    given = parser.parse_args()
    if given.verb == "register":
        if unknown := set(given.rows) - {row.name for row in ROWS}:
            parser.error(f"no such rows: {', '.join(sorted(unknown))}")
        register(given.rows)
        return
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(0)
    train_one(given)


if __name__ == "__main__":
    main()
