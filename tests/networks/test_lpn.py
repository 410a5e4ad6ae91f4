"""LPN's structure; its numbers are in tests/goldens."""

from __future__ import annotations

import copy

import golden_cases
import pytest
import torch

from posebench.networks import build_network
from posebench.networks.lpn import ContextBlock


@pytest.mark.parametrize(
    ("layers", "parameters"),
    # counted on the original code
    [([3, 4, 6, 3], 2_911_153), ([3, 4, 23, 3], 5_353_458), ([3, 8, 36, 3], 7_377_459)],
)
def test_parameter_counts(layers, parameters):
    network = build_network("lpn", layers=layers, joints=17)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_lpn_152_has_the_names_of_lpn_50_in_more_blocks():
    # LPN-152 has no recorded output: its blocks are LPN-50's, only more of them
    def shapes(layers):
        state = build_network("lpn", layers=layers, joints=17).state_dict()
        return {name: tuple(value.shape) for name, value in state.items()}

    small, large = shapes([3, 4, 6, 3]), shapes([3, 8, 36, 3])
    assert len(small) == 466
    assert small.items() <= large.items()
    blocks = {".".join(name.split(".")[:2]) for name in large.keys() - small.keys()}
    assert blocks == {f"layer2.{i}" for i in range(4, 8)} | {f"layer3.{i}" for i in range(6, 36)}
    block = {n.removeprefix("layer3.5."): s for n, s in small.items() if n.startswith("layer3.5.")}
    for index in range(6, 36):
        prefix = f"layer3.{index}."
        found = {n.removeprefix(prefix): s for n, s in large.items() if n.startswith(prefix)}
        assert found == block


def test_context_is_a_weighted_mean_over_cells():
    torch.manual_seed(0)
    block = ContextBlock(32).eval()
    x = torch.randn(2, 32, 5, 3)
    weights = block.conv_mask(x).reshape(2, -1).softmax(1)
    mean = (x.reshape(2, 32, -1) * weights[:, None]).sum(2)
    expected = x + block.channel_add_conv(mean[:, :, None, None])
    assert torch.allclose(block(x), expected, atol=1e-6)


@pytest.mark.parametrize("width", [(64, 16), (256, 16), (512, 32)])
def test_context_hidden_width(width):
    channels, hidden = width
    assert ContextBlock(channels).channel_add_conv[0].out_channels == hidden


def test_dropping_the_attention_shows():
    case = golden_cases.find("lpn50_256x192_gd256x2_gc")
    network = copy.deepcopy(golden_cases.loaded(case).network)
    network.layer3[5].att = torch.nn.Identity()
    assert golden_cases.difference(golden_cases.run(network, case), case) > 100 * case.tolerance
