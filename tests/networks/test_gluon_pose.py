"""GluonCV's networks: structure, and the habits that their recorded outputs must notice."""

from __future__ import annotations

import copy

import golden_cases
import pytest
import torch
from torch import nn

from posebench.networks import build_network, gluon_mobile_pose, mobilenets
from posebench.networks.fastpose import DenseUpsampling
from posebench.networks.gluon_resnet import read_resnet, resnet_layers
from posebench.networks.variants import check_variant
from posebench.types.errors import UserError

V1D = "simple_pose_resnet50_v1d"
SMALL = "mobile_pose_mobilenetv3_small"


def shapes(name: str, **arguments) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        state = build_network(name, **arguments).state_dict()
    return {name: tuple(value.shape) for name, value in state.items()}


def fault_shows(name: str, change) -> bool:
    """Whether the recorded output notices what ``change`` does to the network."""
    case = golden_cases.find(name)
    network = copy.deepcopy(golden_cases.loaded(case).network)
    change(network)
    return golden_cases.difference(golden_cases.run(network, case), case) > 100 * case.tolerance


def parts(network: nn.Module, kind: type) -> list[nn.Module]:
    found = [part for part in network.modules() if isinstance(part, kind)]
    assert found
    return found


class TestFaults:
    def test_strided_shortcut_without_averaging(self):
        def pick_one_cell(network):
            for pool in parts(network, nn.AvgPool2d):
                pool.kernel_size = 1

        assert fault_shows(V1D, pick_one_cell)

    def test_maximum_for_average(self):
        def maximum(network):
            for part in parts(network, nn.Sequential):
                if isinstance(part[0], nn.AvgPool2d):
                    part[0] = nn.MaxPool2d(part[0].stride)

        assert fault_shows(V1D, maximum)

    def test_columns_before_rows_in_the_shuffle(self):
        def reorder(network):
            for part in parts(network, DenseUpsampling):
                part.pixel_shuffle = Reordered()

        assert fault_shows("mobile_pose_resnet18_v1b", reorder)

    def test_shuffle_before_the_batch_norm(self):
        # each BatchNorm of 4c channels becomes one of c: those of every fourth channel
        def shuffle_first(network):
            for part in parts(network, DenseUpsampling):
                part.forward = EarlyShuffle(part).forward

        assert fault_shows("mobile_pose_resnet18_v1b", shuffle_first)

    def test_relu_in_the_place_of_relu6(self):
        def unbounded(network):
            for part in parts(network, nn.Sequential):
                for name, child in part.named_children():
                    if isinstance(child, nn.ReLU6):
                        part.add_module(name, nn.ReLU())

        case = golden_cases.find("mobile_pose_mobilenetv2_1.0")
        network = copy.deepcopy(golden_cases.loaded(case).network)
        unbounded(network)
        assert golden_cases.difference(golden_cases.run(network, case), case) > case.tolerance

    def test_sigmoid_for_hard_sigmoid(self, monkeypatch):
        monkeypatch.setattr(mobilenets.F, "hardsigmoid", torch.sigmoid)
        assert fault_shows(SMALL, lambda network: None)

    def test_relu_for_hard_swish(self):
        def relu(network):
            for part in parts(network, mobilenets.ConvNorm):
                if isinstance(part.activation, nn.Hardswish):
                    part.activation = nn.ReLU()

        assert fault_shows(SMALL, relu)

    def test_no_shortcut(self):
        def cut(network):
            for part in parts(network, mobilenets.LinearBottleneck):
                part.shortcut = False

        assert fault_shows("mobile_pose_mobilenetv2_1.0", cut)

    def test_smaller_padding(self):
        def ceil(network):
            for pool in parts(network, nn.MaxPool2d):
                pool.padding, pool.ceil_mode = 0, True

        assert fault_shows("simple_pose_resnet18_v1b", ceil)


class Reordered(nn.Module):
    """A pixel shuffle whose channels count columns before rows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        x = x.view(n, c // 4, 2, 2, h, w).transpose(2, 3).reshape(n, c, h, w)
        return nn.functional.pixel_shuffle(x, 2)


class EarlyShuffle:
    """A dense upsampling that shuffles first and normalises what comes out."""

    def __init__(self, part: DenseUpsampling) -> None:
        self.part = part

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        norm = self.part.bn
        y = nn.functional.pixel_shuffle(self.part.conv(x), 2)
        values = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        return torch.relu(nn.functional.batch_norm(y, *(v[::4] for v in values), eps=norm.eps))


class TestModelsWithoutARecord:
    """Their parts are recorded ones, only more of them."""

    @pytest.mark.parametrize("layers", [101, 152])
    def test_deep_v1d_is_resnet_50s(self, layers):
        small = shapes("gluon_simple_pose", layers=50, stem="v1d")
        large = shapes("gluon_simple_pose", layers=layers, stem="v1d")
        assert small.items() <= large.items()
        blocks = {tuple(name.split(".")[:3]) for name in large}
        depth = [sum(block[:2] == ("resnet", stage) for block in blocks) for stage in "4567"]
        assert depth == {101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}[layers]
        for name in large.keys() - small.keys():
            stage, _, inner = name.removeprefix("resnet.").partition(".")
            assert large[name] == small[f"resnet.{stage}.1.{inner.partition('.')[2]}"]

    def test_mobilenet_v3_large(self):
        large = shapes("mobile_pose", backbone="mobilenetv3_large")
        assert large["features.0.0.weight"] == (16, 3, 3, 3)
        assert large["features.0.18.weight"] == (960, 160, 1, 1)
        assert large["upsampling.0.weight"] == (256, 960, 1, 1)
        # the first unit keeps its width, so that it has nothing to widen
        assert not any(name.startswith("features.0.3.expand") for name in large)
        squeezes = {n: s[0] for n, s in large.items() if n.endswith("se.conv1.weight")}
        hidden = (24, 32, 32, 120, 168, 168, 240, 240)
        units = (6, 7, 8, 13, 14, 15, 16, 17)
        assert squeezes == {
            f"features.0.{unit}.se.conv1.weight": width
            for unit, width in zip(units, hidden, strict=True)
        }

    def test_parameter_counts(self):
        counts = {}
        for backbone in gluon_mobile_pose.BACKBONES:
            with torch.device("meta"):
                network = build_network("mobile_pose", backbone=backbone)
            counts[backbone] = sum(p.numel() for p in network.parameters())
        # all but the large one follow from the recorded manifests
        assert counts == COUNTS


COUNTS = {
    "resnet18_v1b": 12_858_208,
    "resnet50_v1b": 25_582_944,
    "mobilenet1.0": 5_019_744,
    "mobilenetv2_1.0": 4_102_176,
    # torchvision's features of the same network have 2,971,952, the upsampling 1,796,384
    "mobilenetv3_large": 4_768_336,
    "mobilenetv3_small": 2_625_088,
}


def test_v1d_averages_also_cells_at_an_odd_border():
    parts, _ = resnet_layers(50, "v1d")
    pool = parts[5][0].downsample[0]
    column = torch.arange(5.0).view(1, 1, 5, 1).expand(1, 1, 5, 2)
    assert pool(column).flatten().tolist() == [0.5, 2.5, 4.0]


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("gluon_simple_pose", {"layers": 34, "stem": "v1b"}, "cannot have layers 34"),
        ("gluon_simple_pose", {"layers": 18, "stem": "v1d"}, "no Gluon ResNet of 18 layers"),
        ("gluon_simple_pose", {"layers": 50, "stem": "v1c"}, "cannot have stem 'v1c'"),
        ("gluon_simple_pose", {"layers": 18, "stem": "v1b", "joints": 0}, "cannot have joints 0"),
        ("mobile_pose", {"backbone": "mobilenet0.5"}, "cannot have backbone 'mobilenet0.5'"),
        ("mobile_pose", {"backbone": "mobilenet1.0", "joints": 0}, "cannot have joints 0"),
    ],
)
def test_impossible_arguments(name, arguments, said):
    with pytest.raises(UserError) as caught:
        build_network(name, **arguments)
    assert said in caught.value.message


EVERY = [
    *(("gluon_simple_pose", {"layers": n, "stem": "v1b"}) for n in (18, 50, 101, 152)),
    *(("gluon_simple_pose", {"layers": n, "stem": "v1d"}) for n in (50, 101, 152)),
    *(("mobile_pose", {"backbone": backbone}) for backbone in gluon_mobile_pose.BACKBONES),
]


@pytest.mark.parametrize(("name", "arguments"), EVERY)
def test_the_file_tells_which_network_it_holds(name, arguments):
    with torch.device("meta"):
        network = build_network(name, **arguments, joints=5)
    state = network.state_dict()
    assert network.infer_variant(state) == network.variant == {**arguments, "joints": 5}
    check_variant(network, state, source="w.params")
    state.pop("upsampling.4.weight" if name == "mobile_pose" else "final_layer.weight")
    assert network.infer_variant(state) == {}
    assert network.infer_variant({}) == {}


@pytest.mark.parametrize(
    ("asked", "held", "said"),
    [
        (EVERY[1], EVERY[4], "stem v1d (asked: v1b)"),
        (EVERY[2], EVERY[1], "layers 50 (asked: 101)"),
        (EVERY[12], EVERY[11], "backbone mobilenetv3_large (asked: mobilenetv3_small)"),
    ],
)
def test_another_member_of_the_family_is_named(asked, held, said):
    with torch.device("meta"):
        network, other = (build_network(name, **arguments) for name, arguments in (asked, held))
    with pytest.raises(UserError) as caught:
        check_variant(network, other.state_dict(), source="w.params")
    assert said in caught.value.message


def test_blocks_that_no_resnet_has():
    names = ["resnet.0.weight", "x", *(f"resnet.{part}.0.conv3.weight" for part in "4567")]
    state = dict.fromkeys(names)
    assert read_resnet(state, "resnet.") == {"layers": None, "stem": "v1b"}


@pytest.mark.parametrize("backbone", gluon_mobile_pose.BACKBONES)
def test_other_sizes_and_joints(backbone):
    network = build_network("mobile_pose", backbone=backbone, joints=5).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 64, 96)).shape == (2, 5, 16, 24)
