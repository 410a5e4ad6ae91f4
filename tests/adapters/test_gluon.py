"""Gluon's names, of both kinds."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from posebench.adapters.gluon import gluon
from posebench.checkpoints import read_checkpoint
from posebench.networks import build_network
from posebench.types.errors import UserError


def module() -> nn.Sequential:
    """What the small recorded files hold."""
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(36, 2))


def old(network: nn.Module) -> dict[str, torch.Tensor]:
    """A network's tensors under names without structure, counted as Gluon counts layers."""
    state, counts = {}, {"conv": 0, "batchnorm": 0}
    for name, part in network.named_modules():
        own = dict(part.named_parameters(recurse=False)) | dict(part.named_buffers(recurse=False))
        if not own:
            continue
        kind = "batchnorm" if isinstance(part, nn.BatchNorm2d) else "conv"
        words = {"weight": "gamma", "bias": "beta"} if kind == "batchnorm" else {}
        for last in own:
            if last != "num_batches_tracked":
                value = network.state_dict()[f"{name}.{last}"]
                state[f"net0_{kind}{counts[kind]}_{words.get(last, last)}"] = value
        counts[kind] += 1
    return state


@pytest.mark.parametrize(
    "name",
    [
        "gluon_structural",
        "gluon_legacy_prefix",
        "gluon_legacy_stripped",
        "gluon_export-0000",
    ],
)
def test_files_that_mxnet_wrote(name, shared):
    folder = shared / "goldens/formats/mxnet"
    structural = read_checkpoint(folder / "gluon_structural.params")
    found = gluon(read_checkpoint(folder / f"{name}.params"), module())
    wanted = [n for n in module().state_dict() if not n.endswith("num_batches_tracked")]
    assert list(found) == wanted
    for own, value in zip(found.values(), structural.values(), strict=True):
        assert torch.equal(own, value)


def test_gamma_and_beta_only_at_the_end_of_a_name():
    names = ["a.gamma", "a.beta", "gamma.weight", "a.gamma_x", "a.running_var", "b.bias"]
    state = {name: torch.tensor([float(i)]) for i, name in enumerate(names)}
    found = {name: value.item() for name, value in gluon(state, nn.Identity()).items()}
    own = ["a.weight", "a.bias", "gamma.weight", "a.gamma_x", "a.running_var", "b.bias"]
    assert found == {name: float(i) for i, name in enumerate(own)}


def test_export_prefixes_go():
    state = {"arg:a.weight": torch.ones(1), "aux:a.running_mean": torch.zeros(1)}
    assert list(gluon(state, nn.Identity())) == ["a.weight", "a.running_mean"]


def test_a_whole_network_by_order():
    network = build_network("mobile_pose", backbone="mobilenetv3_small")
    found = gluon(old(network), network)
    state = network.state_dict()
    assert found.keys() == {n for n in state if not n.endswith("num_batches_tracked")}
    assert all(torch.equal(value, state[name]) for name, value in found.items())


def test_the_recorded_old_names(shared):
    # they carry counters of the process, and the first convolution is conv12
    folder = shared / "goldens/gluoncv/alpha_pose_resnet101_v1b_coco"
    manifest = json.loads((folder / "manifest.json").read_text())
    shapes = {name: shape for name, shape, *_ in manifest["entries"]}
    with torch.device("meta"):
        network = build_network("fastpose", layers=101, head=128, joints=17)
        names = manifest["legacy_names"]
        structural = {own: torch.empty(shapes[own]) for own in names}
    found = gluon({names[own]: value for own, value in structural.items()}, network)
    again = gluon(structural, network)
    assert list(found) == list(again)
    assert all(found[name] is again[name] for name in found)


class TestOldNamesThatDoNotFit:
    def test_too_few(self):
        state = old(module())
        state.pop("net0_conv0_bias")
        with pytest.raises(UserError, match="has 7 arrays under names without structure"):
            gluon(state, module())

    def test_another_order(self):
        state = dict(sorted(old(module()).items()))
        with pytest.raises(UserError, match=r"stands where the network has '0\.weight'"):
            gluon(state, module())

    def test_another_shape(self):
        state = old(module()) | {"net0_conv0_bias": torch.ones(5)}
        with pytest.raises(UserError, match=r"'net0_conv0_bias' \(5,\) stands where"):
            gluon(state, module())

    def test_two_layers_under_one_name(self):
        pair = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1))
        names = ["a_weight", "b_bias", "b_weight", "a_bias"]
        state = {name: torch.ones(1, 1, 1, 1)[(0,) * (3 * ("bias" in name))] for name in names}
        with pytest.raises(UserError, match="stands where"):
            gluon(state, pair)

    def test_one_layer_under_two_names(self):
        state = {"a_weight": torch.ones(1, 1, 1, 1), "b_bias": torch.ones(1)}
        with pytest.raises(UserError, match="splits a layer"):
            gluon(state, nn.Conv2d(1, 1, 1))

    def test_names_that_say_nothing(self):
        state = dict(zip("01234567", old(module()).values(), strict=True))
        with pytest.raises(UserError, match=r"'0' .* stands where"):
            gluon(state, module())
