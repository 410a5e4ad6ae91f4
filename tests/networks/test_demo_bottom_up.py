"""The small bottom-up network: what it gives, and that it can learn who is who."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save

from posebench.networks import NETWORKS, build_network
from posebench.networks.demo_bottom_up import UNIT, DemoBottomUp, coordinates
from posebench.types.errors import UserError


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return DemoBottomUp().eval()


@pytest.mark.parametrize("size", [(64, 64), (192, 256), (256, 192), (192, 320)])
def test_outputs_are_those_of_higher_hrnet(network, size):
    with torch.inference_mode():
        maps = network(torch.randn(1, 3, *size))
        other = build_network("higherhrnet", width=8).eval()(torch.randn(1, 3, *size))
    stride = NETWORKS["demo_bottom_up"].stride
    assert maps.shape == other.shape == (1, 34, size[0] // stride, size[1] // stride)
    assert ((maps[:, :17] >= 0) & (maps[:, :17] <= 1)).all()


def test_the_weights_are_small():
    assert len(save(DemoBottomUp().state_dict())) < 500_000


def test_joints_and_width_are_arguments():
    network = build_network("demo_bottom_up", width=8, joints=5).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 64, 128)).shape == (2, 10, 32, 64)
    with pytest.raises(UserError):
        build_network("demo_bottom_up", joints=0)


def test_coordinates_count_from_the_middle():
    x, y = coordinates(torch.zeros(2, 5, 3, 4), 8.0)[1]
    assert x[0].tolist() == [-12 / UNIT, -4 / UNIT, 4 / UNIT, 12 / UNIT]
    assert y[:, 0].tolist() == [-8 / UNIT, 0, 8 / UNIT]
    assert (x == x[0]).all()
    assert (y == y[:, :1]).all()


def test_an_untrained_network_sees_nobody_and_tags_by_place(network):
    with torch.inference_mode():
        maps = network(torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1)))[0]
    assert maps[:17].max() < 0.1
    tags = maps[17:]
    assert (tags[:, :, -8:].mean((1, 2)) > tags[:, :, :8].mean((1, 2)) + 1).all()
    assert (tags[:, -8:].mean((1, 2)) > tags[:, :8].mean((1, 2)) + 0.5).all()


def test_heatmaps_are_the_mean_of_both_sizes(network):
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        coarse, fine = network.logits(image)
        maps = network(image)
    assert coarse.shape == (1, 34, 16, 16)
    assert fine.shape == (1, 17, 32, 32)
    enlarged = torch.nn.functional.interpolate(coarse, scale_factor=2.0, mode="bilinear")
    expected = (enlarged[:, :17].sigmoid() + fine.sigmoid()) / 2
    torch.testing.assert_close(maps[:, :17], expected)
    torch.testing.assert_close(maps[:, 17:], enlarged[:, 17:])
