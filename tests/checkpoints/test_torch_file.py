"""Files of torch.save."""

from __future__ import annotations

import pickle

import hostile_checkpoints
import numpy as np
import pytest
import torch
from refusals import assert_mentions, refusal

from posebench.checkpoints import read_checkpoint, torch_file

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([0.5, -1.0])}
BOTH = pytest.mark.parametrize(
    "write", [hostile_checkpoints.torch_zip, hostile_checkpoints.torch_legacy]
)


def same(found, expected) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) and found[name].dtype == expected[name].dtype
        for name in expected
    )


@BOTH
class TestRead:
    def test_plain(self, write, tmp_path):
        assert same(read_checkpoint(write(STATE, tmp_path / "w.pth")), STATE)

    def test_dtypes_and_views(self, write, tmp_path):
        base = torch.arange(12.0)
        state = {
            "half": base.half(),
            "bfloat16": base.bfloat16(),
            "double": base.double(),
            "counter": torch.tensor(3),
            "bool": base > 3,
            "complex": torch.tensor([1 + 2j]),
            "transposed": base.reshape(3, 4).t(),
            "part": base[3:5],
            "parameter": torch.nn.Parameter(base),
        }
        found = read_checkpoint(write(state, tmp_path / "w.pth"))
        assert same(found, state)
        assert not any(value.requires_grad for value in found.values())

    @pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict"])
    def test_wrapped(self, write, tmp_path, key):
        path = write({"epoch": 210, "perf": 0.7, key: STATE, "optimizer": {}}, tmp_path / "w.pth")
        assert same(read_checkpoint(path), STATE)

    def test_shared_prefix_is_stripped(self, write, tmp_path):
        state = {f"module.{name}": value for name, value in STATE.items()}
        assert same(read_checkpoint(write({"state_dict": state}, tmp_path / "w.pth")), STATE)

    def test_prefix_of_some_stays(self, write, tmp_path):
        state = {"module.a": torch.ones(1), "b": torch.ones(1)}
        assert same(read_checkpoint(write(state, tmp_path / "w.pth")), state)

    def test_notes_beside_tensors_are_left_out(self, write, tmp_path):
        path = write({**STATE, "epoch": 3, "name": "x", "note": None}, tmp_path / "w.pth")
        assert same(read_checkpoint(path), STATE)


@BOTH
@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ([torch.ones(1)], "holds a list"),
        ({}, "holds no tensors"),
        ({"epoch": 3}, "holds no tensors"),
        ({"state_dict": {}}, "holds no tensors"),
        ({"a": [torch.ones(1)]}, "holds a list under 'a'"),
        ({"a": {"b": torch.ones(1)}}, "holds a dict under 'a'"),
        ({"model": STATE, "state_dict": STATE}, "state_dict, model"),
        ({"a": torch.eye(3).to_sparse()}, "'a' as a torch.sparse_coo tensor"),
        ({"a": torch.empty(3, device="meta")}, "tensor on meta"),
    ],
)
def test_contents_that_are_no_weights(write, contents, said, tmp_path):
    assert said in refusal(read_checkpoint, write(contents, tmp_path / "w.pth")).message


@BOTH
@pytest.mark.parametrize("label", hostile_checkpoints.CALLS)
def test_code_is_named_and_not_run(write, label, tmp_path):
    marker = tmp_path / "marker"
    path = write({"w": hostile_checkpoints.call(label, marker), **STATE}, tmp_path / "w.pth")
    error = refusal(read_checkpoint, path)
    assert not marker.exists()
    assert "refused" in error.message
    assert hostile_checkpoints.CALLS[label] in error.message


def test_the_hostile_files_would_take_effect_elsewhere(tmp_path):
    # otherwise the tests above prove nothing
    marker = tmp_path / "marker"
    for label in ("system", "eval", "exec", "open", "eval of data", "loads"):
        pickle.loads(pickle.dumps(hostile_checkpoints.call(label, marker)))
        assert marker.exists(), label
        marker.unlink()


@BOTH
def test_a_whole_model_object(write, tmp_path):
    path = write(torch.nn.Linear(2, 2), tmp_path / "w.pth")
    assert "whole model object" in refusal(read_checkpoint, path).message


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript(tmp_path):
    path = tmp_path / "w.pth"
    traced = torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2))
    torch.jit.save(traced, str(path))
    assert "TorchScript" in refusal(read_checkpoint, path).message


def test_another_zip(tmp_path):
    path = hostile_checkpoints.plain_zip(tmp_path / "w.pth")
    error = refusal(read_checkpoint, path)
    assert_mentions(error.message, "zip", "torch")
    assert "Unpack" in error.hint


@BOTH
@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.8, 0.99])
def test_cut_short(write, share, tmp_path):
    path = write({"w": torch.arange(1000.0)}, tmp_path / "w.pth")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    error = refusal(read_checkpoint, path)
    assert "damaged torch file" in error.message
    assert "download it again" in error.hint


@BOTH
def test_every_cut_of_a_small_file_is_refused(write, tmp_path):
    path = write({"w": torch.arange(3.0)}, tmp_path / "w.pth")
    whole = path.read_bytes()
    for length in range(1, len(whole), 7):
        path.write_bytes(whole[:length])
        refusal(read_checkpoint, path)


class TestAbsurdSizes:
    def test_storage_of_a_zip(self, tmp_path):
        path = hostile_checkpoints.torch_zip({"w": torch.arange(1000.0)}, tmp_path / "w.pth")
        hostile_checkpoints.rewrite_zip(
            path,
            lambda name, data: (
                hostile_checkpoints.swap_integer(data, 1000, hostile_checkpoints.HUGE)
                if name.endswith("data.pkl")
                else data
            ),
        )
        assert (
            f"needs {4 * hostile_checkpoints.HUGE} bytes" in refusal(read_checkpoint, path).message
        )

    def test_storage_just_too_big(self, tmp_path):
        path = hostile_checkpoints.torch_zip({"w": torch.arange(1000.0)}, tmp_path / "w.pth")
        hostile_checkpoints.rewrite_zip(
            path, lambda name, data: data[:-1] if name.endswith("data/0") else data
        )
        assert "needs 4000 bytes, the file has 3999" in refusal(read_checkpoint, path).message

    @pytest.mark.parametrize("elements", [hostile_checkpoints.HUGE, -1])
    def test_storage_of_a_legacy_file(self, elements, tmp_path):
        path = hostile_checkpoints.torch_legacy({"w": torch.arange(1000.0)}, tmp_path / "w.pth")
        data = path.read_bytes()
        big = b"\x8a\x08" + elements.to_bytes(8, "little", signed=True)
        assert data.count(b"M\xe8\x03") == 2
        path.write_bytes(data.replace(b"M\xe8\x03", big))
        said = f"need {4 * elements} bytes" if elements > 0 else "storage of -1 elements"
        assert said in refusal(read_checkpoint, path).message

    def test_missing_storage(self, tmp_path):
        path = hostile_checkpoints.torch_zip({"w": torch.arange(1000.0)}, tmp_path / "w.pth")
        hostile_checkpoints.rewrite_zip(
            path, lambda name, data: None if name.endswith("data/0") else data
        )
        assert "the file has 0 for it" in refusal(read_checkpoint, path).message

    def test_packed_members(self, tmp_path):
        path = hostile_checkpoints.torch_zip({"w": torch.zeros(100_000)}, tmp_path / "w.pth")
        hostile_checkpoints.rewrite_zip(path, lambda _, data: data, compression=8)
        assert "packed" in refusal(read_checkpoint, path).message

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_members_of_one_name(self, tmp_path):
        path = hostile_checkpoints.torch_zip({"w": torch.zeros(10)}, tmp_path / "w.pth")
        with hostile_checkpoints.zipfile.ZipFile(path, "a") as archive:
            archive.writestr(next(n for n in archive.namelist() if n.endswith("data/0")), b"0" * 40)
        assert "overlap" in refusal(read_checkpoint, path).message

    @pytest.mark.filterwarnings("ignore:TypedStorage")
    @pytest.mark.parametrize("kind", torch_file.ITEM_BYTES)
    def test_item_sizes_are_torchs(self, kind):
        assert torch_file.ITEM_BYTES[kind] == getattr(torch, kind)().element_size()


# --- numpy arrays beside the weights, as mmengine leaves them -----------------------------------


ARRAYS = {"sigmas": np.array([0.026, 0.025]), "one": np.float32(3), "words": np.array(["a", "b"])}


@BOTH
class TestArraysInNotes:
    def test_are_passed_over(self, write, tmp_path):
        pytest.importorskip("torch", minversion="2.5")
        path = write({"state_dict": STATE, "meta": {"dataset_meta": ARRAYS}}, tmp_path / "w")
        assert same(read_checkpoint(path), STATE)

    def test_are_no_weights(self, write, tmp_path):
        pytest.importorskip("torch", minversion="2.5")
        path = write({"a": torch.ones(2), "b": np.ones(2)}, tmp_path / "w")
        assert_mentions(refusal(read_checkpoint, path).message, "'b'", "tensor")

    def test_allocate_nothing(self, write, tmp_path):
        pytest.importorskip("torch", minversion="2.5")
        huge = hostile_checkpoints.Call(
            np.zeros(1).__reduce__()[0], np.ndarray, (hostile_checkpoints.HUGE,), b"b"
        )
        path = write({"state_dict": STATE, "meta": huge}, tmp_path / "w")
        assert same(read_checkpoint(path), STATE)

    def test_other_callables_beside_them_stay_refused(self, write, tmp_path):
        notes = {"sigmas": np.zeros(2), "evil": hostile_checkpoints.Call(eval, "1")}
        path = write({"state_dict": STATE, "meta": notes}, tmp_path / "w")
        assert "builtins.eval" in refusal(read_checkpoint, path).message

    def test_an_older_torch_is_named(self, write, tmp_path, monkeypatch):
        monkeypatch.delattr(torch.serialization, "safe_globals", raising=False)
        path = write({"state_dict": STATE, "meta": np.zeros(2)}, tmp_path / "w")
        error = refusal(read_checkpoint, path)
        assert "numpy arrays beside its weights" in error.message
        assert error.hint == "Update torch to 2.5 or later."
