"""How often does the 95 % interval of AP hold the true AP?  A simulation with a fixed seed.

    OMP_NUM_THREADS=1 python tools/coverage.py

writes the figures to docs/coverage.json and their table into docs/uncertainty.md.  Sizes that the
file already holds, from the same seed and numbers, are not simulated again: delete it for that.

The population is made up: 5,000 images with persons and detections as COCO val2017's
(``benchmarks/val2017_scale.py``), all of which are in every way known, so that its AP is the truth.
A run draws n of its images with replacement, as if somebody had collected n images, takes the
intervals from these alone, and asks whether they hold the truth.  Samples in which nobody counts
have no AP and are drawn again.

Beside the interval of ``posebench.scoring.bootstrap`` (``percentile``), three others are made of
the same bootstrap samples: ``bca`` (Efron 1987), the percentile interval widened by Student's t
for few images (``widened``, Hesterberg 2015), and for up to 32 images the ``studentised`` one
(Davison & Hinkley 1997, 5.2), whose standard errors are jackknife ones.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from posebench.scoring.bootstrap import (
    LEVEL,
    RESAMPLES,
    bootstrap_counts,
    confidence_intervals,
    resampled,
)
from posebench.scoring.evaluator_rules import EVALUATOR_RULES
from posebench.scoring.keypoint_ap import evaluate_parts
from posebench.scoring.matching import Matches
from posebench.types.arrays import Floats

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
from val2017_scale import val2017_scale

# Chosen before the first run.
SEED, RUNS, SIZES = 20170707, 1000, (4, 8, 16, 32, 100, 400, 1000)
METRICS = ("AP", "AP50", "AP75", "AR")
SHOWN = ("AP", "AR")  # on the page; the file has all
METHODS = ("percentile", "bca", "widened", "studentised")
STUDENTISED = 32  # images up to which it is simulated: each sample needs a jackknife of its own
OUTER = 300  # bootstrap samples of the studentised interval
GROUPS = 100  # of images that the jackknife of the acceleration leaves out one by one
FEW = 30  # images with a person that counts; with fewer there is no verdict
DOCS = Path(__file__).resolve().parent.parent / "docs"
BEGIN, END = "<!-- coverage: begin -->\n", "<!-- coverage: end -->\n"

Interval = tuple[float, float]


def population() -> tuple[Matches, dict[str, float]]:
    """Return everybody, matched once: all sizes of persons, and the true values in percent."""
    dataset, results = val2017_scale()
    evaluation = evaluate_parts(results, dataset, EVALUATOR_RULES["coco_oks"])[""]
    return evaluation.matches, evaluation.values


def drawn(matches: Matches, images: np.ndarray[Any, Any]) -> Matches:
    """Return the matches of some images, as often as each is listed, for persons of all sizes.

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


def intervals_of(sample: Matches, seed: int) -> dict[str, dict[str, Interval]]:
    """Return method -> metric -> interval, all of the same bootstrap samples."""
    size = sample.persons.shape[1]
    weights = bootstrap_counts(size, RESAMPLES, seed=seed)
    draws = resampled(sample, weights)
    values = {name: float(v[0]) for name, v in resampled(sample, np.ones((size, 1))).items()}
    left_out = resampled(sample, without_groups(size))
    found: dict[str, dict[str, Interval]] = {
        "percentile": confidence_intervals(draws, values),
        "bca": {m: bca(draws[m], values[m], left_out[m]) for m in METRICS},
        "widened": confidence_intervals(draws, values, level_for_few(size)),
    }
    if size <= STUDENTISED:
        found["studentised"] = studentised(sample, weights[:, :OUTER], draws, values)
    return found


def without_groups(size: int) -> Floats:
    """Return the weights (n, G) that leave out each image, or each of ``GROUPS`` groups."""
    groups = min(size, GROUPS)
    belongs = np.arange(size) % groups
    return 1.0 - (belongs[:, None] == np.arange(groups)).astype(np.float64)


def bca(draws: Floats, value: float, left_out: Floats, level: float = LEVEL) -> Interval:
    """Return the bias-corrected and accelerated interval of one metric.

    Args:
        draws: (B,) values of the bootstrap samples.
        value: Measured.
        left_out: (G,) values without each group of images.
        level: Share that the interval is to hold.
    """
    draws, left_out = draws[np.isfinite(draws)], left_out[np.isfinite(left_out)]
    share = ((draws < value).sum() + 0.5 * (draws == value).sum()) / len(draws)
    edge = 1 / (len(draws) + 1)
    bias = norm.ppf(np.clip(share, edge, 1 - edge))
    influence = left_out.mean() - left_out if len(left_out) else np.zeros(1)
    spread = (influence**2).sum() ** 1.5
    acceleration = (influence**3).sum() / (6 * spread) if spread > 0 else 0.0
    ends = bias + norm.ppf([0.5 - level / 2, 0.5 + level / 2])
    tails = norm.cdf(bias + ends / np.maximum(1 - acceleration * ends, 1e-3))
    low, high = np.percentile(draws, 100.0 * tails)
    return float(low), float(high)


def level_for_few(size: int, level: float = LEVEL) -> float:
    """Return the level of a percentile interval as wide as Student's t makes it for n images."""
    quantile = np.sqrt(size / (size - 1)) * student.ppf(0.5 + level / 2, size - 1)
    return float(2 * norm.cdf(quantile) - 1)


def studentised(
    sample: Matches, weights: Floats, draws: Mapping[str, Floats], values: Mapping[str, float]
) -> dict[str, Interval]:
    """Return metric -> studentised interval, cut off at 0 and 100.

    Args:
        sample: Its matches.
        weights: (n, B) of the bootstrap samples that are studentised.
        draws: Metric -> values, of these samples first.
        values: Metric -> measured value.
    """
    errors = _standard_errors(sample, weights)
    own = _standard_errors(sample, np.ones((len(weights), 1)))
    found = {}
    for metric in METRICS:
        apart = draws[metric][: weights.shape[1]] - values[metric]
        usable = np.isfinite(apart) & (errors[metric] > 0)
        if not usable.any():
            found[metric] = (values[metric], values[metric])
            continue
        ratio = apart[usable] / errors[metric][usable]
        low, high = np.percentile(ratio, [50 * (1 + LEVEL), 50 * (1 - LEVEL)])
        ends = values[metric] - np.array([low, high]) * own[metric][0]
        found[metric] = tuple(np.clip(ends, 0.0, 100.0).tolist())
    return found


def _standard_errors(sample: Matches, weights: Floats) -> dict[str, Floats]:
    """Return metric -> (B,) jackknife standard errors; 0 where there is none."""
    size, count = weights.shape
    image, draw = np.nonzero(weights)
    columns = weights[:, draw].copy()
    columns[image, np.arange(len(image))] -= 1
    often = weights[image, draw]
    errors = {}
    for metric, values in resampled(sample, columns).items():
        if metric in METRICS:
            weight = np.where(np.isfinite(values), often, 0.0)
            values = np.where(np.isfinite(values), values, 0.0)
            total = np.maximum(np.bincount(draw, weight, count), 1)
            mean = np.bincount(draw, weight * values, count) / total
            square = np.bincount(draw, weight * (values - mean[draw]) ** 2, count)
            errors[metric] = np.sqrt((size - 1) / size * square)
    return errors


def simulate(matches: Matches, truth: Mapping[str, float], size: int, runs: int) -> dict[str, Any]:
    """Return how often each interval held the truth, and on which side it did not."""
    generator = np.random.default_rng((SEED, size))
    everybody = matches.persons.shape[1]
    ends: dict[tuple[str, str], list[Interval]] = {}
    few = 0
    start = time.perf_counter()
    for run in range(runs):
        sample = drawn(matches, generator.integers(everybody, size=size))
        while not sample.persons[0].sum():
            sample = drawn(matches, generator.integers(everybody, size=size))
        few += int((sample.persons[0] > 0).sum()) < FEW
        for method, found in intervals_of(sample, int(generator.integers(1 << 62))).items():
            for metric in METRICS:
                ends.setdefault((metric, method), []).append(found[metric])
        if (run + 1) % 100 == 0:
            seconds = time.perf_counter() - start
            print(f"n={size}: {run + 1} runs, {seconds:.0f} s", file=sys.stderr, flush=True)
    rows: dict[str, Any] = {"too_few_images": 100.0 * few / runs}
    for (metric, method), found_ends in ends.items():
        rows.setdefault(metric, {})[method] = _row(np.array(found_ends), truth[metric])
    return rows


def _row(ends: Floats, truth: float) -> dict[str, float]:
    """Return the shares of runs, percent, and the median width, points."""
    low, high = ends.T
    above, below = float((high < truth).mean()), float((low > truth).mean())
    return {
        "coverage": 100.0 * (1 - above - below),
        "truth_above_interval": 100.0 * above,
        "truth_below_interval": 100.0 * below,
        "no_width": 100.0 * float((high == low).mean()),
        "median_width": float(np.median(high - low)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate all sizes, write and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="images of a sample")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--output", type=Path, default=DOCS / "coverage.json", metavar="FILE")
    parser.add_argument("--page", type=Path, metavar="FILE", default=DOCS / "uncertainty.md")
    asked = parser.parse_args(arguments)
    matches, truth = population()
    found: dict[str, Any] = {
        "seed": SEED,
        "runs": asked.runs,
        "resamples": RESAMPLES,
        "level": LEVEL,
        "population": {"images": matches.persons.shape[1], "persons": int(matches.persons[0].sum())}
        | {metric: truth[metric] for metric in METRICS},
        "images": {},
    }
    known = json.loads(asked.output.read_text()) if asked.output.is_file() else {}
    same = known | {"images": {}} == found
    for size in asked.sizes:
        before = known["images"].get(str(size)) if same else None
        found["images"][str(size)] = before or simulate(matches, truth, size, asked.runs)
        asked.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    page = asked.page.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    asked.page.write_text(head + BEGIN + table(found) + END + tail, encoding="utf-8")
    return 0


def table(found: Mapping[str, Any]) -> str:
    """Return the figures as Markdown."""
    head = (
        *("images", "metric", "coverage", "truth above it", "truth below it", "median width"),
        *("BCa", "widened by t", "studentised"),
    )
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for size, metrics in found["images"].items():
        for metric in SHOWN:
            own = metrics[metric]["percentile"]
            others = [metrics[metric].get(method) for method in METHODS[1:]]
            cells = (
                *(size, metric, f"{own['coverage']:.1f} %"),
                *(f"{own[f'truth_{side}_interval']:.1f} %" for side in ("above", "below")),
                f"{own['median_width']:.1f} points",
                *("-" if other is None else f"{other['coverage']:.1f} %" for other in others),
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
