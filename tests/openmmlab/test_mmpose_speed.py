"""mmpose's models are timed like any other."""

from __future__ import annotations

import importlib.util
import os

import make_speed
import pytest

if importlib.util.find_spec("mmpose") is None:
    if os.environ.get("POSEBENCH_REQUIRE_MMPOSE"):
        pytest.fail("mmpose is not installed", pytrace=False)
    pytest.skip("needs mmpose", allow_module_level=True)

from posebench.registry import load_registry
from posebench.timing.benchmark import SpeedJob, measure_cell
from posebench.timing.measure import hindrance

CROPS = "mmpose/rtmpose_t_8xb256_420e_coco_256x192"
PERSONS = "mmpose/yoloxpose_tiny_4xb64_300e_coco_416"


@pytest.fixture
def quickly(monkeypatch):
    make_speed.shorten(monkeypatch, iterations=2)


def test_a_model_of_crops_is_timed_both_ways(quickly):
    assert hindrance(load_registry().find(CROPS)) == ""
    record = measure_cell(SpeedJob(model=CROPS, cell=make_speed.cell(batch_size=2)))
    assert record.failure is None
    assert record.timings.error < 1e-5
    assert record.timings.gmacs == pytest.approx(0.36, abs=0.02)  # its page: 0.36 GFLOPs
    assert record.timings.parameters == pytest.approx(3.34e6, rel=0.01)
    assert record.end_to_end.persons_per_second > 0


def test_a_model_that_gives_persons_is_timed_one_image_at_a_time(quickly):
    record = measure_cell(SpeedJob(model=PERSONS, cell=make_speed.cell(batch_size=1)))
    assert record.failure is None
    assert (record.timings.counted, record.end_to_end) == ("images", None)
    record = measure_cell(SpeedJob(model=PERSONS, cell=make_speed.cell(batch_size=2)))
    assert record.failure == (
        "A network that gives persons takes one image at a time, not 2. Give --batch-size 1."
    )
