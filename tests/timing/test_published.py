"""Published speeds in persons/s, with their hardware and what was in the clock."""

from __future__ import annotations

import pytest

from posebench.registry import load_registry
from posebench.timing.published import published_speeds

REGISTRY = load_registry()


@pytest.mark.parametrize(
    ("model", "rates", "hardware", "scope"),
    [
        # iterations of 64 persons
        ("alphapose/fast_res50_coco_256x192", [3.54 * 64], "TITAN Xp", "end to end"),
        ("alphapose/fast_res50_heatmap_halpe_136_256x192", [4.37 * 64], "3090", "end to end"),
        # frames of one person
        ("lpn/lpn_50_coco_256x192", [17.0], "i7-8700K", "flip test on"),
        # milliseconds for one person, in 32 and in 16 bits
        ("paddledetection/tinypose_256x192", [1000 / 14.07, 1000 / 8.33], "865", "one person"),
        ("gluoncv/simple_pose_resnet18_v1b_256x192", [], "", ""),
    ],
)
def test_every_unit_becomes_persons_a_second(model, rates, hardware, scope):
    found = published_speeds(REGISTRY.find(model))
    assert [speed.persons_per_second for speed in found] == pytest.approx(rates)
    for speed in found:
        assert hardware in speed.words
        assert scope in speed.words
        assert speed.raw in speed.words


def test_every_published_speed_of_the_registry_has_a_rate():
    claims = [c for e in REGISTRY.entries for c in e.claims if c.metric == "speed"]
    speeds = [s for e in REGISTRY.entries for s in published_speeds(e)]
    assert len(speeds) == len(claims) == 34
    assert all(speed.hardware and speed.scope for speed in speeds)
