"""Verification finds what is wrong, and says so."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from refusals import assert_mentions

from posebench.cli import main as cli
from posebench.networks import lite_hrnet
from posebench.registry import load_registry
from posebench.types.errors import UserError
from posebench.verification import checkpoint_writer, goldens
from posebench.verification import verify as verification
from posebench.verification.verify import (
    FAILED,
    OK,
    STRUCTURE_ONLY,
    Verification,
    verify,
    verify_entry,
)

TINY = "tinypose_128x96"


@pytest.fixture(autouse=True)
def _clone_without_full_records(monkeypatch, tmp_path):
    monkeypatch.setenv(goldens.SHARED, str(tmp_path))


@pytest.fixture
def entry():
    return load_registry().find(TINY)


def with_arguments(entry, **arguments):
    network = entry.network.model_copy(
        update={"arguments": {**entry.network.arguments, **arguments}}
    )
    return entry.model_copy(update={"network": network})


def test_the_tolerances():
    assert verification.TOLERANCE == 3e-5
    assert verification.TOLERANCES == {"lite_hrnet": 5e-5}


def test_a_row_with_a_record_is_ok():
    (found,) = verify([TINY])
    assert (found.status, found.id, found.key) == (OK, TINY, f"paddledetection/{TINY}")
    assert found.error < found.tolerance == 5e-5
    assert found.compared == "samples"
    assert found.parameters == 1_318_625


def test_the_full_record_is_used_where_it_is(shared, monkeypatch):
    monkeypatch.setenv(goldens.SHARED, str(shared))
    (found,) = verify([TINY])
    assert (found.status, found.compared) == (OK, "full")


def test_rows_of_another_input_size_are_verified_once():
    first, second = verify(["lite_hrnet_30_256x192_coco", "lite_hrnet_30_256x192_coco"])
    assert first.status == second.status == STRUCTURE_ONLY
    assert first.seconds > 0 == second.seconds
    assert first.error is first.golden is None
    first, second = verify(["lite_hrnet_18_256x192_coco", "lite_hrnet_18_384x288_coco"])
    assert first.error == second.error < 2.5e-5
    assert (second.id, second.seconds) == ("lite_hrnet_18_384x288_coco", 0.0)


def test_a_fault_of_the_network_fails(monkeypatch):
    monkeypatch.setattr(lite_hrnet, "FIRST_TERM", 1.0)
    (found,) = verify([TINY])
    assert found.status == FAILED
    assert found.error > 1e-2
    assert "differs from the original" in found.note


def test_an_output_that_is_no_number_fails(monkeypatch):
    monkeypatch.setattr(lite_hrnet, "FIRST_TERM", float("nan"))
    (found,) = verify([TINY])
    assert (found.status, found.error) == (FAILED, None)
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize("arguments", [{"width": 30}, {"joints": 16}, {"variant": "lite_18"}])
def test_another_manifest_fails(entry, arguments):
    found = verify_entry(with_arguments(entry, **arguments), goldens.find_recording(entry))
    assert found.status == FAILED
    assert_mentions(found.note, "names or shapes", "paddle/tinypose_128x96")


def test_the_names_that_differ_are_told_where_the_manifest_is(entry, shared, monkeypatch):
    monkeypatch.setenv(goldens.SHARED, str(shared))
    found = verify_entry(with_arguments(entry, joints=16), goldens.find_recording(entry))
    assert "2 differ (final_conv.bias (16,) for (17,)" in found.note


def test_parameters_are_compared_where_only_they_are_known(entry):
    count = 1_318_625
    right, wrong = (goldens.Recording(parameters=n) for n in (count, count + 1))
    assert verify_entry(entry, right).status == STRUCTURE_ONLY
    found = verify_entry(entry, wrong)
    assert (found.status, found.parameters) == (FAILED, count)
    assert "1,318,625 parameters, the original 1,318,626" in found.note


def test_a_network_that_does_not_exist_fails_its_row_alone(monkeypatch, entry):
    other = entry.network.model_copy(update={"name": "none"})
    broken = entry.model_copy(update={"network": other, "id": "broken"})

    class Known:
        def find(self, name, dataset):
            return {"broken": broken, TINY: entry}[name]

    monkeypatch.setattr(verification, "load_registry", lambda extra: Known())
    first, second = verify(["broken", TINY])
    assert (first.status, second.status) == (FAILED, OK)
    assert "Unknown network 'none'" in first.note


def test_our_own_models_have_no_original(entry, monkeypatch):
    shipped = entry.checkpoint.model_copy(update={"location": "package:x"})
    own = entry.model_copy(update={"checkpoint": shipped})

    class Known:
        entries = (own,)

        def find(self, name, dataset):
            return own

    monkeypatch.setattr(verification, "load_registry", lambda extra: Known())
    assert verify() == []
    with pytest.raises(UserError, match="has no original"):
        verify([TINY])


@pytest.mark.parametrize("container", ["torch", "paddle", "mxnet"])
def test_containers_are_read_back_as_they_were_written(container, tmp_path):
    from posebench.checkpoints import guess_container, read_checkpoint

    state = {
        "a.weight": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
        "a.bias": np.array([0.5], np.float32),
    }
    checkpoint_writer.write_native(state, container, tmp_path / "weights")
    assert guess_container(tmp_path / "weights") == container
    found = read_checkpoint(tmp_path / "weights")
    assert {name: value.numpy().tolist() for name, value in found.items()} == {
        name: value.tolist() for name, value in state.items()
    }


def test_paddles_linear_weights_are_filled_in_paddles_layout():
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Conv2d(2, 3, 1))
    shapes = {n: v.shape for n, v in checkpoint_writer.filled_state(network, "paddle", 1.0).items()}
    assert shapes["0.weight"] == (2, 3)
    assert shapes["1.weight"] == (3, 2, 1, 1)
    assert checkpoint_writer.filled_state(network, "native", 1.0)["0.weight"].shape == (3, 2)


def finding(status):
    return Verification(
        "x", "zoo/x", status, error=1e-6, tolerance=3e-5, golden="a/b", compared="full"
    )


@pytest.mark.parametrize(("status", "code"), [(OK, 0), (STRUCTURE_ONLY, 0), (FAILED, 1)])
def test_the_verb_fails_when_a_row_does(status, code, monkeypatch, capsys):
    rows = [finding(OK), finding(status)]
    monkeypatch.setattr(verification, "verify", lambda models, **_: rows)
    assert cli.main(["verify", "--all", "--json"]) == code
    content = json.loads(capsys.readouterr().out)
    assert [row["status"] for row in content] == [OK, status]
    assert {"id", "status", "error"} <= content[0].keys()
    assert cli.main(["verify", "--all"]) == code
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("zoo/x ") for line in lines) == 2
    assert "1.0e-06" in lines[1]


@pytest.mark.parametrize("words", [[], ["--all", TINY]])
def test_the_verb_wants_models_or_all(words, capsys):
    assert cli.main(["verify", *words]) == 2
    assert "or give --all" in capsys.readouterr().err
