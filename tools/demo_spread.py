"""How far the demo models' AP moves with threads, oneDNN and precision: it must not.

``python tools/demo_spread.py`` evaluates every demo model's primary protocol under each
condition and exits with status 1 where the AP spreads by more than 0.05.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from posebench.api.model import load_model
from posebench.evaluation.data import open_dataset
from posebench.evaluation.listing import list_entries
from posebench.evaluation.outcome import evaluate_protocols
from posebench.evaluation.prepare import Prepared
from posebench.evaluation.protocols import claim_protocols
from posebench.inference.predict import Options
from posebench.registry import load_registry
from posebench.types.model import PoseModel
from posebench.types.request import DataPaths

ALLOWED = 0.05


class Float64(torch.nn.Module):
    """A network computed in double precision, with float32 in and out."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map float32 crops to float32 heatmaps."""
        return self.network(x.double()).float()


@contextmanager
def condition(name: str) -> Iterator[None]:
    """Set threads and oneDNN for one run."""
    threads, onednn = torch.get_num_threads(), torch.backends.mkldnn.enabled
    torch.set_num_threads(1 if name == "1 thread" else 2)
    torch.backends.mkldnn.enabled = name != "oneDNN off"  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.mkldnn.enabled = onednn  # type: ignore[assignment]


CONDITIONS = ("2 threads", "1 thread", "oneDNN off", "float64")


def primary_ap(model: PoseModel, limit: int | None) -> float:
    """AP of a demo model under its primary claim's protocol, percent."""
    registry = load_registry()
    spec = registry.dataset(model.entry.dataset)
    protocol = claim_protocols(model.entry, registry)[0]
    sources = DataPaths(limit=limit)
    data = open_dataset(spec, sources, protocol.annotations)
    options = Options(threads=torch.get_num_threads())
    (outcome,) = evaluate_protocols(Prepared(model, data, spec, sources, options), [protocol])
    return outcome.scores.values["AP"]


def main() -> int:
    """Print one line a model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="only the first images")
    limit = parser.parse_args().limit
    worst = 0.0
    print("model    " + "".join(f"{name:>12}" for name in CONDITIONS) + "      spread")
    for entry in list_entries(zoo="demo", status="runnable"):
        found = []
        for name in CONDITIONS:
            model = load_model(entry.key)
            if name == "float64":
                model = PoseModel(Float64(model.network), model.entry)
            with condition(name):
                found.append(primary_ap(model, limit))
        spread = max(found) - min(found)
        worst = max(worst, spread)
        print(f"{entry.id:9}" + "".join(f"{ap:12.4f}" for ap in found) + f"{spread:12.4f}")
    return 0 if worst <= ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
