"""HRNet's structure and habits; its numbers are in tests/goldens."""

from __future__ import annotations

import copy

import golden_cases
import pytest
import torch

from posebench.networks import build_network, hrnet
from posebench.types.errors import UserError

CASE = "hrnet/coco__hrnet__w32_256x192_adam_lr1e-3"


def fault_shows(network=None) -> bool:
    case = golden_cases.find(CASE)
    network = network or golden_cases.loaded(case).network
    return golden_cases.difference(golden_cases.run(network, case), case) > 100 * case.tolerance


@pytest.mark.parametrize(
    ("width", "joints", "parameters"),
    # recorded elements less BatchNorm's statistics; the zoos print 28.5M and 63.6M
    [(32, 17, 28_536_113), (32, 16, 28_536_080), (48, 17, 63_595_745), (48, 16, 63_595_696)],
)
def test_parameter_counts(width, joints, parameters):
    with torch.device("meta"):
        network = build_network("hrnet", width=width, joints=joints)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == 1754


def test_the_backbone_is_the_network_without_its_head():
    torch.manual_seed(0)
    network = build_network("hrnet", width=8, joints=5).eval()
    backbone = hrnet.HRNetBackbone(8).eval()
    head = {"final_layer.weight", "final_layer.bias"}
    state = network.state_dict()
    backbone.load_state_dict({name: value for name, value in state.items() if name not in head})
    x = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        features = backbone(x)
        assert features.shape == (1, 8, 16, 24)
        assert torch.equal(network.final_layer(features), network(x))


@pytest.mark.parametrize("corners", [False, True])
def test_smooth_upsampling_in_the_exchange_shows(corners):
    network = copy.deepcopy(golden_cases.loaded(golden_cases.find(CASE)).network)
    for part in network.modules():
        if isinstance(part, torch.nn.Upsample):
            part.mode, part.align_corners = "bilinear", corners
    assert fault_shows(network)


def test_a_relu_after_the_last_halving_shows():
    network = copy.deepcopy(golden_cases.loaded(golden_cases.find(CASE)).network)
    for module in network.stage4[:2]:
        module.fuse_layers[3][0][-1].append(torch.nn.ReLU())
    assert fault_shows(network)


def test_an_exchange_without_its_relu_shows(monkeypatch):
    def unrectified(self, branches):
        changed = [branch(x) for branch, x in zip(self.branches, branches, strict=True)]
        return [
            sum(path(x) for path, x in zip(row, changed, strict=True)) for row in self.fuse_layers
        ]

    monkeypatch.setattr(hrnet.Exchange, "forward", unrectified)
    assert fault_shows()


@pytest.mark.parametrize("arguments", [{"width": 0}, {"joints": 0}])
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(UserError):
        build_network("hrnet", **arguments)
