"""Weights for timing: the same every time, ordinary numbers, outputs that say what came in."""

from __future__ import annotations

from dataclasses import replace

import make
import pytest
import torch
from torch import nn

from posebench.adapters import random_model
from posebench.registry import load_registry
from posebench.timing.random_weights import GAINS, NOTE, OFFSETS, PEAK, weighted
from posebench.types.model import Coverage

SMALL = ("paddledetection/tinypose_128x96", "gluoncv/mobile_pose_mobilenetv3_small_256x192")


@pytest.mark.parametrize("key", SMALL)
def test_outputs_are_small_finite_and_depend_on_the_input(key):
    entry = load_registry().find(key)
    models = [weighted(random_model(entry)) for _ in range(2)]
    states = [model.network.state_dict() for model in models]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert models[0].notes == (NOTE,)
    images = torch.randn(2, 3, *entry.input.size, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        first, second = models[0].network(images)
    peak = first.abs().max()
    assert 0.01 < peak < 2 * PEAK
    assert (first - second).abs().max() > 0.01 * peak


def test_weights_from_a_file_are_left_alone():
    model = replace(make.probe_model(), coverage=Coverage(1, 1))
    assert weighted(model) is model


def test_a_network_that_grows_gets_a_lower_gain_and_offsets_stay_small():
    class Growing(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)
            self.conv2_offset = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return 1e3 * self.conv(x)

    network = weighted(replace(make.probe_model(), network=Growing())).network
    # one input channel after another: variance 1 at gain 1, so at most 3 ** 0.5 each over 3 ** 0.5
    assert GAINS[-1] * 0.5 < network.conv.weight.abs().max() <= GAINS[-1]
    assert network.conv2_offset.weight.abs().max() <= OFFSETS * GAINS[-1]
