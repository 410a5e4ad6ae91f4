"""The committed rows are the installed package's; they build, and agree with our networks."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

if importlib.util.find_spec("mmpose") is None:
    if os.environ.get("POSEBENCH_REQUIRE_MMPOSE"):
        pytest.fail("mmpose is not installed", pytrace=False)
    pytest.skip("needs mmpose", allow_module_level=True)

import mmpose_pipeline as pipeline
from check_rows import RUNS, check_zoo
from zoo import compare_or_write

from posebench.adapters import random_model
from posebench.evaluation.listing import find_entry, list_entries
from posebench.mmpose.index import package_folder
from posebench.networks import build_network
from posebench.registry import load_registry
from posebench.types.errors import UserError

PAGE = Path(__file__).parents[2] / "docs" / "mmpose_rows.md"


@pytest.fixture(scope="module")
def registry():
    return load_registry()


def test_the_committed_rows_are_what_the_package_says():
    assert compare_or_write(write=False) == (251, False)


def test_every_claim_stands_on_its_line_of_the_metafile(registry):
    folder, seen = package_folder() / "configs", 0
    for entry in registry.entries:
        for claim in entry.claims if entry.zoo == "mmpose" else ():
            lines = (folder / claim.source.page).read_text(encoding="utf-8").splitlines()
            line = lines[claim.source.line - 1 + claim.source.column].strip()
            assert line == f"{claim.published_as or claim.metric}: {claim.raw}", entry.key
            seen += 1
    assert seen == 1249


def test_rows_are_runnable_but_for_their_weights():
    statuses = {entry.status for entry in list_entries("mmpose")}
    assert {s for s in statuses if not s.startswith("broken")} == {"needs checkpoint"}


@pytest.mark.parametrize(
    "row",
    [
        *("td_hm_hrnet_w32_8xb64_210e_coco_256x192", "rtmpose_t_8xb256_420e_coco_256x192"),
        *("td_hm_swin_t_p4_w7_8xb32_210e_coco_256x192", "td_hm_rsn18_8xb32_210e_coco_256x192"),
    ],
)
def test_rows_build_and_run(row):
    (found,) = check_zoo("mmpose", names=[row])
    assert found.outcome == RUNS
    assert found.parameters > 1e6


def test_the_committed_page_counts_its_own_rows():
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9_.]+)` \|.*\| ([^|]+) \|$", text, re.MULTILINE)
    runs = sum(outcome == RUNS for _, outcome in rows)
    assert len(rows) == 251
    assert f"{runs} of 251 rows build" in text
    assert runs >= 200


def test_a_model_that_needs_another_package_says_which():
    entry = find_entry("mmpose/td_hm_vitpose_base_8xb64_210e_coco_256x192")
    assert entry.status == "broken: mmpretrain.VisionTransformer needs mmpretrain"
    with pytest.raises(UserError, match="cannot build"):
        random_model(entry)


@pytest.mark.parametrize(
    ("row", "network", "arguments"),
    [
        ("td_hm_hrnet_w32_8xb64_210e_coco_256x192", "hrnet", {"width": 32, "joints": 17}),
        ("td_hm_res50_8xb64_210e_coco_256x192", "resnet_pose", {"layers": 50, "joints": 17}),
    ],
)
def test_our_own_networks_compute_what_mmpose_s_do(row, network, arguments, registry):
    torch.set_num_threads(1)
    theirs = random_model(registry.find(f"mmpose/{row}")).network
    state = pipeline.filled(theirs, (128, 96), 1.0)
    ours = build_network(network, **arguments).eval()
    ours.load_state_dict({name.partition(".")[2]: value for name, value in state.items()})
    crops = torch.from_numpy(pipeline.fill.network_input((1, 3, 128, 96)))
    with torch.inference_mode():
        one, other = ours(crops).numpy(), theirs(crops).numpy()
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())
