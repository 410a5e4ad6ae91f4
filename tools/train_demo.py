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
import multiprocessing
import queue
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from demo_rows import ASSETS, ROWS, register
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from posebench.datasets.synthetic import draw
from posebench.inference.crop import hrnet_affine
from posebench.keypoints import keypoint_set
from posebench.networks.demo import GAUSSIAN_SIGMA, SIZES, DemoNet

WORK = Path(tempfile.gettempdir()) / "posebench_demo"

SIZE, STRIDE, PADDING = (128, 96), 4, 1.25
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SCENES, BYTES_PER_SCENE = 16_000, 240 * 320 * 3
BATCH, CHECKPOINT_SECONDS, HELD_OUT = 64, 300, 512

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
        scene = draw("train", index)
        height, width = scene.image.shape[:2]
        pixels[index, : scene.image.size] = scene.image.ravel()
        rows += [
            (index, height, width, *person.box, *(v for triple in person.keypoints for v in triple))
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
    step = SCENES // 64
    jobs = [(path, start, start + step) for start in range(0, SCENES, step)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        rows = pool.map(draw_part, jobs)
    np.save(work / "persons.npy", np.concatenate(rows))


class TrainingSet:
    """Whole pictures in a memory-mapped array, so that a crop is resampled only once.

    Args:
        work: Folder of ``draw_training_set``.
    """

    def __init__(self, work: Path) -> None:
        self.pixels = np.load(work / "pixels.npy", mmap_mode="r")
        self.rows = np.load(work / "persons.npy")
        self.swap = np.array(keypoint_set("coco_17").flip_index())

    def sample(
        self, number: int, random: np.random.Generator | None
    ) -> tuple[Pixels, Floats, NDArray[np.bool_]]:
        """Cut out one person, varied at random unless ``random`` is None.

        Returns:
            Crop (128, 96, 3) RGB, joints (17, 2) in its px, and which of them are labelled.
        """
        row = self.rows[number]
        index, height, width = (int(v) for v in row[:3])
        picture = self.pixels[index, : height * width * 3].reshape(height, width, 3)
        points = row[7:].reshape(17, 3).astype(np.float64)
        matrix = crop_matrix(row[3:7].astype(np.float64), random)
        size = SIZE[1], SIZE[0]
        crop: Pixels = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR)  # type: ignore[assignment]
        joints = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        labelled = points[:, 2] > 0
        if random is not None:
            if random.random() < 0.5:
                crop, joints, labelled = crop[:, ::-1], joints[self.swap], labelled[self.swap]
                joints[:, 0] = SIZE[1] - 1 - joints[:, 0]
            crop = vary_colour(np.ascontiguousarray(crop), random)
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
    c, s = np.cos(angle) * zoom, np.sin(angle) * zoom
    linear = np.array([[c, -s], [s, c]])
    offset = np.array([SIZE[1], SIZE[0]]) / 2 - linear @ centre
    return np.column_stack([linear, offset])


def vary_colour(crop: Pixels, random: np.random.Generator) -> Pixels:
    """Scale the channels and shift the brightness a little."""
    gain = random.uniform(0.75, 1.25, 3) if random.random() < 0.5 else np.ones(3)
    table = np.clip(np.arange(256)[:, None] * gain + random.uniform(-12, 12), 0, 255)
    varied: Pixels = cv2.LUT(crop, table.astype(np.uint8)[:, None, :])  # type: ignore[assignment]
    return varied


def gather(
    data: TrainingSet, numbers: NDArray[np.int64], random: np.random.Generator | None
) -> Batch:
    """Return crops (N, 128, 96, 3) uint8, joints (N, 17, 2) px and labelled (N, 17)."""
    crops, joints, labelled = zip(*(data.sample(int(n), random) for n in numbers), strict=True)
    return (
        torch.from_numpy(np.stack(crops)),
        torch.from_numpy(np.stack(joints)).float(),
        torch.from_numpy(np.stack(labelled)),
    )


def batches(data: TrainingSet, seed: int) -> queue.Queue[Batch]:
    """Fill a queue with random batches from a background thread, for ever."""
    ready: queue.Queue[Batch] = queue.Queue(maxsize=4)

    def work() -> None:
        random = np.random.default_rng(seed)
        while True:
            order = HELD_OUT + random.permutation(len(data.rows) - HELD_OUT)
            for start in range(0, len(order) - BATCH + 1, BATCH):
                ready.put(gather(data, order[start : start + BATCH], random))

    threading.Thread(target=work, daemon=True).start()
    return ready


# --- loss and progress ------------------------------------------------------------------------


def normalise(crops: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) float in channels-last memory."""
    return ((crops.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)


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
        peaks = net(normalise(crops)).flatten(2).argmax(2)
    width = SIZE[1] // STRIDE
    cells = torch.stack([peaks % width, peaks // width], 2)
    near = (cells - joints / STRIDE).norm(dim=2) < 1.5
    return 100 * float(near[labelled].float().mean())


def learning_rate(done: float, peak: float) -> float:
    """Rise over the first 4 % of the time, then fall along a cosine to a thousandth."""
    if done < 0.04:
        return peak * max(done / 0.04, 0.02)
    return peak * (0.501 + 0.5 * float(np.cos(np.pi * (done - 0.04) / 0.96)))


def follow(mean: nn.Module, net: nn.Module, step: int) -> None:
    """Move the running mean of the weights (and of BatchNorm's statistics) towards ``net``."""
    keep = min(0.998, step / (step + 20))
    current = net.state_dict()
    with torch.no_grad():
        for name, value in mean.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1 - keep)


def train(name: str, minutes: float, work: Path, *, peak: float, seed: int, resume: bool) -> None:
    """Train one model for a fixed time and save the running mean of its weights."""
    torch.manual_seed(seed)
    data = TrainingSet(work)
    net = DemoNet(*SIZES[name]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean = DemoNet(*SIZES[name]).eval()
    optimiser = torch.optim.AdamW(net.parameters(), peak, weight_decay=0.02)
    kept, step, spent = work / f"{name}.pt", 0, 0.0
    if resume and kept.exists():
        state = torch.load(kept, weights_only=True)
        net.load_state_dict(state["net"])
        mean.load_state_dict(state["mean"])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = state["step"], state["spent"]
    ready, saved, last = batches(data, seed + step), spent, time.monotonic()
    while spent < minutes * 60:
        crops, joints, labelled = ready.get()
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(spent / (minutes * 60), peak)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = net.logits(normalise(crops))
        loss = cross_entropy(logits, *targets(joints, labelled))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        step += 1
        follow(mean, net, step)
        now = time.monotonic()
        spent, last = spent + now - last, now
        if step % 100 == 0:
            rate = step * BATCH / spent
            print(f"{name} {spent / 60:.1f} min, step {step}, loss {loss:.3f}, {rate:.0f}/s")
        if spent - saved > CHECKPOINT_SECONDS:
            saved = spent
            print(f"{name} finds {found_share(mean, data):.1f} % of held-out joints", flush=True)
            state = {"net": net.state_dict(), "mean": mean.state_dict(), "step": step}
            torch.save(state | {"optimiser": optimiser.state_dict(), "spent": spent}, kept)
    ASSETS.mkdir(parents=True, exist_ok=True)
    weights = {key: value.contiguous() for key, value in mean.state_dict().items()}
    save_file(weights, file := ASSETS / f"{name}.safetensors")
    file.chmod(0o644)
    print(f"{name} finds {found_share(mean, data):.1f} % of held-out joints; weights saved")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    rows = verbs.add_parser("register", help="evaluate weights, write registry/zoos/demo.yaml")
    rows.add_argument("rows", nargs="*", metavar="ROW", help="only these (default: all)")
    one = verbs.add_parser("train", help="train one model")
    one.add_argument("name", choices=sorted(SIZES))
    one.add_argument("--minutes", type=float, default=24.0, help="time budget (default: 24)")
    one.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    one.add_argument("--processes", type=int, default=2, help="that draw (default: 2)")
    one.add_argument("--peak", type=float, default=4e-3, help="learning rate (default: 0.004)")
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    one.add_argument("--work", type=Path, default=WORK, help="folder for pictures, checkpoints")
    given = parser.parse_args()
    if given.verb == "register":
        if unknown := set(given.rows) - {row.name for row in ROWS}:
            parser.error(f"no such rows: {', '.join(sorted(unknown))}")
        register(given.rows)
        return
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(0)
    draw_training_set(given.work, given.processes)
    train(given.name, given.minutes, given.work, peak=given.peak, seed=given.seed,
          resume=given.resume)  # fmt: skip


if __name__ == "__main__":
    main()
