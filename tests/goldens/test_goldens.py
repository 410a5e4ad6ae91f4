"""Our networks compute what the zoos' own code computes, from files as the zoos write them."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import golden_cases
import numpy as np
import pytest
from torch import nn

# one model after the other: the scope makes pytest group the tests by case
EACH = pytest.mark.parametrize("case", golden_cases.CASES, ids=lambda case: case.id, scope="module")


@EACH
def test_output_equals_the_recorded_samples(case):
    model = golden_cases.loaded(case)
    assert model.coverage.fraction == 1.0
    assert not model.network.training
    assert golden_cases.difference(golden_cases.run(model.network, case), case) < case.tolerance


@EACH
def test_output_equals_the_full_record(case, shared: Path):
    folder = shared / "goldens" / case.id
    manifest = (folder / "manifest.json").read_bytes()
    assert hashlib.sha256(manifest).hexdigest() == case.golden["manifest_sha256"]
    recorded = np.load(folder / json.loads(manifest)["outputs"][-1]["file"])
    output = golden_cases.run(golden_cases.loaded(case).network, case)
    assert output.shape == recorded.shape
    assert np.abs(output - recorded).max() < case.tolerance * recorded.std()


@EACH
def test_another_batch_norm_epsilon_shows(case):
    network = copy.deepcopy(golden_cases.loaded(case).network)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps = 1.1e-5
    assert golden_cases.difference(golden_cases.run(network, case), case) > case.tolerance


def test_the_samples_come_from_the_full_record(shared: Path):
    for case in golden_cases.CASES + golden_cases.SIBLINGS:
        folder = shared / "goldens" / case.id
        manifest = json.loads((folder / "manifest.json").read_text())
        recorded = np.load(folder / manifest["outputs"][-1]["file"])
        golden = case.golden
        assert recorded.reshape(-1)[golden["positions"]].tolist() == golden["values"]
        assert golden["output"]["std"] == pytest.approx(float(recorded.std(dtype=np.float64)))
