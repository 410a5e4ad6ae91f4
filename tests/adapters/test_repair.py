"""Repairs by name; and the one file that needs one."""

from __future__ import annotations

import mxnet_files
import numpy as np
import pytest
import torch
from refusals import assert_mentions

from posebench.adapters import load_weights
from posebench.adapters.repair import repaired
from posebench.networks import build_network
from posebench.registry import load_registry
from posebench.types.errors import UserError

BROKEN = torch.tensor([1.0, float("nan"), float("inf"), float("-inf"), -2.0])


def test_nothing_is_changed_without_being_asked():
    state = {"a": BROKEN}
    found, notes = repaired(state, None)
    assert found["a"] is BROKEN
    assert notes == ()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_nonfinite_to_zero(dtype):
    state = {"a": BROKEN.to(dtype), "b": torch.ones(2), "c": torch.tensor([1, 2])}
    found, notes = repaired(state, "nonfinite_to_zero")
    assert found["a"].tolist() == [1, 0, 0, 0, -2]
    assert found["a"].dtype == dtype
    assert found["b"] is state["b"]
    assert found["c"] is state["c"]
    assert state["a"].isnan().any()
    (note,) = notes
    assert_mentions(note, "3 values", "NaN or infinite", "0", "a")


def test_sound_weights_get_no_note():
    assert repaired({"a": torch.ones(2)}, "nonfinite_to_zero")[1] == ()


def test_long_lists_are_cut():
    (note,) = repaired({name: BROKEN[1:2] for name in "abcd"}, "nonfinite_to_zero")[1]
    assert_mentions(note, "4 values", "a, b, c, ...")


class TestPublishedFile:
    """Values like those of ``mobile_pose_mobilenetv3_small-b1b148a9.params``."""

    @pytest.fixture
    def file(self, tmp_path):
        norms = {"weight": "gamma", "bias": "beta"}
        network = build_network("mobile_pose", backbone="mobilenetv3_small")
        state = {}
        for name, part in network.named_modules():
            words = norms if isinstance(part, torch.nn.BatchNorm2d) else {}
            for last, value in part.state_dict().items():
                if "." not in last and last != "num_batches_tracked":
                    state[f"{name}.{words.get(last, last)}"] = value.numpy()
        state["features.0.1.running_var"] = np.full(16, np.nan, np.float32)
        return mxnet_files.write(state, tmp_path / "w.zip", packed=True)

    def load(self, short, file):
        found = load_registry().find(short)
        # the file is made up: its digest is another
        checkpoint = found.checkpoint.model_copy(update={"sha1": None})
        return load_weights(found.model_copy(update={"checkpoint": checkpoint}), file)

    def test_is_repaired_with_a_note(self, file):
        model = self.load("mobile_pose_mobilenetv3_small", file)
        assert model.network.get_submodule("features.0.1").running_var.tolist() == [0] * 16
        assert model.coverage.fraction == 1
        assert len(model.notes) == 1
        assert "16 values" in model.notes[0]

    def test_no_other_row_allows_it(self, file):
        with_repair = [e.id for e in load_registry().entries if e.checkpoint.repair]
        assert with_repair == ["mobile_pose_mobilenetv3_small_256x192"]
        row = load_registry().find("mobile_pose_mobilenetv3_small")
        checkpoint = row.checkpoint.model_copy(update={"sha1": None, "repair": None})
        with pytest.raises(UserError, match="NaN or infinite"):
            load_weights(row.model_copy(update={"checkpoint": checkpoint}), file)
