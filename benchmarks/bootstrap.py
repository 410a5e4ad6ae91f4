"""1,000 draws of AP at COCO val2017's size: seconds, from one thread.

    OMP_NUM_THREADS=1 python benchmarks/bootstrap.py

The work is that of ``benchmarks/scoring.py``.  ``matches`` is the evaluation itself, ``draws`` all
ten numbers of every draw with their intervals; figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
from val2017_scale import val2017_scale

from posebench.scoring.bootstrap import RESAMPLES, bootstrap_counts, confidence_intervals, resampled
from posebench.scoring.evaluator_rules import EVALUATOR_RULES
from posebench.scoring.keypoint_ap import evaluate_parts


def measure(share: float, rounds: int, resamples: int) -> dict[str, float]:
    """Seconds, wall and of the processor, and the interval of AP."""
    dataset, results = val2017_scale(share=share)
    times = []
    for _ in range(rounds):
        start, busy = time.perf_counter(), time.process_time()
        evaluation = evaluate_parts(results, dataset, EVALUATOR_RULES["coco_oks"])[""]
        matched = time.perf_counter()
        draws = resampled(evaluation.matches, bootstrap_counts(len(dataset.images), resamples))
        interval = confidence_intervals(draws, evaluation.values)["AP"]
        end = time.perf_counter()
        times.append((matched - start, end - matched, end - start, time.process_time() - busy))
    matches, drawn, together, processor = np.median(times, axis=0).tolist()
    return {
        "matches_s": matches,
        "draws_s": drawn,
        "together_s": together,
        "processor_s": processor,
        "AP": evaluation.values["AP"],
        "low": interval[0],
        "high": interval[1],
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=1.0, help="of val2017's size")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--resamples", type=int, default=RESAMPLES)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = measure(asked.share, asked.rounds, asked.resamples)
    if asked.json:
        print(json.dumps(found, indent=1))
        return
    print(
        f"matches {found['matches_s']:.2f} s, {asked.resamples} draws {found['draws_s']:.2f} s, "
        f"together {found['together_s']:.2f} s ({found['processor_s']:.2f} s of processor time); "
        f"AP {found['AP']:.2f}, {found['low']:.2f} to {found['high']:.2f}"
    )


if __name__ == "__main__":
    main()
