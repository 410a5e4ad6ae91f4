"""Which record each row is compared with."""

from __future__ import annotations

import json

import pytest

from posebench.adapters.schemes import FOREIGN
from posebench.registry import load_registry
from posebench.types.errors import UserError
from posebench.verification import goldens

ROWS = json.loads((goldens.goldens_folder() / goldens.ROWS).read_text())


def test_every_row_of_a_zoo_is_in_the_table_and_every_record_exists():
    keys = {
        entry.key
        for entry in load_registry().entries
        if entry.zoo != "demo" and entry.network.name not in FOREIGN
    }
    assert set(ROWS) == keys
    for row in ROWS.values():
        if row["golden"]:
            assert goldens.load_golden(row["golden"]).outputs


def test_exactly_these_rows_have_no_recorded_output():
    without = {key.partition("/")[2] for key, row in ROWS.items() if not row["golden"]}
    assert without == {
        "lpn_152_coco_256x192",
        "hourglass_teacher_mpii_256x256",
        "simple_pose_resnet152_v1d_256x192",
        "simple_pose_resnet152_v1d_384x288",
        "mobile_pose_mobilenetv3_large_256x192",
        "lite_hrnet_30_256x192_coco",
        "lite_hrnet_30_384x288_coco",
        "higherhrnet_hrnet_w32_512_swahr",
        "fast_duc_res152_coco_256x192",
        "fast_dcn_res50_combined_coco_wholebody_256x192",
        "fast_dcn_res50_regression_single_hand_256x192",
    }


def test_rows_that_share_a_record_have_the_same_network():
    networks: dict = {}
    for entry in load_registry().entries:
        row = ROWS.get(entry.key, {})
        if row.get("golden") and entry.zoo == row["golden"].partition("/")[0]:
            other = networks.setdefault(row["golden"], entry.network)
            assert entry.network == other, entry.key


def test_a_new_row_of_a_known_network_shares_its_record():
    entry = load_registry().find("lpn_50_coco_256x192")
    new = entry.model_copy(update={"id": "mine", "zoo": "mine"})
    assert goldens.find_recording(new) == goldens.find_recording(entry)
    wide = entry.network.model_copy(update={"arguments": {"layers": [3, 4, 6, 3], "joints": 5}})
    assert goldens.find_recording(new.model_copy(update={"network": wide})).golden is None


def test_the_spread_is_the_unit_of_differences():
    recorded = goldens.load_golden("lpn/coco__lpn__lpn50_256x192_gd256x2_gc").outputs[0]
    import numpy as np

    output = np.full(recorded.shape, recorded.mean, np.float32)
    flat = output.reshape(-1)
    flat[list(recorded.positions)] = recorded.values
    flat[recorded.positions[7]] += 2 * recorded.std
    assert recorded.difference(output) == pytest.approx(2.0, abs=1e-4)
    # elsewhere than at the samples only the mean tells
    flat[recorded.positions[7]] = recorded.values[7]
    before = recorded.difference(output)
    rest = [i for i in range(1000) if i not in recorded.positions]
    flat[rest] += 100.0
    assert recorded.difference(output) > before + 0.1


def test_a_record_that_is_missing_is_named():
    with pytest.raises(UserError, match="The record lpn/none is missing"):
        goldens.load_golden("lpn/none")


def test_full_records_are_looked_for_where_the_variable_says(tmp_path, monkeypatch):
    golden = goldens.load_golden("lpn/coco__lpn__lpn50_256x192_gd256x2_gc")
    monkeypatch.setenv(goldens.SHARED, str(tmp_path))
    assert golden.full is None
    folder = tmp_path / "goldens" / golden.id
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    assert golden.full == folder
    monkeypatch.setenv(goldens.SHARED, str(tmp_path / "none"))
    with pytest.raises(UserError, match="which is not a folder"):
        goldens.shared_folder()
