"""How often does the 95 % interval of AP hold the true AP?  A simulation with a fixed seed.

    OMP_NUM_THREADS=1 python tools/coverage.py

writes the figures to docs/coverage.json and their table into docs/uncertainty.md.  Sizes that the
file already holds, from the same seed and numbers, are not simulated again: delete it for that.

The population is made up: 5,000 images with persons and detections as COCO val2017's
(``benchmarks/val2017_scale.py``), all of which are in every way known, so that its AP is the truth.
A run draws n of its images with replacement, as if somebody had collected n images, takes the
interval of ``posebench.scoring.bootstrap`` from these alone, and asks whether it holds the truth.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from posebench.scoring.bootstrap import LEVEL, RESAMPLES, multiplicities, percentiles, resampled
from posebench.scoring.dialects import DIALECTS
from posebench.scoring.keypoint_ap import evaluate_parts
from posebench.scoring.matching import Matches

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
from val2017_scale import val2017_scale

# Chosen before the first run.
SEED, RUNS, SIZES = 20170707, 2000, (1000, 200, 32)
METRICS = ("AP", "AP50", "AP75", "AR")
DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- coverage: begin -->\n", "<!-- coverage: end -->\n"


def population() -> tuple[Matches, dict[str, float]]:
    """Everybody, matched once: all sizes of persons, and the true values in percent."""
    dataset, results = val2017_scale()
    evaluation = evaluate_parts(results, dataset, DIALECTS["coco_oks"])[""]
    return evaluation.matches, evaluation.values


def drawn(matches: Matches, images: np.ndarray[Any, Any]) -> Matches:
    """The matches of some images, each as often as it is listed, for persons of all sizes.

    Args:
        matches: Of the population.
        images: (n,) image rows, repeated ones too.
    """
    order = np.argsort(matches.image, kind="stable")
    count = np.bincount(matches.image, minlength=matches.persons.shape[1])
    first = np.cumsum(count) - count
    sizes = count[images]
    before = np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = order[np.repeat(first[images], sizes) + np.arange(sizes.sum()) - before]
    image = np.repeat(np.arange(len(images)), sizes)
    by_score = np.argsort(-matches.score[rows], kind="stable")
    rows, image = rows[by_score], image[by_score]
    # Metrics of one size are not asked for: without events they take no time.
    every = np.arange(len(matches.hit))[:, None, None] == 0
    return replace(
        matches,
        image=image,
        row=matches.row[rows],
        score=matches.score[rows],
        truth=matches.truth[:, :, rows],
        hit=matches.hit[:, :, rows] & every,
        miss=matches.miss[:, :, rows] & every,
        persons=matches.persons[:, images],
    )


def simulate(
    matches: Matches, truth: dict[str, float], size: int, runs: int, resamples: int
) -> dict[str, Any]:
    """One row a metric: how often the interval held the truth, and on which side it did not."""
    generator = np.random.default_rng((SEED, size))
    everybody = matches.persons.shape[1]
    below, above = dict.fromkeys(METRICS, 0), dict.fromkeys(METRICS, 0)
    widths: dict[str, list[float]] = {metric: [] for metric in METRICS}
    start = time.perf_counter()
    for run in range(runs):
        sample = drawn(matches, generator.integers(everybody, size=size))
        weights = multiplicities(size, resamples, seed=int(generator.integers(1 << 62)))
        values = {name: float(v[0]) for name, v in resampled(sample, np.ones((size, 1))).items()}
        intervals = percentiles(resampled(sample, weights), values)
        for metric in METRICS:
            low, high = intervals[metric]
            below[metric] += high < truth[metric]
            above[metric] += low > truth[metric]
            widths[metric].append(high - low)
        if (run + 1) % 100 == 0:
            seconds = time.perf_counter() - start
            print(f"n={size}: {run + 1} runs, {seconds:.0f} s", file=sys.stderr, flush=True)
    return {
        metric: {
            "coverage": 100.0 * (1 - (below[metric] + above[metric]) / runs),
            "truth_above_interval": 100.0 * below[metric] / runs,
            "truth_below_interval": 100.0 * above[metric] / runs,
            "median_width": float(np.median(widths[metric])),
        }
        for metric in METRICS
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate all sizes, write and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="images of a sample")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--resamples", type=int, default=RESAMPLES)
    parser.add_argument("--output", type=Path, default=DOCS / "coverage.json", metavar="FILE")
    parser.add_argument("--page", type=Path, metavar="FILE", default=DOCS / "uncertainty.md")
    asked = parser.parse_args(arguments)
    matches, truth = population()
    found: dict[str, Any] = {
        "seed": SEED,
        "runs": asked.runs,
        "resamples": asked.resamples,
        "level": LEVEL,
        "population": {"images": matches.persons.shape[1], "persons": int(matches.persons[0].sum())}
        | {metric: truth[metric] for metric in METRICS},
        "images": {},
    }
    known = json.loads(asked.output.read_text()) if asked.output.is_file() else {}
    same = known | {"images": {}} == found
    for size in asked.sizes:
        before = known["images"].get(str(size)) if same else None
        found["images"][str(size)] = before or simulate(
            matches, truth, size, asked.runs, asked.resamples
        )
        asked.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    page = asked.page.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    asked.page.write_text(head + BEGIN + table(found) + END + tail, encoding="utf-8")
    return 0


def table(found: dict[str, Any]) -> str:
    """The figures as Markdown."""
    head = "images", "metric", "coverage", "truth above it", "truth below it", "median width"
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for size, metrics in found["images"].items():
        for metric, row in metrics.items():
            cells = (
                *(size, metric, f"{row['coverage']:.1f} %"),
                *(f"{row[f'truth_{side}_interval']:.1f} %" for side in ("above", "below")),
                f"{row['median_width']:.1f} points",
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
