"""FastPose's structure and habits; its numbers are in tests/goldens."""

from __future__ import annotations

import copy

import golden_cases
import pytest
import torch

from posebench.networks import build_network, deform, fastpose, resnet
from posebench.types.errors import UserError

PLAIN = "alphapose/coco__resnet__256x192_res50_lr1e-3_1x"
DEFORMABLE = "alphapose/coco__resnet__256x192_res50_lr1e-3_2x-dcn"
DUC = "alphapose/coco__resnet__256x192_res50_lr1e-3_1x-duc"


def fault_shows(name: str, network=None) -> bool:
    case = golden_cases.find(name)
    network = network or golden_cases.loaded(case).network
    return golden_cases.difference(golden_cases.run(network, case), case) > 100 * case.tolerance


def shapes(name: str, **arguments) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        state = build_network(name, **arguments).state_dict()
    return {name: tuple(value.shape) for name, value in state.items()}


@pytest.mark.parametrize(
    ("name", "arguments", "parameters", "entries"),
    # counted on the original code
    [
        ("fastpose", {}, 40_577_745, 348),
        ("fastpose", {"deformable": True}, 41_158_587, 374),
        ("fastpose", {"joints": 26}, 40_588_122, 348),
        ("fastpose", {"joints": 133}, 40_711_493, 348),
        ("fastpose", {"joints": 133, "head": 256}, 42_045_381, 348),
        ("fastpose", {"joints": 133, "head": 256, "deformable": True}, 42_626_223, 374),
        ("fastpose", {"joints": 133, "head": 256, "layers": 152}, 76_681_157, 960),
        ("fastpose", {"joints": 136, "head": 256}, 42_052_296, 348),
        ("fastpose", {"joints": 136, "head": 256, "deformable": True}, 42_633_138, 374),
        ("fastpose_duc", {}, 57_853_777, 378),
        ("fastpose_duc", {"layers": 152, "backbone": "se"}, 83_199_825, 990),
        ("fastpose_duc", {"layers": 152, "backbone": "se", "joints": 136}, 83_474_120, 990),
    ],
)
def test_parameter_and_entry_counts(name, arguments, parameters, entries):
    with torch.device("meta"):
        network = build_network(name, **arguments)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert len(network.state_dict()) == entries


def test_duc_of_152_layers_is_made_of_parts_with_a_record():
    # FastPose_DUC-152 has no recorded output: its backbone is FastPose-152's, its head DUC-50's
    deep = shapes("fastpose_duc", layers=152, backbone="se")
    backbone = shapes("fastpose", layers=152)
    head = shapes("fastpose_duc", layers=50)
    for part, prefixes in ((backbone, ("preact.",)), (head, ("duc", "conv_out."))):
        expected = {name: shape for name, shape in part.items() if name.startswith(prefixes)}
        assert expected == {n: shape for n, shape in deep.items() if n.startswith(prefixes)}


def test_offsets_right_before_down_show(monkeypatch):
    plain = deform.sampled_conv2d

    def exchanged(x, offset, weight, stride=1):
        n, _, h, w = offset.shape
        return plain(x, offset.view(n, 9, 2, h, w).flip(2).flatten(1, 2), weight, stride)

    monkeypatch.setattr(deform, "torchvision_op", lambda: None)
    monkeypatch.setattr(deform, "sampled_conv2d", exchanged)
    assert fault_shows(DEFORMABLE)


def test_ignoring_the_offsets_shows():
    network = copy.deepcopy(golden_cases.loaded(golden_cases.find(DEFORMABLE)).network)
    last = network.preact.layer4[2].conv2_offset
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    assert fault_shows(DEFORMABLE, network)


def test_upsampling_without_its_relu_shows():
    network = copy.deepcopy(golden_cases.loaded(golden_cases.find(PLAIN)).network)
    network.duc1.relu = torch.nn.Identity()
    assert fault_shows(PLAIN, network)


@pytest.mark.parametrize("part", ["shuffle1", "duc1.pixel_shuffle", "duc2.pixel_shuffle"])
def test_another_order_of_channels_in_a_shuffle_shows(part):
    class CellsFirst(torch.nn.Module):
        def forward(self, x):
            n, c, h, w = x.shape
            return torch.pixel_shuffle(x.view(n, 4, c // 4, h, w).transpose(1, 2).flatten(1, 2), 2)

    network = copy.deepcopy(golden_cases.loaded(golden_cases.find(PLAIN)).network)
    parent, _, last = part.rpartition(".")
    setattr(network.get_submodule(parent), last, CellsFirst())
    assert fault_shows(PLAIN, network)


def test_dropping_the_channel_attention_shows():
    network = copy.deepcopy(golden_cases.loaded(golden_cases.find(PLAIN)).network)
    network.preact.layer4[0].se = torch.nn.Identity()
    assert fault_shows(PLAIN, network)


def test_attention_after_the_shortcut_shows(monkeypatch):
    def late(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu(self.se(y + (x if self.downsample is None else self.downsample(x))))

    monkeypatch.setattr(resnet.Bottleneck, "forward", late)
    assert fault_shows(PLAIN)


def test_unshuffling_in_another_order_shows():
    class CellsFirst(torch.nn.Module):
        def forward(self, x):
            n, c, h, w = x.shape
            y = torch.pixel_unshuffle(x, 2)
            return y.view(n, c, 4, h // 2, w // 2).transpose(1, 2).flatten(1, 2)

    network = copy.deepcopy(golden_cases.loaded(golden_cases.find(DUC)).network)
    network.preact.layer4[0].conv2[0] = CellsFirst()
    assert fault_shows(DUC, network)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("fastpose", {"layers": 34}),
        ("fastpose", {"head": 64}),
        ("fastpose", {"joints": 0}),
        ("fastpose_duc", {"layers": 18}),
        ("fastpose_duc", {"backbone": "plain"}),
        ("fastpose_duc", {"joints": 0}),
    ],
)
def test_impossible_arguments_are_refused(name, arguments):
    with pytest.raises(UserError):
        build_network(name, **arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("fastpose", {"layers": 50, "deformable": False, "head": 128, "joints": 26}),
        ("fastpose", {"layers": 50, "deformable": True, "head": 256, "joints": 21}),
        ("fastpose", {"layers": 152, "deformable": False, "head": 256, "joints": 133}),
        ("fastpose", {"layers": 101, "deformable": False, "head": 128, "joints": 17}),
        ("fastpose_duc", {"layers": 50, "backbone": "shuffle", "joints": 17}),
        ("fastpose_duc", {"layers": 152, "backbone": "se", "joints": 17}),
    ],
)
def test_the_variant_is_read_from_the_file(name, arguments):
    with torch.device("meta"):
        network = build_network(name, **arguments)
    found = fastpose.infer_variant(network.state_dict())
    se = {"se": True} if name == "fastpose" else {}
    assert found == {"network": name, **arguments, **se} == network.variant


def test_a_file_without_attention_or_of_no_known_depth_is_told_apart():
    with torch.device("meta"):
        state = build_network("fastpose_duc", layers=50, backbone="se").state_dict()
    plain = {name: value for name, value in state.items() if ".se." not in name}
    assert fastpose.infer_variant(plain)["backbone"] == "plain"
    cut = {name: value for name, value in state.items() if "layer3.5." not in name}
    assert fastpose.infer_variant(cut)["layers"] is None
    assert fastpose.infer_variant({"final_layer.weight": torch.zeros(1)}) == {}
