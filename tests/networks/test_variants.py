"""A file of another member of the family is recognised and named."""

from __future__ import annotations

from pathlib import Path

import golden_cases
import pytest
import torch

from posebench.adapters import load_weights
from posebench.networks import NETWORKS, build_network
from posebench.networks.variants import check_variant
from posebench.types.errors import UserError

SMALL = {
    "hourglass": {"stacks": 2, "features": 8, "blocks": 2, "joints": 3},
    "hrnet": {"width": 4, "joints": 3},
    "resnet_pose": {"layers": 101, "joints": 3},
    "simple_pose": {"layers": 152, "joints": 3},
    "fastpose": {"layers": 50, "deformable": True, "head": 256, "joints": 3},
    "fastpose_duc": {"layers": 50, "backbone": "shuffle", "joints": 3},
}
EACH = pytest.mark.parametrize("name", SMALL)


def built(name: str, **changes):
    with torch.device("meta"):
        return build_network(name, **SMALL[name] | changes)


@EACH
def test_a_network_recognises_its_own_file(name):
    network = built(name)
    assert network.infer_variant(network.state_dict()) == network.variant
    assert network.variant.items() >= {"network": name, **SMALL[name]}.items()
    check_variant(network, network.state_dict(), source="f.pth")


@EACH
def test_another_number_of_joints_is_named(name):
    with pytest.raises(UserError, match=r"f\.pth holds another .*: joints 4 \(asked: 3\)\."):
        check_variant(built(name), built(name, joints=4).state_dict(), source="f.pth")


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("hourglass", {"features": 12}, r"features 12 \(asked: 8\)"),
        ("hourglass", {"stacks": 3}, r"stacks 3 \(asked: 2\)"),
        ("hourglass", {"blocks": 1}, r"blocks 1 \(asked: 2\)"),
        ("hrnet", {"width": 6}, r"width 6 \(asked: 4\)"),
        ("resnet_pose", {"layers": 50}, r"layers 50 \(asked: 101\)"),
        ("fastpose", {"head": 128}, r"head 128 \(asked: 256\)"),
        ("fastpose", {"deformable": False}, r"deformable False \(asked: True\)"),
        ("fastpose_duc", {"backbone": "se"}, r"backbone se \(asked: shuffle\)"),
    ],
)
def test_each_fact_is_named(name, change, words):
    with pytest.raises(UserError, match=words):
        check_variant(built(name), built(name, **change).state_dict(), source="f.pth")


def test_duc_in_name_only_is_told():
    # a row that says FastPose_DUC, and the plain FastPose that the zoo published for it
    with pytest.raises(UserError, match=r"network fastpose \(asked: fastpose_duc\)"):
        check_variant(built("fastpose_duc"), built("fastpose").state_dict(), source="f.pth")


@EACH
def test_damaged_shapes_and_foreign_files_do_not_crash(name):
    network = built(name)
    flat = {key: torch.zeros(()) for key in network.state_dict()}
    with pytest.raises(UserError, match=r"joints None \(asked: 3\)"):
        check_variant(network, flat, source="f.pth")
    assert network.infer_variant({"backbone.conv1.weight": torch.zeros(3)}) == {}
    # not for this check to refuse: strict loading lists the names
    check_variant(network, {"backbone.conv1.weight": torch.zeros(3)}, source="f.pth")


def test_networks_that_cannot_tell_pass():
    network = build_network("lpn", layers=[1, 1, 1, 1])
    check_variant(network, {}, source="f.pth")


def test_loading_reports_the_variant(tmp_path: Path):
    case = golden_cases.find("coco__resnet__256x192_res50_lr1e-3_1x")
    network = build_network("fastpose", joints=26)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"joints 26 \(asked: 17\)"):
        load_weights(golden_cases.entry(case), tmp_path / "weights.pth")


@EACH
def test_stride_is_what_the_table_says(name):
    network = build_network(name, **SMALL[name]).eval()
    with torch.inference_mode():
        heatmaps = network(torch.zeros(1, 3, 64, 128))
    assert heatmaps.shape == (1, 3, 64 // NETWORKS[name].stride, 128 // NETWORKS[name].stride)
    assert name in NETWORKS
