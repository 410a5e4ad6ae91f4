"""The measuring: what is asked of the rest of posebench, and what becomes of its errors."""

from __future__ import annotations

from pathlib import Path

import make_records as make
import nightly_runs
import pytest

from posebench.launch import many
from posebench.launch import speed as on_nodes
from posebench.nightly.work import Measuring
from posebench.timing import measure
from posebench.timing.measure import Timed
from posebench.types.errors import UserError

RUN = nightly_runs.Run(
    entries=("demo/demo_s",), speed=True, limit=3, threads=2, data_root=Path("d"), quick=True
)


def cells():
    return nightly_runs.cells_of(nightly_runs.suite(runs=(RUN,)))


class Cluster:
    def nodes(self):
        return []


def test_requests_are_what_the_suite_says(monkeypatch, tmp_path):
    asked = []

    def evaluate_all(requests, launcher, folder, **how):
        asked.extend(requests)
        assert (launcher, folder, how["shares"]) == ("here", tmp_path, 3)
        return [make.evaluation(), "It is gone."]

    monkeypatch.setattr(many, "evaluate_all", evaluate_all)
    cell = cells()[0]
    found = list(Measuring("here", shares=3).evaluate([cell, cell], tmp_path))
    assert found == [(cell, make.evaluation()), (cell, "It is gone.")]
    request = asked[0]
    assert (request.model, request.dataset, request.limit) == ("demo/demo_s", "synthetic", 3)
    assert (request.threads, request.data_root, request.checkpoint) == (2, Path("d"), None)


@pytest.mark.parametrize(
    ("error", "words"),
    [(UserError("No CUDA.", "Use cpu."), "No CUDA. Use cpu."), (OSError("odd"), "OSError: odd")],
)
def test_what_cannot_be_timed_is_told(monkeypatch, error, words):
    def measure_speeds(*_, **__):
        raise error

    monkeypatch.setattr(measure, "measure_speeds", measure_speeds)
    assert Measuring("here").time(cells()[1]) == words


def test_a_cluster_times_on_its_nodes(monkeypatch):
    def measure_on_ray(launcher, order):
        asked = order.request
        assert (asked.models, asked.quick, asked.threads) == (("demo/demo_s",), True, 2)
        assert order.again
        yield Timed(make.timing(), None)

    def measure_speeds(*_, **__):
        raise AssertionError("timed here")

    monkeypatch.setattr(on_nodes, "measure_on_ray", measure_on_ray)
    monkeypatch.setattr(measure, "measure_speeds", measure_speeds)
    assert Measuring(Cluster()).time(cells()[1]) == make.timing()
