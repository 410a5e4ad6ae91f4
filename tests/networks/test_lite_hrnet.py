"""Lite-HRNet's structure and habits; its numbers are in tests/goldens."""

from __future__ import annotations

import copy

import golden_cases
import pytest
import torch
from torch.nn import functional as F

from posebench.networks import build_network, lite_hrnet

BOTH_KINDS = pytest.mark.parametrize(
    "case",
    [golden_cases.find("lite_hrnet_18_256x192_coco"), golden_cases.find("tinypose_128x96")],
    ids=lambda case: case.id,
)
PLAIN_INTERPOLATE = F.interpolate


def shapes(variant: str, **arguments) -> dict[str, tuple[int, ...]]:
    state = build_network("lite_hrnet", variant=variant, **arguments).state_dict()
    return {name: tuple(value.shape) for name, value in state.items()}


def fault_shows(case, network=None) -> bool:
    network = network or golden_cases.loaded(case).network
    return golden_cases.difference(golden_cases.run(network, case), case) > 100 * case.tolerance


def test_lite_30_is_lite_18_with_more_modules():
    # lite_30 has no recorded output: its modules are lite_18's, only more of them
    small, large = shapes("lite_18"), shapes("lite_30")
    assert small.items() <= large.items()
    extra = {".".join(name.split(".")[1:3]) for name in large.keys() - small.keys()}
    expected = {"stage0.2", *(f"stage1.{i}" for i in range(4, 8)), "stage2.2"}
    assert extra == expected
    for module in expected:
        stage = module.partition(".")[0]
        first = {n: s for n, s in small.items() if n.startswith(f"backbone.{stage}.0.")}
        found = {n: s for n, s in large.items() if n.startswith(f"backbone.{module}.")}
        renamed = {n.replace(f".{module}.", f".{stage}.0."): s for n, s in found.items()}
        assert renamed == first


def test_parameter_counts():
    counts = {
        variant: sum(p.numel() for p in build_network("lite_hrnet", variant=variant).parameters())
        for variant in lite_hrnet.VARIANTS
    }
    # lite_18 and wider_naive follow from the recorded manifests, lite_30 from the test above
    assert counts == {"lite_18": 1_130_769, "lite_30": 1_763_717, "wider_naive": 1_318_625}


def test_width_scales_every_branch():
    narrow = shapes("wider_naive", width=30)
    assert narrow["final_conv.weight"] == (17, 30, 1, 1)
    assert narrow["backbone.transition2.3.0.2.weight"] == (240, 120, 1, 1)


def test_a_branch_as_wide_as_the_stem_needs_no_transition():
    assert not any(
        name.startswith("backbone.transition0.0") for name in shapes("lite_18", width=32)
    )


def test_shuffle_interleaves_the_halves():
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert lite_hrnet.shuffle(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]


@BOTH_KINDS
def test_first_term_counted_once_shows(case, monkeypatch):
    monkeypatch.setattr(lite_hrnet, "FIRST_TERM", 1.0)
    assert fault_shows(case)


@BOTH_KINDS
def test_keeping_branch_0_for_later_outputs_shows(case, monkeypatch):
    def fuse_apart(self, branches):
        fused = []
        for row in self:
            terms = [path(x) for path, x in zip(row, branches, strict=True)]
            fused.append(F.relu(sum(terms[1:], 2 * terms[0])))
        return fused

    monkeypatch.setattr(lite_hrnet.Fusion, "forward", fuse_apart)
    assert fault_shows(case)


@BOTH_KINDS
def test_head_without_aligned_corners_shows(case, monkeypatch):
    def unaligned(x, *arguments, **options):
        if options.get("align_corners"):
            options["align_corners"] = False
        return PLAIN_INTERPOLATE(x, *arguments, **options)

    monkeypatch.setattr(lite_hrnet.F, "interpolate", unaligned)
    assert fault_shows(case)


@BOTH_KINDS
def test_smooth_upsampling_in_the_fusions_shows(case):
    network = copy.deepcopy(golden_cases.loaded(case).network)
    for part in network.modules():
        if isinstance(part, torch.nn.Upsample):
            part.mode = "bilinear"
    assert fault_shows(case, network)


def test_forward_leaves_its_input_alone():
    network = build_network("lite_hrnet", variant="wider_naive", width=8).eval()
    fusion = network.backbone.stage0[0].fuse_layers
    branches = [torch.rand(1, 8, 8, 8), torch.rand(1, 16, 4, 4)]
    before = [x.clone() for x in branches]
    with torch.inference_mode():
        fusion(branches)
    assert all(torch.equal(a, b) for a, b in zip(branches, before, strict=True))
