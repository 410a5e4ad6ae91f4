"""The names that zoos publish, from the names of our networks."""

from __future__ import annotations

import json

import pytest
import torch

from posebench.adapters.naming import paddle
from posebench.adapters.published import published_names
from posebench.networks import build_network


def tensors(module):
    return {n: v for n, v in module.state_dict().items() if not n.endswith("num_batches_tracked")}


@pytest.fixture(scope="module")
def hrnet():
    return build_network("hrnet", width=4, joints=3)


def test_every_layer_of_hrnet_has_a_name_of_its_own(hrnet):
    names = published_names("paddle", hrnet)
    assert names.keys() == tensors(hrnet).keys()
    assert len(set(names.values())) == len(names)
    assert all(name.startswith(("backbone.", "final_conv.")) for name in names.values())


@pytest.mark.parametrize(
    ("own", "published"),
    [
        ("conv1.weight", "conv_layer1_1.conv.weight"),
        ("bn2.running_var", "conv_layer1_2.norm._variance"),
        ("layer1.0.downsample.1.bias", "la1.block_layer2_1.conv_down.norm.bias"),
        ("layer1.3.bn3.running_mean", "la1.block_layer2_4.conv3.norm._mean"),
        ("transition1.0.0.weight", "tr1.transition_tr1_layer_1.conv.weight"),
        ("transition3.3.0.1.weight", "tr3.transition_tr3_layer_4.norm.weight"),
        (
            "stage3.2.branches.1.3.conv2.weight",
            "st3.stage_st3_3.branches_func.bb_st3_3_branch_layer_2_4.conv2.conv.weight",
        ),
        (
            "stage4.0.fuse_layers.0.3.1.bias",
            "st4.stage_st4_1.fuse_func.residual_st4_1_layer_1_4.norm.bias",
        ),
        (
            "stage4.1.fuse_layers.3.0.2.0.weight",
            "st4.stage_st4_2.fuse_func.residual_st4_2_layer_4_1_3.conv.weight",
        ),
    ],
)
def test_paddles_names_of_hrnet(hrnet, own, published):
    assert published_names("paddle", hrnet)[own] == f"backbone.{published}"


def test_the_adapter_takes_them_back(hrnet):
    names = published_names("paddle", hrnet)
    state = {names[own]: value for own, value in tensors(hrnet).items()}
    found = paddle(state | {"backbone.more.weight": torch.ones(1)}, hrnet)
    assert found.keys() == names.keys() | {"backbone.more.weight"}
    assert all(torch.equal(found[own], value) for own, value in tensors(hrnet).items())


@pytest.mark.parametrize(
    ("name", "model"),
    [("hrnet_w32_256x192", "hrnet"), ("higherhrnet_hrnet_w32_512", "higherhrnet")],
)
def test_names_and_shapes_are_the_manifests(name, model, shared):
    manifest = json.loads((shared / "goldens" / "paddle" / name / "manifest.json").read_text())
    with torch.device("meta"):
        network = build_network(model, width=32, joints=17)
    names = published_names("paddle", network)
    shapes = {names[own]: list(value.shape) for own, value in tensors(network).items()}
    assert shapes == {name: shape for name, shape, *_ in manifest["entries"]}


def test_gluon_names_only_norms_gamma_and_beta():
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))
    assert list(published_names("gluon", module).values()) == [
        "0.weight",
        "0.bias",
        "1.gamma",
        "1.beta",
        "1.running_mean",
        "1.running_var",
    ]


def test_native_names_are_kept():
    module = torch.nn.BatchNorm2d(2)
    assert published_names("native", module) == {name: name for name in module.state_dict()}
