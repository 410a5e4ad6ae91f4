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
import multiprocessing
import queue
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from train_demo import ASSETS, WORK, follow, learning_rate, normalise, vary_colour

from posebench.datasets.body_files import MPII_POINTS
from posebench.datasets.body_points import POINTS, UPPER_NECK
from posebench.datasets.synthetic_body import draw_body
from posebench.keypoints import keypoint_set
from posebench.networks.demo import BODY_SIZE, GAUSSIAN_SIGMA, DemoNet

# (H, W) of Halpe's crops and of MPII's, which are square.
SHAPES, STRIDE, PADDING = ((192, 144), (192, 192)), 4, 1.25
SQUARE_EVERY = 4
SCENES, BYTES_PER_SCENE = 12_000, 384 * 288 * 3
BATCH, CHECKPOINT_SECONDS, HELD_OUT = 32, 300, 256
# Body and feet are few among the points and matter in every metric; the face has half of all.
WEIGHTS = torch.tensor([2.0] * 26 + [0.6] * 68 + [1.0] * 42 + [2.0])
GROUPS = {"body": slice(0, 26), "face": slice(26, 94), "hands": slice(94, 136)}

Shape = tuple[int, int]
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Batch = tuple[Tensor, Tensor, Tensor]


# --- training pictures ------------------------------------------------------------------------


def draw_part(job: tuple[Path, int, int]) -> NDArray[np.int32]:
    """Draw scenes into the shared array; return a row of numbers for each labelled person."""
    path, start, stop = job
    pixels = np.load(path, mmap_mode="r+")
    rows = []
    for index in range(start, stop):
        scene = draw_body("train", index)
        height, width = scene.image.shape[:2]
        pixels[index, : scene.image.size] = scene.image.ravel()
        rows += [
            (index, height, width, *person.box, *(v for triple in person.points for v in triple))
            for person in scene.persons
            if person.labelled >= 3
        ]
    return np.array(rows, np.int32)


def draw_training_set(work: Path, processes: int) -> None:
    """Draw everything once; a folder without ``persons.npy`` is unfinished and drawn again."""
    if (work / "persons.npy").exists():
        return
    work.mkdir(parents=True, exist_ok=True)
    path = work / "pixels.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(SCENES, BYTES_PER_SCENE))
    step = SCENES // 48
    jobs = [(path, start, start + step) for start in range(0, SCENES, step)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        rows = pool.map(draw_part, jobs, chunksize=1)
    np.save(work / "persons.npy", np.concatenate(rows))


def flip_index() -> NDArray[np.int64]:
    """Return which point takes whose place in a mirror, for all 137."""
    return np.array([*keypoint_set("halpe_136").flip_index(), UPPER_NECK])


class TrainingSet:
    """Whole pictures in a memory-mapped array, so that a crop is resampled only once.

    Args:
        work: Folder of ``draw_training_set``.
    """

    def __init__(self, work: Path) -> None:
        self.pixels = np.load(work / "pixels.npy", mmap_mode="r")
        self.rows = np.load(work / "persons.npy")
        self.swap = flip_index()

    def sample(
        self, number: int, shape: Shape, random: np.random.Generator | None
    ) -> tuple[Pixels, Floats, NDArray[np.bool_]]:
        """Cut out one person, varied at random unless ``random`` is None.

        Returns:
            Crop (H, W, 3) RGB, points (137, 2) in its px, and which of them are labelled.
        """
        row = self.rows[number]
        index, height, width = (int(v) for v in row[:3])
        picture = self.pixels[index, : height * width * 3].reshape(height, width, 3)
        labels = row[7:].reshape(POINTS, 3).astype(np.float64)
        matrix = crop_matrix(row[3:7].astype(np.float64), shape, random)
        crop: Pixels = cv2.warpAffine(picture, matrix, shape[::-1], flags=cv2.INTER_LINEAR)  # type: ignore[assignment]
        points = labels[:, :2] / 8 @ matrix[:, :2].T + matrix[:, 2]
        labelled = labels[:, 2] > 0
        if random is not None:
            if random.random() < 0.5:
                crop, points, labelled = crop[:, ::-1], points[self.swap], labelled[self.swap]
                points[:, 0] = shape[1] - 1 - points[:, 0]
            crop = vary_colour(np.ascontiguousarray(crop), random)
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
    c, s = np.cos(angle) * zoom, np.sin(angle) * zoom
    linear = np.array([[c, -s], [s, c]])
    offset = np.array([shape[1], shape[0]]) / 2 - linear @ centre
    return np.column_stack([linear, offset])


def gather(
    data: TrainingSet, numbers: NDArray[np.int64], shape: Shape, random: np.random.Generator | None
) -> Batch:
    """Return crops (N, H, W, 3) uint8, points (N, 137, 2) px and labelled (N, 137)."""
    crops, points, labelled = zip(
        *(data.sample(int(n), shape, random) for n in numbers), strict=True
    )
    return (
        torch.from_numpy(np.stack(crops)),
        torch.from_numpy(np.stack(points)).float(),
        torch.from_numpy(np.stack(labelled)),
    )


def batches(data: TrainingSet, seed: int) -> queue.Queue[Batch]:
    """Fill a queue with random batches from a background thread, for ever."""
    ready: queue.Queue[Batch] = queue.Queue(maxsize=4)

    def work() -> None:
        random = np.random.default_rng(seed)
        count = 0
        while True:
            order = HELD_OUT + random.permutation(len(data.rows) - HELD_OUT)
            for start in range(0, len(order) - BATCH + 1, BATCH):
                count += 1
                shape = SHAPES[count % SQUARE_EVERY == 0]
                ready.put(gather(data, order[start : start + BATCH], shape, random))

    threading.Thread(target=work, daemon=True).start()
    return ready


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
        peaks = torch.cat([net(normalise(part)).flatten(2).argmax(2) for part in crops.split(32)])
    width = SHAPES[0][1] // STRIDE
    cells = torch.stack([peaks % width, peaks // width], 2)
    near = (cells - points / STRIDE).norm(dim=2) < 1
    shares = (
        f"{name} {100 * float(near[:, part][labelled[:, part]].float().mean()):.1f} %"
        for name, part in GROUPS.items()
    )
    return ", ".join(shares)


def save(mean: nn.Module) -> None:
    """Write the two shipped files."""
    ASSETS.mkdir(parents=True, exist_ok=True)
    for name, rows in (("demo_body", list(range(UPPER_NECK))), ("demo_mpii", list(MPII_POINTS))):
        weights = {
            key: (value[rows] if key.startswith("head.") else value).contiguous()
            for key, value in mean.state_dict().items()
        }
        save_file(weights, file := ASSETS / f"{name}.safetensors")
        file.chmod(0o644)


def train(minutes: float, work: Path, *, peak: float, seed: int, resume: bool) -> None:
    """Train the network for a fixed time and save the running mean of its weights."""
    torch.manual_seed(seed)
    data = TrainingSet(work)
    net = DemoNet(*BODY_SIZE, joints=POINTS).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean = DemoNet(*BODY_SIZE, joints=POINTS).eval()
    optimiser = torch.optim.AdamW(net.parameters(), peak, weight_decay=0.02)
    kept, step, spent = work / "body.pt", 0, 0.0
    if resume and kept.exists():
        state = torch.load(kept, weights_only=True)
        net.load_state_dict(state["net"])
        mean.load_state_dict(state["mean"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    ready, saved, last = batches(data, seed + step), spent, time.monotonic()
    while spent < minutes * 60:
        crops, points, labelled = ready.get()
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(spent / (minutes * 60), peak)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = net.logits(normalise(crops))
        loss = cross_entropy(logits, points, labelled)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        step += 1
        follow(mean, net, step)
        now = time.monotonic()
        spent, last = spent + now - last, now
        if step % 50 == 0:
            rate = step * BATCH / spent
            print(f"{spent / 60:.1f} min, step {step}, loss {loss:.3f}, {rate:.0f}/s", flush=True)
        if spent - saved > CHECKPOINT_SECONDS:
            saved = spent
            print(f"held-out points found: {found_shares(mean, data)}", flush=True)
            state = {"net": net.state_dict(), "mean": mean.state_dict(), "step": step}
            torch.save(state | {"optimiser": optimiser.state_dict(), "spent": spent}, kept)
    save(mean)
    print(f"held-out points found: {found_shares(mean, data)}; weights saved")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("train", help="train the network and cut it in two")
    one.add_argument("--minutes", type=float, default=28.0, help="time budget (default: 28)")
    one.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    one.add_argument("--processes", type=int, default=2, help="that draw (default: 2)")
    one.add_argument("--peak", type=float, default=4e-3, help="learning rate (default: 0.004)")
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    one.add_argument("--work", type=Path, default=WORK / "body", help="pictures, checkpoints")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(0)
    draw_training_set(given.work, given.processes)
    train(given.minutes, given.work, peak=given.peak, seed=given.seed, resume=given.resume)


if __name__ == "__main__":
    main()
