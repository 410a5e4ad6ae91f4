"""What the training scripts of the demo models share: drawn pictures, batches and the loop.

``train_demo.py``, ``train_body.py`` and ``train_bottom_up.py`` say what is drawn, how it is
varied, what the loss is and what is saved; the rest of a training is here.
"""

from __future__ import annotations

import argparse
import multiprocessing
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

WORK = Path(tempfile.gettempdir()) / "posebench_demo"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIECE = 250  # scenes that a process draws at a time

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
Numbers = NDArray[np.int64]
Labelled = tuple[Tensor, Tensor, Tensor]
# Number of a scene -> picture (H, W, 3) BGR, and box and labels of each person that is kept.
Draw = Callable[[int], tuple[Pixels, list[tuple[float, ...]]]]
Batch = TypeVar("Batch")


def _draw_piece(job: tuple[Draw, Path, int, int]) -> NDArray[np.int32]:
    """Draw scenes into the shared array; return a row of numbers for each person."""
    draw, path, start, stop = job
    pixels = np.load(path, mmap_mode="r+")
    rows = []
    for index in range(start, stop):
        image, persons = draw(index)
        pixels[index, : image.size] = image.ravel()
        rows += [(index, *image.shape[:2], *person) for person in persons]
    return np.array(rows, np.int32)


def draw_once(draw: Draw, shape: tuple[int, int], rows: Path, processes: int) -> None:
    """Draw everything into ``pixels.npy``; a folder without ``rows`` is unfinished: drawn again.

    Args:
        draw: Function of a module, so that other processes find it.
        shape: Number of scenes, and bytes of the largest.
        rows: File of the persons; the pictures go beside it.
        processes: How many draw.
    """
    if rows.exists():
        return
    rows.parent.mkdir(parents=True, exist_ok=True)
    path, scenes = rows.parent / "pixels.npy", shape[0]
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    jobs = [(draw, path, at, min(at + PIECE, scenes)) for at in range(0, scenes, PIECE)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        np.save(rows, np.concatenate(pool.map(_draw_piece, jobs, chunksize=1)))


class Drawn:
    """Whole pictures in a memory-mapped array, so that a crop is resampled only once.

    Args:
        rows: File that ``draw_once`` wrote: scene, height, width, box and labels of each person.
        swap: Which point takes whose place in a mirror.
    """

    def __init__(self, rows: Path, swap: Sequence[int]) -> None:
        self.pixels = np.load(rows.parent / "pixels.npy", mmap_mode="r")
        self.rows, self.swap = np.load(rows), np.array(swap)

    def picture(self, row: NDArray[np.int32]) -> Pixels:
        """Return the picture (H, W, 3) BGR in which a person stands."""
        index, height, width = (int(v) for v in row[:3])
        picture: Pixels = self.pixels[index, : height * width * 3].reshape(height, width, 3)
        return picture


def placed(centre: Floats, target: Floats, zoom: float, angle: float) -> Floats:
    """Return the matrix (2, 3) that zooms, turns and takes ``centre`` to ``target``."""
    c, s = np.cos(angle) * zoom, np.sin(angle) * zoom
    linear = np.array([[c, -s], [s, c]])
    return np.column_stack([linear, target - linear @ centre])


def vary_colour(crop: Pixels, random: np.random.Generator) -> Pixels:
    """Scale the channels and shift the brightness a little."""
    gain = random.uniform(0.75, 1.25, 3) if random.random() < 0.5 else np.ones(3)
    table = np.clip(np.arange(256)[:, None] * gain + random.uniform(-12, 12), 0, 255)
    varied: Pixels = cv2.LUT(crop, table.astype(np.uint8)[:, None, :])  # type: ignore[assignment]
    return varied


def stacked(samples: Iterable[tuple[Pixels, Floats, Flags]]) -> Labelled:
    """Return crops (N, H, W, 3) uint8, points (N, J, 2) px and labelled (N, J)."""
    crops, points, labelled = (
        torch.from_numpy(np.stack(part)) for part in zip(*samples, strict=True)
    )
    return crops, points.float(), labelled


@dataclass(frozen=True)
class Course(Generic[Batch]):
    """What is trained, and on what.

    Attributes:
        name: Stands in the progress and names the kept state's file.
        build: Makes the network, which has ``logits``.
        numbers: (from, to) of the samples; those below are held out.
        batch: Samples at a time.
        gather: Numbers of samples -> a batch, varied at random.
        losses: What to print of a batch; ``loss`` is what the network follows.
        pause: Seconds of training between two kept states.
        found: Says what the mean reaches on what is held out; None where nothing is.
    """

    name: str
    build: Callable[[], nn.Module]
    numbers: tuple[int, int]
    batch: int
    gather: Callable[[Numbers, np.random.Generator], Batch]
    losses: Callable[[nn.Module, Batch], dict[str, Tensor]]
    pause: float
    found: Callable[[nn.Module], str] | None = None


def batches(course: Course[Batch], seed: int) -> queue.Queue[Batch]:
    """Fill a queue with random batches from a background thread, for ever."""
    ready: queue.Queue[Batch] = queue.Queue(maxsize=8)
    first, end = course.numbers

    def work() -> None:
        random = np.random.default_rng(seed)
        while True:
            order = first + random.permutation(end - first)
            for start in range(0, len(order) - course.batch + 1, course.batch):
                ready.put(course.gather(order[start : start + course.batch], random))

    threading.Thread(target=work, daemon=True).start()
    return ready


def normalise(crops: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 RGB -> (N, 3, H, W) float in channels-last memory."""
    return ((crops.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)


def logits(net: nn.Module, crops: Tensor) -> Any:
    """Return what the network's ``logits`` make of crops (N, H, W, 3) uint8, in bfloat16."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return net.logits(normalise(crops))  # type: ignore[operator]


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


def train(course: Course[Batch], given: argparse.Namespace) -> nn.Module:
    """Train for a fixed time, with the options of ``add_options``; return the weights' mean."""
    torch.manual_seed(given.seed)
    net = course.build().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    mean = course.build().eval()
    optimiser = torch.optim.AdamW(net.parameters(), given.peak, weight_decay=0.02)
    parts = {"net": net, "mean": mean, "optimiser": optimiser}
    kept, step, spent = given.work / f"{course.name}.pt", 0, 0.0
    if given.resume and kept.exists():
        state = torch.load(kept, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        step, spent = state["step"], state["spent"]
    ready, saved, last = batches(course, given.seed + step), spent, time.monotonic()
    while spent < given.minutes * 60:
        batch = ready.get()
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(spent / (given.minutes * 60), given.peak)
        losses = course.losses(net, batch)
        optimiser.zero_grad()
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        step += 1
        follow(mean, net, step)
        now = time.monotonic()
        spent, last = spent + now - last, now
        if step % 50 == 0:
            said = ", ".join(f"{name} {value:.3f}" for name, value in losses.items())
            rate = step * course.batch / spent
            done = f"{course.name} {spent / 60:.1f} min, step {step}"
            print(f"{done}, {said}, {rate:.0f}/s", flush=True)
        if spent - saved > course.pause:
            saved = spent
            if course.found:
                print(course.found(mean), flush=True)
            state = {name: part.state_dict() for name, part in parts.items()}
            torch.save(state | {"step": step, "spent": spent}, kept)
    print(f"{course.name} trained for {step} steps")
    if course.found:
        print(course.found(mean))
    return mean


def save_weights(weights: Mapping[str, Tensor], file: Path) -> None:
    """Write a file that everybody may read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in weights.items()}, file)
    file.chmod(0o644)
    print(f"weights saved as {file}")


def add_options(
    parser: argparse.ArgumentParser, *, minutes: float, peak: float, seed: int, work: Path
) -> None:
    """Add what every training takes, with its defaults."""
    add = parser.add_argument
    add("--minutes", type=float, default=minutes, help=f"time budget (default: {minutes:g})")
    add("--peak", type=float, default=peak, help=f"highest learning rate (default: {peak})")
    add("--seed", type=int, default=seed)
    add("--work", type=Path, default=work, help="folder for pictures, checkpoints")
    add("--processes", type=int, default=2, help="that draw (default: 2)")
    add("--resume", action="store_true", help="go on from the last checkpoint")
