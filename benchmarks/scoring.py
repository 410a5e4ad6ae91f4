"""Keypoint AP at COCO val2017's size: posebench beside other evaluators, from one run.

    OMP_NUM_THREADS=1 python benchmarks/scoring.py
    OMP_NUM_THREADS=1 python benchmarks/scoring.py --share 0.1 --rounds 3 --json

All start from the same made-up arrays (5,000 images, 11,004 persons, 104,125 detections).  An
engine's ``load`` is what it needs before it can evaluate: COCO's rows and its own ``loadRes``, for
``hotcoco`` a JSON file written by orjson; ``evaluate`` is evaluate and accumulate.  Engines take
turns, each figure is the median over the rounds, and each engine's peak memory, above that of the
inputs, is seen in a process of its own.  Times are taken by two clocks: on the wall, and of the
processor, which other programs on a busy machine do not slow down.  Engines that are not installed
are left out:

    pip install faster-coco-eval hotcoco orjson
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import importlib.util
import io
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from val2017_scale import val2017_scale

from posebench.keypoints import keypoint_set
from posebench.scoring.coco import coco_results
from posebench.scoring.evaluator_rules import EVALUATOR_RULES
from posebench.scoring.keypoint_ap import evaluate_parts
from posebench.types.arrays import Dataset, Floats, Results

ARRAYS = ("precision", "recall", "scores")
REFEREE = "pycocotools"
CLOCKS = ("wall", "processor")


@dataclass(frozen=True)
class Timed:
    """One evaluation: seconds of its two stages by both clocks, and the arrays it gave."""

    load: Floats
    evaluate: Floats
    arrays: dict[str, bytes]


def now() -> Floats:
    """Seconds on the wall and of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


@dataclass(frozen=True, eq=False)
class Work:
    """The same work for everybody: arrays, and the annotations as COCO's file holds them."""

    dataset: Dataset
    results: Results
    file: dict[str, Any]


def work(share: float) -> Work:
    """Make the arrays."""
    dataset, results = val2017_scale(share=share)
    truth = dataset.truth
    people = [
        {
            "id": int(truth.id[row]),
            "image_id": int(truth.image_id[row]),
            "category_id": 1,
            "bbox": truth.box[row].tolist(),
            "area": float(truth.area[row]),
            "iscrowd": int(truth.crowd[row]),
            "keypoints": truth.keypoints[row].ravel().tolist(),
            "num_keypoints": int(truth.num_keypoints[row]),
        }
        for row in range(len(truth))
    ]
    images = [{"id": int(i), "width": 640, "height": 640} for i in dataset.images.id]
    categories = [{"id": 1, "name": "person", "keypoints": list(keypoint_set("coco_17").names)}]
    return Work(
        dataset, results, {"images": images, "annotations": people, "categories": categories}
    )


def posebench(given: Work) -> Timed:
    """Straight from the arrays."""
    start = now()
    found = evaluate_parts(given.results, given.dataset, EVALUATOR_RULES["coco_oks"])[""]
    seconds = now() - start
    arrays = (found.precision, found.recall, found.scores)
    return Timed(np.zeros(2), seconds, _bytes(dict(zip(ARRAYS, arrays, strict=True))))


def _pycocotools(given: Work) -> Timed:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _in_the_manner_of_coco(given, COCO, lambda gt, dt: COCOeval(gt, dt, "keypoints"))


def _xtcocotools(given: Work) -> Timed:
    from xtcocotools.coco import COCO
    from xtcocotools.cocoeval import COCOeval

    sigmas = np.array(keypoint_set("coco_17").sigmas)

    def engine(truth: Any, found: Any) -> Any:
        return COCOeval(truth, found, "keypoints", sigmas, use_area=True)

    return _in_the_manner_of_coco(given, COCO, engine)


def _faster_coco_eval(given: Work) -> Timed:
    from faster_coco_eval import COCO, COCOeval_faster

    return _in_the_manner_of_coco(given, COCO, lambda gt, dt: COCOeval_faster(gt, dt, "keypoints"))


def _in_the_manner_of_coco(
    given: Work, index: Callable[[], Any], engine: Callable[[Any, Any], Any]
) -> Timed:
    truth = index()
    truth.dataset = given.file
    truth.createIndex()
    truth.anno_file = [""]
    start = now()
    found = truth.loadRes(coco_results(given.results))
    loaded = now()
    evaluator = engine(truth, found)
    evaluator.evaluate()
    evaluator.accumulate()
    return Timed(loaded - start, now() - loaded, _bytes(evaluator.eval))


def _hotcoco(given: Work) -> Timed:
    import hotcoco
    import orjson

    with tempfile.TemporaryDirectory() as folder:
        annotations, file = Path(folder, "annotations.json"), Path(folder, "results.json")
        annotations.write_bytes(orjson.dumps(given.file))
        truth = hotcoco.COCO(str(annotations))
        start = now()
        file.write_bytes(orjson.dumps(coco_results(given.results)))
        found = truth.loadRes(str(file))
        loaded = now()
    evaluator = hotcoco.COCOeval(truth, found, "keypoints")
    evaluator.evaluate()
    evaluator.accumulate()
    return Timed(loaded - start, now() - loaded, _bytes(evaluator.eval))


def _bytes(found: Any) -> dict[str, bytes]:
    return {name: np.asarray(found[name], np.float64).tobytes() for name in ARRAYS}


ENGINES: dict[str, tuple[Callable[[Work], Timed], tuple[str, ...]]] = {
    "posebench": (posebench, ()),
    "pycocotools": (_pycocotools, ("pycocotools",)),
    "xtcocotools": (_xtcocotools, ("xtcocotools",)),
    "faster-coco-eval": (_faster_coco_eval, ("faster_coco_eval",)),
    "hotcoco": (_hotcoco, ("hotcoco", "orjson")),
}


def installed() -> list[str]:
    """Names of the engines that can run here."""
    return [
        name
        for name, (_, packages) in ENGINES.items()
        if all(importlib.util.find_spec(package) for package in packages)
    ]


def quiet(name: str, given: Work) -> Timed:
    """Run one engine once without its chatter."""
    with contextlib.redirect_stdout(io.StringIO()):
        return ENGINES[name][0](given)


def peak(name: str, share: float) -> float:
    """Megabytes an engine takes above the inputs, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_grown, (name, share))


def _grown(name: str, share: float) -> float:
    given = work(share)
    gc.collect()
    # What making the inputs left behind goes back first, or an engine would seem to need nothing.
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    # The peak so far is that of making the inputs: start counting anew (Linux, proc(5)).
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    quiet(name, given)
    return (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    """A number of this process, kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def measure(share: float, rounds: int) -> list[dict[str, Any]]:
    """One row an engine."""
    given, names = work(share), installed()
    times: dict[str, list[Timed]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            times[name].append(quiet(name, given))
    mine, referee = times["posebench"], times[REFEREE][0]
    rows = []
    for name, timed in times.items():
        rows.append(
            {
                "engine": name,
                **{clock: _medians(timed, mine, place) for place, clock in enumerate(CLOCKS)},
                "peak_mb": peak(name, share),
                "equal_bytes": all(t.arrays == referee.arrays for t in timed),
            }
        )
    return rows


def _medians(timed: list[Timed], mine: list[Timed], clock: int) -> dict[str, float]:
    """Seconds of an engine by one clock, and how often posebench's fit into them."""
    own = float(np.median([t.evaluate[clock] for t in mine]))
    evaluate = float(np.median([t.evaluate[clock] for t in timed]))
    whole = float(np.median([(t.load + t.evaluate)[clock] for t in timed]))
    return {
        "load_s": float(np.median([t.load[clock] for t in timed])),
        "evaluate_s": evaluate,
        "all_s": whole,
        "evaluate_over_posebench": evaluate / own,
        "all_over_posebench": whole / own,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=1.0, help="of val2017's size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measure(arguments.share, arguments.rounds)
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    head = ("load", "evaluate", "together", "evaluate", "together")
    print("| " + " | ".join(("engine", "clock", *head, "memory", "equal")) + " |\n|" + "---|" * 9)
    for row in rows:
        for clock in CLOCKS:
            times = row[clock]
            cells = (
                row["engine"],
                clock,
                f"{times['load_s']:.2f} s",
                f"{times['evaluate_s']:.2f} s",
                f"{times['all_s']:.2f} s",
                f"{times['evaluate_over_posebench']:.1f} x",
                f"{times['all_over_posebench']:.1f} x",
                f"{row['peak_mb']:.0f} MB",
                "yes" if row["equal_bytes"] else "no",
            )
            print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
