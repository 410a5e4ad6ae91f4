"""Simple Baseline's structure; its numbers are in tests/goldens."""

from __future__ import annotations

import copy

import golden_cases
import pytest
import torch

from posebench.networks import build_network, resnet
from posebench.types.errors import UserError

CASE = "hrnet/coco__resnet__res50_256x192_d256x3_adam_lr1e-3"


def fault_shows(network=None) -> bool:
    case = golden_cases.find(CASE)
    network = network or golden_cases.loaded(case).network
    return golden_cases.difference(golden_cases.run(network, case), case) > 100 * case.tolerance


@pytest.mark.parametrize(
    ("arguments", "parameters", "entries"),
    # counted on the original code, or on its recorded manifest; the zoo prints 34.0M, 53.0M, 68.6M
    [
        ({"layers": 50}, 33_999_697, 338),
        ({"layers": 101}, 52_991_825, 644),
        ({"layers": 152}, 68_635_473, 950),
    ],
)
@pytest.mark.parametrize("name", ["resnet_pose", "simple_pose"])
def test_parameter_and_entry_counts(name, arguments, parameters, entries):
    with torch.device("meta"):
        network = build_network(name, **arguments)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == entries


def test_both_names_are_one_network():
    with torch.device("meta"):
        flat = build_network("resnet_pose", layers=50).state_dict()
        nested = build_network("simple_pose", layers=50).state_dict()
    bare = {name.removeprefix("preact."): value.shape for name, value in nested.items()}
    assert bare == {name: value.shape for name, value in flat.items()}
    assert {name for name in nested if name.startswith("preact.")} == {
        f"preact.{name}" for name in flat if not name.startswith(("deconv_layers", "final_layer"))
    }


def test_striding_in_the_first_convolution_shows():
    network = copy.deepcopy(golden_cases.loaded(golden_cases.find(CASE)).network)
    block = network.layer4[0]
    block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    assert fault_shows(network)


def test_adding_the_shortcut_after_the_relu_shows(monkeypatch):
    def late(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.bn3(self.conv3(y))) + shortcut

    monkeypatch.setattr(resnet.Bottleneck, "forward", late)
    assert fault_shows()


def test_flipped_kernels_in_the_deconvolutions_show():
    network = copy.deepcopy(golden_cases.loaded(golden_cases.find(CASE)).network)
    weight = network.deconv_layers[6].weight
    weight.data = weight.data.flip(2, 3)
    assert fault_shows(network)


@pytest.mark.parametrize("arguments", [{"layers": 18}, {"joints": 0}])
@pytest.mark.parametrize("name", ["resnet_pose", "simple_pose"])
def test_impossible_arguments_are_refused(name, arguments):
    with pytest.raises(UserError):
        build_network(name, **arguments)
