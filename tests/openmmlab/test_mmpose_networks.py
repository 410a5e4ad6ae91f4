"""Networks of ours that mmpose builds too: one function of the same filled weights."""

from __future__ import annotations

import copy
import importlib.util
import os
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

if importlib.util.find_spec("mmpose") is None:
    if os.environ.get("POSEBENCH_REQUIRE_MMPOSE"):
        pytest.fail("mmpose is not installed", pytrace=False)
    pytest.skip("needs mmpose", allow_module_level=True)

import mmpose_pipeline as pipeline

from posebench.mmpose.build import estimator
from posebench.networks import build_network, lite_hrnet
from posebench.registry import load_registry

SIZE = (128, 96)
# Our names of Lite-HRNet's layers are PaddleDetection's.
NAMES = {"bn": "norm", "head.final_layer": "final_conv"}
# Variant of ours -> mmpose's row, and the blocks it is changed to: no config has the naive ones.
VARIANTS = {
    "lite_18": ("td_hm_litehrnet_18_8xb64_210e_coco_256x192", "LITE"),
    "lite_30": ("td_hm_litehrnet_30_8xb64_210e_coco_256x192", "LITE"),
    "wider_naive": ("td_hm_litehrnet_18_8xb64_210e_coco_256x192", "NAIVE"),
}


def our_name(name: str) -> str:
    """The place of a parameter of mmpose's Lite-HRNet in ours."""
    name = name.replace("head.final_layer", NAMES["head.final_layer"])
    return ".".join(NAMES.get(part, part) for part in name.split("."))


def their_lite_hrnet(variant: str) -> nn.Module:
    row, blocks = VARIANTS[variant]
    entry = load_registry().find(f"mmpose/{row}")
    config = copy.deepcopy(pipeline.config_of(entry))
    stages = config.model.backbone.extra.stages_spec
    assert set(stages.module_type) == {"LITE"}
    stages.module_type = (blocks,) * len(stages.module_type)
    model = estimator(config)
    return nn.Sequential(OrderedDict(backbone=model.backbone, head=model.head)).eval()


def both_outputs(variant: str) -> tuple[np.ndarray, np.ndarray]:
    torch.set_num_threads(1)
    theirs = their_lite_hrnet(variant)
    state = pipeline.filled(theirs, SIZE, 1.0)
    ours = build_network("lite_hrnet", variant=variant, width=40, joints=17).eval()
    ours.load_state_dict({our_name(name): value for name, value in state.items()})
    crops = torch.from_numpy(pipeline.fill.network_input((2, 3, *SIZE)))
    with torch.inference_mode():
        return ours(crops).numpy(), theirs(crops).numpy()


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference, as a share of the peak."""
    return float(np.abs(one - other).max() / np.abs(other).max())


@pytest.mark.parametrize("variant", VARIANTS)
def test_lite_hrnet_computes_what_mmpose_s_does(variant):
    ours, theirs = both_outputs(variant)
    assert theirs.std(axis=(2, 3)).min() > 0.01 * np.abs(theirs).max(), "every map has a shape"
    assert apart(ours, theirs) <= 1e-5


def test_the_first_summand_counts_twice_in_mmpose_s_fusion_too(monkeypatch):
    monkeypatch.setattr(lite_hrnet, "FIRST_TERM", 1.0)
    assert apart(*both_outputs("lite_18")) > 1e-2
