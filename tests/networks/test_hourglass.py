"""The stacked hourglass: every stack's output, structure and habits."""

from __future__ import annotations

import copy
from pathlib import Path

import golden_cases
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from posebench.networks import build_network, deterministic_weights, hourglass
from posebench.types.errors import UserError

CASE = "fpd/mpii__hourglass__hg4_256x256_d256x3_adam_lr2.5e-4"
PLAIN_INTERPOLATE = F.interpolate
FOUR_AND_EIGHT = pytest.mark.parametrize(
    "case",
    [
        golden_cases.find(CASE),
        next(case for case in golden_cases.SIBLINGS if "hg8" in case.id),
    ],
    ids=lambda case: case.id,
)


def fault_shows(network=None) -> bool:
    case = golden_cases.find(CASE)
    network = network or golden_cases.loaded(case).network
    return golden_cases.difference(golden_cases.run(network, case), case) > 100 * case.tolerance


def all_outputs(case):
    crops = torch.from_numpy(deterministic_weights.network_input(tuple(case.golden["input"])))
    with torch.inference_mode():
        return [maps.numpy() for maps in golden_cases.loaded(case).network.all_heatmaps(crops)]


@FOUR_AND_EIGHT
def test_every_stack_gives_the_recorded_samples(case):
    outputs = all_outputs(case)
    assert len(outputs) == case.arguments["stacks"]
    for output, golden in zip(outputs, case.golden["outputs"], strict=True):
        assert golden_cases.difference_to(output, golden) < case.tolerance


@FOUR_AND_EIGHT
def test_every_stack_gives_the_full_record(case, shared: Path):
    for index, output in enumerate(all_outputs(case)):
        recorded = np.load(shared / "goldens" / case.id / f"output_{index}.npy")
        assert np.abs(output - recorded).max() < case.tolerance * recorded.std()


@pytest.mark.parametrize(
    ("stacks", "features", "millions"),
    # counted on the original code: the teacher, and the student at the width it was trained with
    [(8, 256, 25.59), (4, 128, 3.29)],
)
def test_parameter_counts(stacks, features, millions):
    with torch.device("meta"):
        network = build_network("hourglass", stacks=stacks, features=features, joints=16)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == millions


def test_more_stacks_are_the_same_stacks_again():
    # eight stacks on MPII have no recorded output
    def shapes(stacks):
        with torch.device("meta"):
            state = build_network("hourglass", stacks=stacks, features=256, joints=16).state_dict()
        return {name: tuple(value.shape) for name, value in state.items()}

    small, large = shapes(4), shapes(8)
    assert small.items() <= large.items()
    stacked = ("hg", "res", "fc", "score", "fc_", "score_")
    for name in large.keys() - small.keys():
        part, index, rest = name.split(".", 2)
        assert part in stacked
        assert 3 <= int(index) < 8
        assert large[name] == small[f"{part}.0.{rest}"]


def test_a_rectified_shortcut_shows(monkeypatch):
    # what an in-place ReLU on the shared input would do
    def shared_relu(self, x):
        x = F.relu(self.bn1(x))
        y = self.conv2(F.relu(self.bn2(self.conv1(x))))
        y = self.conv3(F.relu(self.bn3(y)))
        return y + (x if self.downsample is None else self.downsample(x))

    monkeypatch.setattr(hourglass.PreActivated, "forward", shared_relu)
    assert fault_shows()


def test_dropping_a_skip_shows():
    class Nothing(torch.nn.Module):
        def forward(self, x):
            return torch.zeros_like(x)

    network = copy.deepcopy(golden_cases.loaded(golden_cases.find(CASE)).network)
    network.hg[3].hg[0][0] = Nothing()
    assert fault_shows(network)


def test_smooth_upsampling_shows(monkeypatch):
    def smooth(x, *arguments, **options):
        return PLAIN_INTERPOLATE(x, *arguments, **(options | {"mode": "bilinear"}))

    monkeypatch.setattr(hourglass.F, "interpolate", smooth)
    assert fault_shows()


def test_levels_in_reverse_order_show():
    network = copy.deepcopy(golden_cases.loaded(golden_cases.find(CASE)).network)
    for stack in network.hg:
        first, last = stack.hg[0], stack.hg[3]
        for index in range(3):
            first[index], last[index] = last[index], first[index]
    assert fault_shows(network)


def test_forgetting_what_a_stack_hands_on_shows():
    network = copy.deepcopy(golden_cases.loaded(golden_cases.find(CASE)).network)
    torch.nn.init.zeros_(network.score_[2].weight)
    assert fault_shows(network)


@pytest.mark.parametrize(
    "arguments", [{"stacks": 0}, {"blocks": 0}, {"features": 254}, {"features": 0}, {"joints": 0}]
)
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(UserError):
        build_network("hourglass", **arguments)
