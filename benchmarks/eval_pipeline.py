"""How much of an evaluation's time is the network's: persons/s of each stage, from one run.

    python benchmarks/eval_pipeline.py data --data-root coco
    python benchmarks/eval_pipeline.py eval --data-root coco --model lpn_50
    python benchmarks/eval_pipeline.py eval --model lpn_50 --form onnxruntime

``data`` times reading, cropping and normalising alone, with each image's boxes and with the boxes
repeated to 30 an image, as a detector gives them, against a plain loader that opens the image for
every person.  ``eval`` times, in alternation, (1) the network alone on crops that already lie in
memory, (2) ``posebench eval``'s own predictor and (3) a plain loop in the manner of the HRNet
lineage: a DataLoader that opens the image for every person, and decoding in numpy.  Weights do not
matter to the clock, so they are random.  Without --data-root the drawn dataset is used.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from posebench.datasets.boxes import ground_truth_persons
from posebench.evaluation.data import open_dataset
from posebench.evaluation.prepare import load_entry
from posebench.inference.crop import crop_matrix, inverse_matrix
from posebench.inference.forms import FAST, in_form
from posebench.inference.loading import batches
from posebench.inference.normalise import normalise
from posebench.inference.predict import Options, predict
from posebench.keypoints import keypoint_set
from posebench.registry import load_registry
from posebench.types.arrays import Dataset, Persons, take
from posebench.types.entry import InputSpec
from posebench.types.model import PoseModel
from posebench.types.protocol import Protocol
from posebench.types.request import DataPaths
from posebench.types.timing import PLAIN, Form

FORMS = {
    "plain": PLAIN,
    "fast": FAST,
    "onnxruntime": Form(runtime="onnxruntime"),
    "openvino": Form(runtime="openvino"),
}


def crowd(
    dataset: Dataset, persons: Persons, count: int, each: int | None
) -> tuple[Dataset, Persons]:
    """Repeat images and their boxes up to ``count`` persons; ``each`` boxes an image if given."""
    rows, sources = [], []
    images = np.unique(persons.image_index)
    while sum(map(len, rows)) < count:
        image = int(images[len(sources) % len(images)])
        own = np.flatnonzero(persons.image_index == image)
        rows.append(own if each is None else np.resize(own, each))
        sources.append(image)
    table = dataset.images
    repeated = replace(
        table,
        id=np.arange(len(sources), dtype=np.int64),
        file_name=tuple(table.file_name[image] for image in sources),
        width=table.width[sources],
        height=table.height[sources],
    )
    index = np.repeat(np.arange(len(sources)), [len(own) for own in rows])
    more = replace(take(persons, np.concatenate(rows)), image_index=index)
    return replace(dataset, images=repeated), take(more, np.arange(count))


class OpenedForEachPerson(TorchDataset[Any]):
    """What the reference codes do: open the image, crop one person, turn it into a tensor."""

    def __init__(self, dataset: Dataset, persons: Persons, spec: InputSpec) -> None:
        self.dataset, self.persons, self.spec = dataset, persons, spec

    def __len__(self) -> int:
        return len(self.persons)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        cv2.setNumThreads(0)
        path = self.dataset.images.path(int(self.persons.image_index[row]))
        image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        height, width = self.spec.size
        matrix = crop_matrix(self.persons, row, self.spec)
        crop = cv2.warpAffine(rgb, matrix, (width, height), flags=cv2.INTER_LINEAR)
        value = torch.from_numpy(crop).permute(2, 0, 1).float().div(255)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (self.spec.mean, self.spec.std))
        return (value - mean) / std, row


def plain_loader(
    dataset: Dataset, persons: Persons, spec: InputSpec, batch: int, workers: int
) -> Any:
    """A DataLoader over persons."""
    return DataLoader(OpenedForEachPerson(dataset, persons, spec), batch, num_workers=workers)


def plain_decode(heatmaps: Any, persons: Persons, rows: Any, spec: InputSpec) -> Any:
    """Peak plus a quarter cell, joint by joint in numpy, and the way back to the image."""
    count, joints, height, width = heatmaps.shape
    points = np.zeros((count, joints, 2))
    for n in range(count):
        back = inverse_matrix(persons, int(rows[n]), spec, "affine")
        for k in range(joints):
            joint = heatmaps[n, k]
            y, x = divmod(int(joint.argmax()), width)
            point = np.array([x, y, 1.0])
            if 1 < x < width - 1 and 1 < y < height - 1:
                step = (joint[y, x + 1] - joint[y, x - 1], joint[y + 1, x] - joint[y - 1, x])
                point[:2] += 0.25 * np.sign(step)
            points[n, k] = back @ point
    return points


def plain_loop(
    model: PoseModel, dataset: Dataset, persons: Persons, options: Options, flip: bool
) -> None:
    """Evaluate as the HRNet lineage does."""
    spec = model.entry.input
    swap = list(keypoint_set(spec.keypoints).flip_index())
    with torch.inference_mode():
        for inputs, rows in plain_loader(
            dataset, persons, spec, options.batch_size, options.threads
        ):
            heat = model.network(inputs).numpy()
            if flip:
                other = model.network(inputs.flip(3)).numpy()[:, swap, :, ::-1].copy()
                other[..., 1:] = other[..., :-1].copy()
                heat = (heat + other) * 0.5
            plain_decode(heat, persons, rows.numpy(), spec)


def network_alone(model: PoseModel, inputs: torch.Tensor, count: int, flip: bool) -> None:
    """As many forward passes as the persons need, on one batch that lies ready."""
    with torch.inference_mode():
        for _ in range(-(-count // len(inputs))):
            model.network(inputs)
            if flip:
                model.network(inputs.flip(-1))


def clock(work: Callable[[], Any], persons: int) -> float:
    """Persons a second of one run."""
    start = time.perf_counter()
    work()
    return persons / (time.perf_counter() - start)


def alternate(
    stages: dict[str, Callable[[], Any]], persons: int, times: int
) -> dict[str, list[float]]:
    """Run every stage in turn, several times."""
    found: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(times):
        for name, work in stages.items():
            found[name].append(clock(work, persons))
            print(f"  {name}: {found[name][-1]:.1f} persons/s", flush=True)
    return found


def data_stages(
    dataset: Dataset, persons: Persons, spec: InputSpec, options: Options
) -> dict[str, Callable[[], Any]]:
    """Reading, cropping and normalising alone: ours and the plain loader's."""

    def ours() -> None:
        for batch in batches(dataset, persons, spec, options.batch_size, options.threads):
            normalise(torch.from_numpy(batch.crops), spec)

    def plain() -> None:
        for _ in plain_loader(dataset, persons, spec, options.batch_size, options.threads):
            pass

    return {"posebench": ours, "opened for each person": plain}


def eval_stages(
    model: PoseModel,
    dataset: Dataset,
    persons: Persons,
    options: Options,
    protocol: Protocol,
    plain: bool,
) -> dict[str, Callable[[], Any]]:
    """The network alone, the predictor, and the plain loop."""
    first = next(iter(batches(dataset, persons, model.entry.input, options.batch_size, 1)))
    inputs = normalise(torch.from_numpy(first.crops.copy()), model.entry.input)
    flip = protocol.flip
    stages: dict[str, Callable[[], Any]] = {
        "network alone": lambda: network_alone(model, inputs, len(persons), flip),
        "posebench eval": lambda: predict(model, dataset, persons, [protocol], options),
    }
    if plain:
        stages["plain loop"] = lambda: plain_loop(model, dataset, persons, options, flip)
    return stages


def report(found: dict[str, list[float]], over: str) -> dict[str, Any]:
    """Print medians and ratios to one stage; return them."""
    medians = {name: float(np.median(values)) for name, values in found.items()}
    pairs = {
        name: float(np.median(np.array(values) / np.array(found[over])))
        for name, values in found.items()
    }
    for name, value in medians.items():
        print(f"{name:24} {value:10.1f} persons/s  x {pairs[name]:.3f} of {over}")
    return {"persons_per_second": medians, f"ratio to {over}": pairs, "samples": found}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["data", "eval"])
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--model", default="lpn_50")
    parser.add_argument("--persons", type=int)
    parser.add_argument("--alternations", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--no-flip", action="store_true")
    parser.add_argument("--form", choices=sorted(FORMS), default="plain")
    parser.add_argument("--no-plain", action="store_true", help="leave the plain loop out")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    registry = load_registry()
    entry = registry.find(asked.model, "coco")
    spec = registry.dataset("coco" if asked.data_root else "synthetic")
    dataset = open_dataset(spec, DataPaths(asked.data_root), "person_keypoints_val2017")
    persons = ground_truth_persons(dataset, entry.input, "clip_before_width")
    options = Options("cpu", asked.batch_size, asked.threads)
    found: dict[str, Any] = {"machine": f"{platform.machine()}, {asked.threads} threads"}
    if asked.what == "data":
        for name, each in (("boxes as they are", None), ("30 boxes an image", 30)):
            print(name)
            some = crowd(dataset, persons, asked.persons or 2000, each)
            stages = data_stages(*some, entry.input, options)
            result = alternate(stages, len(some[1]), asked.alternations)
            found[name] = report(result, "opened for each person")
    else:
        model = load_entry(entry, allow_random=True)
        form = FORMS[asked.form]
        model = in_form(model, form, batch_size=asked.batch_size, threads=asked.threads)
        protocol = registry.protocol("hrnet_det56").with_choices(flip=not asked.no_flip)
        some = crowd(dataset, persons, asked.persons or 256, None)
        stages = eval_stages(model, *some, options, protocol, not asked.no_plain)
        result = alternate(stages, len(some[1]), asked.alternations)
        found[f"{entry.id}, {form.words}"] = report(result, "network alone")
    if asked.output:
        asked.output.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
