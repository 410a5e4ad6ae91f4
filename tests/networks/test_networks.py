"""Networks are found by name."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from posebench.networks import NETWORKS, build_network
from posebench.types.errors import UserError


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UserError, match="Unknown network 'lite_hrnt'") as caught:
        build_network("lite_hrnt")
    assert caught.value.hint == "Did you mean lite_hrnet?"


def test_unknown_name_without_a_neighbour_lists_all():
    with pytest.raises(UserError) as caught:
        build_network("zzz")
    assert all(name in caught.value.hint for name in NETWORKS)


def test_wrong_arguments_name_the_right_ones():
    with pytest.raises(UserError, match="'lpn' cannot be built") as caught:
        build_network("lpn", depth=50)
    assert "layers" in caught.value.hint
    assert "joints" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("lpn", {"layers": [1, 1, 1], "joints": 17}),
        ("lpn", {"layers": [3, 4, 0, 3], "joints": 17}),
        ("lpn", {"layers": [1, 1, 1, 1], "joints": 0}),
        ("lite_hrnet", {"variant": "lite_19"}),
        ("lite_hrnet", {"variant": "lite_18", "width": 41}),
        ("lite_hrnet", {"variant": "lite_18", "width": 6}),
        ("lite_hrnet", {"variant": "lite_18", "joints": 0}),
    ],
)
def test_impossible_arguments_are_refused(name, arguments):
    with pytest.raises(UserError):
        build_network(name, **arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("lpn", {"layers": [1, 1, 1, 1], "joints": 5}),
        ("lite_hrnet", {"variant": "wider_naive", "width": 8, "joints": 5}),
    ],
)
def test_stride_is_what_the_table_says(name, arguments):
    network = build_network(name, **arguments).eval()
    with torch.inference_mode():
        heatmaps = network(torch.zeros(2, 3, 64, 96))
    assert heatmaps.shape == (2, 5, 64 // NETWORKS[name].stride, 96 // NETWORKS[name].stride)


def test_the_table_costs_no_torch():
    code = "import sys, posebench.networks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
