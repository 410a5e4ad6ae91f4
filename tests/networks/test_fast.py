"""Folding: which BatchNorms go, which must stay, and that the outputs stay."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from posebench.networks import build_network
from posebench.networks.fast import folded


def seeded(network: nn.Module) -> nn.Module:
    """Statistics and factors that a wrong fold cannot miss."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 2, generator=generator)
                nn.init.uniform_(module.bias, -0.5, 0.5, generator=generator)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def agrees(network: nn.Module, other: nn.Module, size: tuple[int, int] = (16, 16)) -> bool:
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected, found = network(x), other(x)
    return bool((found - expected).abs().max() <= 1e-5 * expected.abs().max())


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(3, 8, 3, bias=False),
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.Conv2d(3, 9, 3, groups=3),
        nn.ConvTranspose2d(3, 8, 4, stride=2, padding=1),
        nn.ConvTranspose2d(3, 9, 4, stride=2, groups=3, bias=False),
    ],
    ids=["no bias", "bias", "grouped", "transposed", "transposed, grouped"],
)
@pytest.mark.parametrize("affine", [True, False])
def test_every_kind_of_convolution_takes_its_norm_in(convolution, affine):
    norm = nn.BatchNorm2d(convolution.out_channels, eps=1e-3, affine=affine)
    network = seeded(nn.Sequential(convolution, norm))
    fast, count = folded(network, (16, 16))
    assert (count, norms(fast), norms(network)) == (1, 0, 1)
    assert agrees(network, fast)


def test_transposed_groups_of_several_inputs_and_outputs():
    first = nn.Conv2d(3, 8, 1)
    grouped = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1, groups=2)
    network = seeded(nn.Sequential(first, grouped, nn.BatchNorm2d(4)))
    fast, count = folded(network, (16, 16))
    assert count == 1
    assert agrees(network, fast)


@pytest.mark.parametrize(
    ("name", "arguments", "size", "all_go"),
    [
        ("lpn", {"layers": [1, 1, 1, 1]}, (64, 48), True),
        # its residual units normalise sums, which no convolution wrote
        ("hourglass", {"stacks": 1, "features": 16, "joints": 16}, (64, 64), False),
        (
            "fastpose",
            {"layers": 50, "deformable": True, "head": 128, "joints": 17},
            (64, 64),
            False,
        ),
    ],
)
def test_real_networks_keep_their_outputs(name, arguments, size, all_go):
    network = seeded(build_network(name, **arguments))
    fast, count = folded(network, size)
    assert count > 0
    assert norms(fast) == norms(network) - count
    assert (norms(fast) == 0) == all_go
    assert agrees(network, fast, size)


class TwoReaders(nn.Module):
    """One convolution before two norms, one norm after two convolutions, one after a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(3, 4, 1)
        self.left, self.right = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.one, self.other = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.both = nn.BatchNorm2d(4)
        self.changed, self.after = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        y = self.shared(x)
        changed = self.changed(x)
        changed += 1
        return (
            self.left(y) * self.right(y)
            + self.both(self.one(x)) * self.both(self.other(x))
            + self.after(changed)
        )


def test_what_is_not_one_convolution_before_one_norm_stays():
    network = seeded(TwoReaders())
    fast, count = folded(network, (8, 8))
    assert count == 0
    assert agrees(network, fast)


def test_folding_works_inside_inference_mode():
    network = seeded(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    with torch.inference_mode():
        fast, count = folded(network, (8, 8))
    assert count == 1
    assert agrees(network, fast)


def test_the_given_network_is_left_alone():
    network = seeded(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded(network, (8, 8))
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not network[0]._forward_hooks
