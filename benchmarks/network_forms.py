"""One network in several forms, in turn in one process: persons a second and ratios.

    python benchmarks/network_forms.py --model lpn_50 --threads 2

Each form computes one batch, then the next form does, so that all see the same machine.  The
share is of a large matrix product's rate, measured in every round too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from posebench.evaluation.prepare import load_entry
from posebench.inference.forms import FAST, difference, in_form
from posebench.registry import load_registry
from posebench.timing.complexity import complexity
from posebench.timing.machine import Usage, cores
from posebench.timing.random_weights import weighted
from posebench.types.errors import UserError
from posebench.types.timing import Form

FORMS = {
    "plain": Form(),
    "fast": FAST,
    "compiled": Form(folded=True, channels_last=True, compiled=True),
    "onnxruntime": Form(runtime="onnxruntime"),
    "openvino": Form(runtime="openvino"),
}
SIDE = 2048


def seconds(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="lpn_50")
    parser.add_argument("--dataset", default="coco")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--forms", nargs="*", choices=list(FORMS), default=list(FORMS))
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    entry = load_registry().find(asked.model, asked.dataset)
    model = weighted(load_entry(entry, allow_random=True))
    size = (asked.batch_size, 3, *entry.input.size)
    batch = torch.randn(size, generator=torch.Generator().manual_seed(0))
    networks, errors = {}, {}
    with torch.inference_mode():
        expected = model.network(batch)
        for name in asked.forms:
            try:
                form = FORMS[name]
                threads = asked.threads
                formed = in_form(model, form, batch_size=asked.batch_size, threads=threads)
                errors[name] = difference(formed.network(batch), expected)
                networks[name] = formed.network
            except UserError as error:
                print(f"{name} left out: {error}")
        factor = torch.randn(SIDE, SIDE)
        found: dict[str, list[float]] = {name: [] for name in networks}
        rates = []
        before = Usage.now()
        for _ in range(asked.rounds):
            rates.append(2 * SIDE**3 / min(seconds(lambda: factor @ factor) for _ in range(2)))
            for name, network in networks.items():
                found[name].append(seconds(lambda network=network: network(batch)))
        foreign = before.foreign(Usage.now())
    ceiling = float(np.median(rates)) / (2.0 * complexity(entry).macs)
    plain = np.array(found.get("plain", next(iter(found.values()))))
    report = {}
    for name, values in found.items():
        speed = asked.batch_size / float(np.median(values))
        ratio = float(np.median(plain / np.array(values)))
        report[name] = {"persons_per_second": speed, "ratio": ratio, "error": errors[name]}
        print(
            f"{name:12} {speed:8.1f} persons/s  x {ratio:.2f} of plain  "
            f"{speed / ceiling:4.0%} of {ceiling:.1f}  within {errors[name]:.0e} of the peak"
        )
    print(f"other processes kept {foreign} of {cores()} cores busy")
    if asked.output:
        asked.output.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
