"""Parameters and operations against every published pair, and against sums by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from posebench.registry import load_registry
from posebench.timing import complexity as counting
from posebench.timing.complexity import complexity, count_macs, deformable_flops

METRICS = ("params", "macs")
PUBLISHED = [
    (entry, {claim.metric: claim for claim in entry.claims if claim.metric in METRICS})
    for entry in load_registry().entries
    if any(claim.metric in METRICS for claim in entry.claims)
]
# Printed cut, not rounded: 8.99 and 15.76 of HRNet's tool (8.9 and 15.7 in Simple Baselines'
# paper already), and LPN-101's 5.35 M.
CUT = {
    ("pose_resnet_50_coco_256x192", "macs"),
    ("pose_resnet_152_coco_256x192", "macs"),
    ("lpn_101_coco_256x192", "params"),
}


def test_the_pages_publish_thirteen_pairs():
    assert len(PUBLISHED) == 13
    assert all(set(claims) == set(METRICS) for _, claims in PUBLISHED)


@pytest.mark.parametrize(("entry", "claims"), PUBLISHED, ids=lambda value: getattr(value, "id", ""))
def test_parameters_and_operations_are_the_published_ones(entry, claims):
    counted = complexity(entry)
    for metric, claim in claims.items():
        figure = counted.published(metric)
        assert figure is not None
        if (entry.id, metric) in CUT:
            figure = int(figure * 10) / 10
        assert f"{figure:.1f}" == claim.raw, (metric, figure)
    # the page's G is 2^30, so a plain count in 1e9 is larger, but for transposed convolutions
    assert counted.macs <= counted.page_macs


def test_lpn_50_costs_what_its_layers_cost():
    counted = complexity(load_registry().find("lpn_50_coco_256x192"))
    assert counted.parameters == 2_911_153
    assert counted.macs == 1_068_144_640
    assert counted.input_size == (256, 192)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(4, 5, 4, stride=2, padding=1)
        self.fc = nn.Linear(5, 7)

    def forward(self, x):
        y = self.up(self.conv(x))
        attention = y.flatten(2) @ y.flatten(2).transpose(1, 2)
        return self.fc(y.mean((2, 3))), attention


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_layers_are_counted_and_attention_is_not(device):
    with torch.device(device):
        network = Small().eval()
    conv, up, fc = 4 * 5 * 4 * 27, 4 * 5 * 4 * 5 * 16, 5 * 7
    assert count_macs(network, (8, 10)) == (conv + up + fc, 3 * up)
    assert not network.up._forward_hooks


def test_torchvisions_deformable_convolution_counts_as_a_convolution(monkeypatch):
    # out (1, 6, 4, 5) from a weight (6, 3, 3, 3)
    flops = deformable_flops((1, 3, 4, 5), (6, 3, 3, 3), (1, 18, 4, 5), out_shape=(1, 6, 4, 5))
    assert flops == 2 * 6 * 20 * 27
    monkeypatch.setattr(counting, "torchvision_op", lambda: None)
    plain = complexity(load_registry().find("fast_res50_coco_256x192"))
    deformable = complexity(load_registry().find("fast_dcn_res50_coco_256x192"))
    # offsets: 18 channels from a 3x3 convolution in four, six and three blocks
    offsets = 9 * 18 * (4 * 128 * 32 * 24 + 6 * 256 * 16 * 12 + 3 * 512 * 8 * 6)
    assert deformable.macs - plain.macs == offsets
