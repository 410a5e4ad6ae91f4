"""Weights files as mmengine writes them, and with the names of mmpose before 1.0."""

from __future__ import annotations

import importlib.util
import os

import pytest
import torch

if importlib.util.find_spec("mmpose") is None:
    if os.environ.get("POSEBENCH_REQUIRE_MMPOSE"):
        pytest.fail("mmpose is not installed", pytrace=False)
    pytest.skip("needs mmpose", allow_module_level=True)

import mmpose_pipeline as pipeline

from posebench.adapters import load_weights, random_model
from posebench.mmpose.build import OLD_HEAD, estimator, published
from posebench.registry import load_registry

# One row of each head whose files may carry old names, and of those whose names never changed.
OLD_ROWS = [
    "td_hm_res50_8xb64_210e_coco_256x192",
    "td_hm_hrnet_w32_8xb64_210e_coco_256x192",
    "td_hm_vipnas_mbv3_8xb64_210e_coco_256x192",
    "td_hm_cpm_8xb64_210e_coco_256x192",
    "td_hm_rsn18_8xb32_210e_coco_256x192",
    "td_reg_res50_8xb64_210e_coco_256x192",
    "td_reg_res50_rle_8xb64_210e_coco_256x192",
    "simcc_res50_8xb64_210e_coco_256x192",
    "ae_hrnet_w32_8xb24_300e_coco_512x512",
]
NEW_ROWS = [
    "rtmpose_t_8xb256_420e_coco_256x192",
    "ipr_res50_dsnt_8xb64_210e_coco_256x256",
    "cid_hrnet_w32_8xb20_140e_coco_512x512",
    "rtmo_s_8xb32_600e_coco_640x640",
]


@pytest.fixture(scope="module")
def registry():
    return load_registry()


def marked(network):
    """A state in which every tensor tells its name."""
    state = network.state_dict()
    for number, name in enumerate(state):
        state[name] = torch.full_like(state[name], number + 1)
    return state


def old_names(state):
    """The names that mmpose 0.x gave to a head without intermediate convolutions."""
    found = {}
    for name, value in state.items():
        name = name.replace("head.loss_module.", f"{OLD_HEAD}loss.")
        found[f"{OLD_HEAD}{name[5:]}" if name.startswith("head.") else name] = value
    return found


@pytest.mark.parametrize("row", OLD_ROWS + NEW_ROWS)
def test_names_become_what_mmpose_makes_of_them(row, registry):
    entry = registry.find(f"mmpose/{row}")
    network = random_model(entry).network
    state = marked(network)
    file = dict(state) if row in NEW_ROWS else old_names(state)
    found = published(file | {"data_preprocessor.mean": torch.zeros(3, 1, 1)}, network)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    if row in NEW_ROWS:
        return
    model = estimator(pipeline.config_of(entry))
    model.load_state_dict(dict(file), strict=False)
    theirs = model.state_dict()
    assert all(torch.equal(theirs[name], found[name]) for name in found)


def test_intermediate_convolutions_of_old_heads_are_found(registry):
    """Before 1.0 one list held them and the last layer."""
    entry = registry.find("mmpose/td_hm_res50_8xb64_210e_coco_256x192")
    config = pipeline.config_of(entry)
    config.model.head |= {"conv_out_channels": (64,), "conv_kernel_sizes": (3,)}
    model = estimator(config)
    state = marked(model)
    old = {}
    for name, value in state.items():
        name = name.replace("head.conv_layers.", "head.final_layer.")
        if name in ("head.final_layer.weight", "head.final_layer.bias"):
            name = name.replace("final_layer.", f"final_layer.{len(model.head.conv_layers)}.")
        old[name.replace("head.", OLD_HEAD)] = value
    assert "keypoint_head.final_layer.0.weight" in old
    found = published(old, model)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_a_file_that_mmengine_wrote_is_read(registry, tmp_path):
    """Its notes hold the dataset's colours and sigmas as numpy arrays."""
    entry = registry.find("mmpose/td_hm_litehrnet_18_8xb64_210e_coco_256x192")
    network = random_model(entry).network
    state = pipeline.filled(network, entry.input.size, 0.7)
    from mmengine.registry import init_default_scope
    from mmengine.runner.checkpoint import save_checkpoint

    init_default_scope("mmpose")
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    metainfo = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
    assert type(metainfo["keypoint_colors"]).__module__ == "numpy"
    meta = {"epoch": 210, "iter": 1, "cfg": "", "dataset_meta": metainfo}
    file = tmp_path / "w.pth"
    save_checkpoint({"meta": meta, "state_dict": state}, str(file))
    checkpoint = entry.checkpoint.model_copy(update={"sha256_prefix": None})
    model = load_weights(entry.model_copy(update={"checkpoint": checkpoint}), file)
    assert model.coverage.fraction == 1
    found = model.network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())
