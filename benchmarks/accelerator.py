"""What posebench does on an accelerator, in calls of a few minutes each that resume.

    python benchmarks/accelerator.py --output runs/accelerator --minutes 9
    python benchmarks/accelerator.py --output runs/accelerator --page docs/accelerator.md
    python benchmarks/accelerator.py --output runs/dry --dry-run

Every call goes on where the last one stopped and ends before ``--minutes`` have passed, as far as
the longest task of the same kind tells; ``results.json`` is written after every task.  Kinds:

- ``waiting``: one batch of every decoding while torch refuses to wait for the device.
- ``parity``: every row's network in float32, without and with TF32, next to the CPU's outputs.
- ``accuracy``: the demo models, and TinyPose if ``--tinypose`` and ``--data-root`` are given, on
  the device and on the CPU.
- ``pipeline``: from image files to keypoints for many boxes, over the network alone.
- ``speed``: every row at every batch size and precision, several times; ``--compiled`` rows also
  by torch.compile.  The models of one call share a process, and their records say so.

``--dry-run`` does a little of everything on the CPU; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from accelerator_page import Result, page

from posebench.evaluation.evaluate import evaluate
from posebench.evaluation.protocols import claim_protocols, common_protocol
from posebench.files import write_whole
from posebench.inference.decode import DECODERS
from posebench.inference.devices import check_device, computing_on
from posebench.inference.forms import difference
from posebench.inference.normalise import normalise
from posebench.inference.outputs import decode_output
from posebench.inference.predict import Options, network_outputs, predict
from posebench.inference.transfer import Arriving, to_device
from posebench.records.environment import hardware_name
from posebench.records.store import save
from posebench.registry import load_registry
from posebench.timing.benchmark import load_timed, measure_cell
from posebench.timing.measure import cheapest_first, configuration, job_of
from posebench.timing.samples import draw_images, persons_on
from posebench.types.entry import Entry, InputSpec
from posebench.types.errors import UserError
from posebench.types.model import PoseModel
from posebench.types.protocol import Protocol
from posebench.types.request import SpeedRequest
from posebench.types.timing import Precision

KINDS = ("waiting", "parity", "accuracy", "pipeline", "speed")
ZOOS = ("alphapose", "gluoncv", "paddledetection", "fpd", "lpn")
NOTE = "timed in one process with other models, not in one of its own"
OUTPUTS = {
    "heatmaps": ((17, 32, 24), (*DECODERS, "combined")),
    "offset_heatmaps": ((51, 32, 24), ("udp_offsets",)),
    "simcc": ((17, 448), ("simcc",)),
    "coordinates": ((17, 3), ("coordinates",)),
}


@dataclass(frozen=True)
class Task:
    """Something to do once; its key names it in ``results.json``."""

    key: str
    run: Callable[[], Result]

    @property
    def kind(self) -> str:
        """One of ``KINDS``."""
        return self.key.partition("/")[0]


class Results:
    """Results by key, on disk after every task."""

    def __init__(self, folder: Path, device: str) -> None:
        self.file = folder / "results.json"
        machine = {"device": device, "hardware": hardware_name(device), "torch": torch.__version__}
        self.content: dict[str, Any] = {"machine": machine, "results": {}}
        if self.file.is_file():
            self.content = json.loads(self.file.read_text(encoding="utf-8"))
            if self.content["machine"] != machine:
                raise UserError(
                    f"{self.file} was made on {self.content['machine']}, this is {machine}.",
                    "Give another --output.",
                )
        folder.mkdir(parents=True, exist_ok=True)

    def __contains__(self, key: str) -> bool:
        return key in self.content["results"]

    def add(self, key: str, result: Result) -> None:
        """Store a result."""
        self.content["results"][key] = result
        write_whole(self.file, json.dumps(self.content, indent=1).encode())


def work_off(tasks: list[Task], results: Results, minutes: float) -> int:
    """Do what is not done yet while time is left; return how many tasks remain."""
    end = time.monotonic() + 60 * minutes
    longest: dict[str, float] = {}
    waiting = [task for task in tasks if task.key not in results]
    for number, task in enumerate(waiting):
        start = time.monotonic()
        if start + 1.5 * longest.get(task.kind, 0.0) > end:
            return len(waiting) - number
        try:
            found = task.run()
        except (UserError, RuntimeError, MemoryError) as error:
            found = {"failure": f"{type(error).__name__}: {str(error).splitlines()[0]}"}
        took = time.monotonic() - start
        longest[task.kind] = max(longest.get(task.kind, 0.0), took)
        results.add(task.key, found | {"took": round(took, 2)})
        words = ", ".join(f"{k} {v}" for k, v in found.items() if k != "samples")
        print(f"{took:6.1f} s  {task.key}: {words}", flush=True)
    return 0


# --- nothing waits inside a batch ---------------------------------------------------------------


def waiting_tasks(device: str) -> Iterator[Task]:
    """Every decoding, with flip."""
    for output, (shape, decodings) in OUTPUTS.items():
        for decode in decodings:
            work = functools.partial(waits, device, output, shape, decode)
            yield Task(f"waiting/{output}/{decode}", work)


def waits(device: str, output: str, shape: tuple[int, ...], decode: str) -> Result:
    """Decode twice, the second time while waiting is an error."""
    spec = InputSpec(size=(256, 192), stride=8, output=output)
    protocol = Protocol(
        name="waiting", boxes="gt", flip=True, shift=True, decode=decode,
        sanitise="none", rescoring="none", nms="none",
    )  # fmt: skip
    crops = np.random.default_rng(0).integers(0, 256, (64, 256, 192, 3), np.uint8)
    maps = torch.rand(64, *shape, generator=torch.Generator().manual_seed(0)).to(device)

    def batch() -> Arriving:
        normalise(to_device(crops, device), spec)
        return Arriving(decode_output(maps, maps, protocol, spec))

    with computing_on(device):
        expected = batch().arrays()
        if device == "cpu":
            return {"waits": None}
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            arriving = batch()
        except RuntimeError as error:
            return {"waits": str(error).splitlines()[0]}
        finally:
            torch.cuda.set_sync_debug_mode("default")
        pairs = zip(arriving.arrays(), expected, strict=True)
        return {"waits": False, "equal": all(np.array_equal(one, other) for one, other in pairs)}


# --- float32 is float32 -------------------------------------------------------------------------


def parity_tasks(entries: list[Entry], device: str, batch: int) -> Iterator[Task]:
    """Every row's network."""
    for entry in entries:
        yield Task(f"parity/{entry.key}", functools.partial(parity, entry, device, batch))


def parity(entry: Entry, device: str, batch: int) -> Result:
    """Largest difference to the CPU's outputs over their peak, without and with TF32."""
    model = load_timed(entry)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(batch, 3, *entry.input.size, generator=generator)
    with computing_on("cpu"):
        expected, _ = network_outputs(model, inputs, mirrored=False)
    model = replace(model, network=model.network.to(device))
    found = {}
    for name, tf32 in (("fp32", False), ("tf32", True)):
        with computing_on(device, tf32=tf32):
            output, _ = network_outputs(model, inputs.to(device), mirrored=False)
        found[name] = difference(output.cpu(), expected)
    return found


# --- the same accuracy --------------------------------------------------------------------------


def accuracy_tasks(asked: argparse.Namespace, device: str) -> Iterator[Task]:
    """The shipped models, and TinyPose where its weights and images are."""
    limit = 24 if asked.dry_run else None
    for entry in load_registry().entries:
        if entry.zoo == "demo" and not (asked.dry_run and entry.id != "demo_s"):
            yield Task(
                f"accuracy/{entry.key}", functools.partial(accuracy, entry.key, device, limit=limit)
            )
    if asked.tinypose and asked.data_root:
        key = "paddledetection/tinypose_256x192"
        more = {"dataset": "coco", "checkpoint": asked.tinypose, "data_root": asked.data_root}
        for flip in (False, True):
            work = functools.partial(accuracy, key, device, flip=flip, limit=limit, **more)
            yield Task(f"accuracy/{key}{', flip' * flip}", work)


def accuracy(key: str, device: str, **how: Any) -> Result:
    """Largest difference of any metric between the device and the CPU, percent points."""
    how = {name: value for name, value in how.items() if value is not None}
    there, here = (evaluate(key, device=where, **how).scores for where in (device, "cpu"))
    shared = [name for name, value in here.items() if value is not None]
    largest = max(abs(float(there[name] or 0) - float(here[name] or 0)) for name in shared)
    metric = shared[0]
    return {"metric": metric, "device": there[metric], "cpu": here[metric], "largest": largest}


# --- from files to keypoints --------------------------------------------------------------------


def pipeline_tasks(
    models: list[str], device: str, paths: list[Path], asked: argparse.Namespace
) -> Iterator[Task]:
    """Many boxes on a few images that are read again and again."""
    for name in models:
        entry = load_registry().find(name)
        for flip in (False, True):
            work = functools.partial(
                pipeline, entry, device, paths, asked.persons, asked.batch, asked.threads, flip
            )
            yield Task(f"pipeline/{entry.key}{', flip' * flip}", work)


def pipeline(
    entry: Entry, device: str, paths: list[Path], count: int, batch: int, threads: int, flip: bool
) -> Result:
    """Persons a second of ``predict``, and of its network alone before and after."""
    registry, model = load_registry(), load_timed(entry)
    model = replace(model, network=model.network.to(device))
    own = claim_protocols(entry, registry) or (common_protocol(entry, registry),)
    protocol = own[0].model_copy(update={"flip": flip})
    options = Options(device, batch, threads)
    warm = persons_on(paths, entry.input, 4 * batch)
    predict(model, *warm, [protocol], options)
    before = alone(model, device, batch, count, flip)
    dataset, persons = persons_on(paths, entry.input, count)
    start = time.perf_counter()
    predict(model, dataset, persons, [protocol], options)
    whole = count / (time.perf_counter() - start)
    after = alone(model, device, batch, count, flip)
    network = (before + after) / 2
    return {
        "persons": count,
        "batch": batch,
        "threads": threads,
        "predict": round(whole, 1),
        "network": round(network, 1),
        "ratio": round(whole / network, 3),
    }


def alone(model: PoseModel, device: str, batch: int, count: int, flip: bool) -> float:
    """Persons a second of the network on a batch that lies on its device."""
    inputs = torch.randn(batch, 3, *model.entry.input.size).to(device)
    passes = max(1, min(count // batch, 200))
    with computing_on(device):
        for timed in (False, True):
            start = time.perf_counter()
            for _ in range(passes if timed else 3):
                network_outputs(model, inputs, mirrored=flip)
            if device != "cpu":
                torch.cuda.synchronize(device)
    return passes * batch / (time.perf_counter() - start)


# --- speed --------------------------------------------------------------------------------------


def speed_tasks(
    entries: list[Entry], device: str, images: Path, asked: argparse.Namespace
) -> Iterator[Task]:
    """All rows once before any is timed again: the spread then holds what drifts."""
    held: dict[str, PoseModel] = {}

    def load(entry: Entry) -> PoseModel:
        if entry.key not in held:
            held.clear()
            held[entry.key] = load_timed(entry)
        return held[entry.key]

    for repeat, entry in itertools.product(range(1, asked.repeats + 1), entries):
        compiled = [False, *[True] * (entry.key in asked.compiled or entry.id in asked.compiled)]
        for batch, precision, by in itertools.product(
            asked.batch_sizes, asked.precisions, compiled
        ):
            form = {"precision": precision, "compiled": by, "batch_size": batch}
            key = f"speed/{entry.key}/{batch}/{precision}{'/compiled' * by}/{repeat}"
            folder = asked.output / "records" / f"repeat-{repeat}"
            yield Task(
                key, functools.partial(speed, entry, device, images, folder, load, form, asked)
            )


def speed(
    entry: Entry,
    device: str,
    images: Path,
    folder: Path,
    load: Callable[[Entry], PoseModel],
    form: dict[str, Any],
    asked: argparse.Namespace,
) -> Result:
    """Time a cell with the functions of ``posebench speed``, and keep its record."""
    quick, threads = not asked.thorough, asked.threads
    request = SpeedRequest(device=device, quick=quick, images=images, threads=threads, **form)
    command = f"python benchmarks/accelerator.py --repeats {asked.repeats}"
    job = job_of(entry, configuration(request), request, command)
    record = measure_cell(job, load(entry))
    torch._dynamo.reset()
    record = record.model_copy(update={"notes": (*record.notes, NOTE)})
    save(record, folder)
    found: Result = {"failure": record.failure} if record.failure else {}
    if record.timings:
        forward = record.timings
        found |= {
            "forward": round(forward.persons_per_second, 1),
            "spread": round(forward.relative_iqr, 4),
            "error": forward.error,
            "joules": forward.joules_per_1000,
            "share": forward.share_of_ceiling,
            "flags": list(forward.flags),
        }
    if record.end_to_end:
        found["end to end"] = round(record.end_to_end.persons_per_second, 1)
    return found


def parsed() -> argparse.Namespace:
    """Read the command line; a dry run has defaults of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="of results.json and records")
    parser.add_argument("--device", help="(default: cuda:0; of a dry run cpu)")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--minutes", type=float, default=9.0, help="a call may take")
    parser.add_argument("--models", nargs="*", help="instead of all rows of the five zoos")
    parser.add_argument("--compiled", nargs="*", default=[], metavar="MODEL")
    parser.add_argument("--batch-sizes", nargs="*", type=int)
    parser.add_argument("--precisions", nargs="*", choices=get_args(Precision))
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--thorough", action="store_true", help="at least ten seconds a timing")
    parser.add_argument("--pipeline-models", nargs="*", default=["lpn/lpn_50_coco_256x192"])
    parser.add_argument("--persons", type=int)
    parser.add_argument("--batch", type=int, help="of pipeline and parity")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--data-root", type=Path, help="of coco_mini or COCO")
    parser.add_argument("--tinypose", type=Path, help="weights of tinypose_256x192")
    parser.add_argument("--page", type=Path, help="write the results so far, and do nothing else")
    parser.add_argument("--dry-run", action="store_true", help="a little of everything, on the CPU")
    asked = parser.parse_args()
    small = asked.dry_run
    defaults = {
        "device": "cpu" if small else "cuda:0",
        "models": ["demo/demo_s"] if small else None,
        "batch_sizes": [2, 1] if small else [64, 1],
        # In half precision a processor takes minutes for one large matrix product.
        "precisions": ["fp32", "bf16"] if small else ["fp32", "bf16", "fp16"],
        "repeats": 2 if small else 3,
        "persons": 60 if small else 100_000,
        "batch": 4 if small else 64,
    }
    for name, value in defaults.items():
        if getattr(asked, name) is None:
            setattr(asked, name, value)
    if small:
        asked.pipeline_models = ["demo/demo_s"]
    return asked


def main() -> int:
    """Work off what time allows, or write the page; 3 says that tasks remain."""
    asked = parsed()
    try:
        device = check_device(asked.device)
        results = Results(asked.output, device)
        if asked.page:
            command = f"python benchmarks/accelerator.py --output DIR --page {asked.page.name}"
            asked.page.write_text(page(results.content, command), encoding="utf-8")
            return 0
        registry = load_registry()
        rows = cheapest_first(registry)
        if asked.models:
            wanted = {registry.find(name).key for name in asked.models}
            entries = [entry for entry in rows if entry.key in wanted]
        else:
            entries = [entry for entry in rows if entry.zoo in ZOOS]
        with tempfile.TemporaryDirectory(prefix="posebench-") as folder:
            paths = draw_images(Path(folder))
            makers: dict[str, Iterator[Task]] = {
                "waiting": waiting_tasks(device),
                "parity": parity_tasks(entries, device, min(asked.batch, 8)),
                "accuracy": accuracy_tasks(asked, device),
                "pipeline": pipeline_tasks(asked.pipeline_models, device, paths, asked),
                "speed": speed_tasks(entries, device, Path(folder), asked),
            }
            tasks = [task for kind in asked.kinds for task in makers[kind]]
            left = work_off(tasks, results, asked.minutes)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{len(tasks) - left} of {len(tasks)} tasks are done; {results.file}")
    return 3 if left else 0


if __name__ == "__main__":
    sys.exit(main())
