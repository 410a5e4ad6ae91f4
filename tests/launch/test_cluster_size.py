"""The model that sizes clusters, on rows whose answer is known."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import make_records
import make_speed
import pytest

from posebench.records.store import save
from posebench.registry import load_registry
from posebench.types.errors import UserError

FILE = Path(__file__).resolve().parents[2] / "tools" / "cluster_size.py"
SPEC = importlib.util.spec_from_file_location("cluster_size", FILE)
tool = importlib.util.module_from_spec(SPEC)
sys.modules["cluster_size"] = tool  # dataclasses look their module up
SPEC.loader.exec_module(tool)


def row(key: str = "a", persons: int = 3600, rate: float = 10.0, weights: float = 100.0):
    return tool.Row(key, persons, rate, tool.MEASURED, weights)


def _light_lpn(entry) -> float:
    return 1.0 if entry.zoo == "lpn" else 1e9


def cluster(gpus: int, **more):
    return tool.Cluster(gpus, **({"share": 60.0, "fixed": 0.0, "joining": 0.0} | more))


def test_free_places_take_the_next_piece():
    pieces = [4, 2, 2, 6]
    assert tool.makespan(pieces, 1) == 14
    assert tool.makespan(pieces, 2) == 10  # 4, then 6 beside 2 + 2
    assert tool.makespan(pieces, 9) == 6


def test_a_perfect_cluster_divides_the_time():
    rows = [row(), row("b")]
    assert tool.size(rows, cluster(1))["hours"] == pytest.approx(0.2)
    eight = tool.size(rows, cluster(4))
    assert eight["hours"] == pytest.approx(0.05)
    assert eight["gpu_hours"] == pytest.approx(0.2)
    assert eight["busy"] == pytest.approx(1.0)


def test_what_is_not_persons_makes_devices_idle():
    rows = [row()]  # six shares of a minute
    opened = tool.size(rows, cluster(1, fixed=60.0))
    assert (opened["hours"], opened["busy"]) == (pytest.approx(0.2), pytest.approx(0.5))
    too_many = tool.size(rows, cluster(60, joining=60.0))
    assert too_many["hours"] == pytest.approx(2 / 60)
    assert too_many["busy"] == pytest.approx(6 / 120)


def test_each_node_that_works_on_a_row_fetches_its_weights():
    one = tool.size([row()], cluster(8))
    assert one["from_outside"] == 100 + tool.DATASET_BYTES
    assert one["shared"] == 2 * 16 * 17 * 3600
    many = tool.size([row()], cluster(64))
    assert many["from_outside"] == 6 * 100 + 8 * tool.DATASET_BYTES  # six shares on eight nodes


def test_rates_are_measured_else_published_else_estimated(tmp_path):
    fields = {
        "entry": load_registry().find("lpn/lpn_50_coco_256x192"),
        "cell": make_speed.cell(hardware="NVIDIA GeForce RTX 3090"),
        "timings": make_speed.timings(persons_per_second=500.0),
        "end_to_end": make_speed.timings(scope="end to end", persons_per_second=400.0),
    }
    save(make_records.timing().model_copy(update=fields), tmp_path)
    rows = tool.rows_of(load_registry(), "RTX 3090", tmp_path, lambda entry: 1e9)
    by_key = {found.key: found for found in rows}
    assert not any(key.startswith("demo/") for key in by_key)
    lpn = by_key["lpn/lpn_50_coco_256x192"]
    assert (lpn.rate, lpn.source) == (400.0, tool.MEASURED)
    halpe = by_key["alphapose/fast_res50_halpe_26_256x192"]
    assert (halpe.rate, halpe.source) == (pytest.approx(13.12 * 64), tool.PUBLISHED)
    assert by_key["lpn/lpn_101_coco_256x192"].source == tool.FROM_MACS
    light = tool.rows_of(load_registry(), "RTX 3090", tmp_path, _light_lpn)
    (small,) = (found for found in light if found.key == "lpn/lpn_101_coco_256x192")
    assert small.rate == max(found.rate for found in light if found.source == tool.PUBLISHED)
    assert "1 measured" in tool.summary(rows)
    sizes = [tool.size(rows, cluster(gpus)) for gpus in (1, 8)]
    head, _, *lines = tool.table(sizes, 0.5).splitlines()
    assert "at 0.50 an hour" in head
    assert [line.count("|") for line in lines] == [head.count("|")] * 2


def test_an_accelerator_that_nobody_knows_is_refused():
    with pytest.raises(UserError, match="No speed on 'abacus'"):
        tool.rows_of(load_registry(), "abacus", None, lambda entry: 1e9)
