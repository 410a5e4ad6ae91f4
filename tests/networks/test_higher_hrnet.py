"""HigherHRNet's heads; its numbers are in tests/goldens."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from posebench.networks import build_network, higher_hrnet
from posebench.verification import goldens
from posebench.verification import verify as verification

PLAIN_INTERPOLATE = F.interpolate
NAME = "paddle/higherhrnet_hrnet_w32_512"


@pytest.fixture(scope="module")
def model():
    """The model as users load it; do not change it, copy it."""
    from posebench.registry import load_registry

    entry = load_registry().find("higherhrnet_hrnet_w32_512")
    loaded, _ = verification.load_filled(entry, goldens.load_golden(NAME).gain)
    return loaded.network


def differences(network) -> list[float]:
    golden = goldens.load_golden(NAME)
    found = verification.all_outputs(network, golden.input, several=True)
    return [r.difference(o) for r, o in zip(golden.outputs, found, strict=True)]


def test_heads_equal_the_recorded_ones(model):
    assert max(differences(model)) < 1e-5


def test_forward_gives_mean_heatmaps_then_tags(model):
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        *_, heatmaps, tags = model.all_heatmaps(image)
        both = model(image)
    assert both.shape == (1, 34, 32, 48)
    assert torch.equal(both[:, :17], heatmaps)
    assert torch.equal(both[:, 17:], tags)


@pytest.mark.parametrize(
    "fault", [{"align_corners": True}, {"mode": "nearest", "align_corners": None}]
)
def test_another_enlargement_shows(model, monkeypatch, fault):
    def other(x, *rest, **options):
        # the backbone's own enlargements give their arguments by position
        return PLAIN_INTERPOLATE(x, *rest, **(options | fault if not rest else options))

    monkeypatch.setattr(higher_hrnet.F, "interpolate", other)
    found = differences(model)
    assert max(found[:2]) < 1e-5
    assert min(found[2:]) > 1e-2


def test_smooth_upsampling_in_the_backbone_shows(model):
    network = copy.deepcopy(model)
    for part in network.modules():
        if isinstance(part, torch.nn.Upsample):
            part.mode = "bilinear"
    assert min(differences(network)) > 1e-3


def test_features_and_coarse_maps_in_the_other_order_show(model):
    network = copy.deepcopy(model)
    deconv = network.hrhrnet_head.deconv[0]
    with torch.no_grad():
        deconv.weight.copy_(deconv.weight.roll(34, dims=0))
    assert differences(network)[1] > 1e-2


def test_scale_layers_serve_training_alone():
    torch.manual_seed(0)
    plain = build_network("higherhrnet", width=8, joints=3).eval()
    scaled = build_network("higherhrnet", width=8, joints=3, scale_layers=True).eval()
    extra = scaled.state_dict().keys() - plain.state_dict().keys()
    assert plain.training_only == ()
    assert {".".join(name.split(".")[:2]) for name in extra} == set(scaled.training_only)
    assert scaled.hrhrnet_head.scalelayer0[3].weight.shape == (3, 1, 9, 9)
    scaled.load_state_dict(plain.state_dict(), strict=False)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = scaled(image)
        for name in scaled.training_only:
            for parameter in scaled.get_submodule(name).parameters():
                parameter.fill_(float("nan"))
        assert torch.equal(scaled(image), before)
        assert torch.equal(plain(image), before)


def test_parameter_counts():
    # the recorded manifest's learned numbers; SWAHR adds a 1x1, a BatchNorm and a 9x9 twice
    counts = [
        sum(p.numel() for p in build_network("higherhrnet", scale_layers=scales).parameters())
        for scales in (False, True)
    ]
    assert counts[0] == 28_645_331
    assert counts[1] - counts[0] == 2 * ((32 * 17 + 17) + 2 * 17 + (17 * 81 + 17))
