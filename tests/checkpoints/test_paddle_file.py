"""Paddle's .pdparams, real ones and made ones."""

from __future__ import annotations

import hashlib
import json
import pickle
import resource
import struct
from collections import OrderedDict
from pathlib import Path

import hostile_checkpoints
import numpy as np
import pytest
import torch
from refusals import assert_mentions, refusal

from posebench.checkpoints import read_checkpoint
from posebench.types.errors import UserError

PROTOCOLS = pytest.mark.parametrize("protocol", [2, 3, 4, 5])
STATE = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "norm._mean": np.array([0.5, -1.0], np.float32),
}
REAL = (
    "dense_tensor_eval_proto2.pdparams",
    "dense_tensor_eval_proto4.pdparams",
    "dtypes.pdparams",
    "nested.pdparams",
    "numpy_dict.pdparams",
    "sliced_big_param.pdparams",
    "state_dict_proto2.pdparams",
    "state_dict_proto3.pdparams",
    "state_dict_proto4.pdparams",
)


def same(found: dict[str, torch.Tensor], expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == torch.from_numpy(np.array(expected[name])).dtype
        and np.array_equal(found[name].numpy(), expected[name])
        for name in expected
    )


def write(data: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "w.pdparams"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", REAL)
def test_files_that_paddle_wrote(name, shared):
    expected = json.loads((shared / "goldens/formats/paddle/expected.json").read_text())[name]
    expected = expected.get("model", expected)
    found = read_checkpoint(shared / "goldens/formats/paddle" / name)
    assert found.keys() == expected.keys()
    for key, (dtype, shape, digest) in expected.items():
        value = found[key]
        assert str(value.dtype) == f"torch.{dtype}"
        assert list(value.shape) == shape
        bits = value.view(torch.int16) if value.dtype == torch.bfloat16 else value
        assert hashlib.sha256(bits.numpy().tobytes()).hexdigest() == digest


def test_a_lone_tensor_is_no_model(shared):
    error = refusal(read_checkpoint, shared / "goldens/formats/paddle/single_tensor.pdtensor")
    assert_mentions(error.message, "Tensor", "named tensors")


@PROTOCOLS
class TestRead:
    def test_arrays(self, protocol, tmp_path):
        path = hostile_checkpoints.paddle(STATE, tmp_path / "w", protocol)
        assert same(read_checkpoint(path), STATE)

    def test_runtime_names_are_dropped(self, protocol, tmp_path):
        contents = OrderedDict(STATE)
        contents["StructuredToParameterName@@"] = {name: "w_0" for name in STATE}
        path = hostile_checkpoints.paddle(contents, tmp_path / "w", protocol)
        assert same(read_checkpoint(path), STATE)

    def test_named_tuples_and_a_wrapper(self, protocol, tmp_path):
        inner = {name: (f"conv2d_0.w_{i}", value) for i, (name, value) in enumerate(STATE.items())}
        contents = {"model": inner, "epoch": 3, "lr": np.float64(0.1), "optimizer": {"a": {}}}
        path = hostile_checkpoints.paddle(contents, tmp_path / "w", protocol)
        assert same(read_checkpoint(path), STATE)

    def test_layouts_and_byte_orders(self, protocol, tmp_path):
        values = np.arange(6, dtype=np.float32).reshape(2, 3)
        state = {
            "fortran": np.asfortranarray(values),
            "big": values.astype(">f4"),
            "scalar": np.array(2.5, np.float32),
            "empty": np.zeros((0, 3), np.float32),
            "part": values[:, 1:],
        }
        found = read_checkpoint(hostile_checkpoints.paddle(state, tmp_path / "w", protocol))
        assert found.keys() == state.keys()
        for name, value in state.items():
            assert found[name].dtype == torch.float32
            assert found[name].shape == value.shape
            assert np.array_equal(found[name].numpy(), value)

    def test_uint16_is_bfloat16(self, protocol, tmp_path):
        values = torch.tensor([1.0, -2.5, 3e38]).bfloat16()
        bits = values.view(torch.int16).numpy().view(np.uint16)
        found = read_checkpoint(hostile_checkpoints.paddle({"w": bits}, tmp_path / "w", protocol))
        assert found["w"].dtype == torch.bfloat16
        assert torch.equal(found["w"], values)

    def test_slices_are_joined(self, protocol, tmp_path):
        values = np.arange(12, dtype=np.float32)
        contents = {
            "w@@.0": values[:5],
            "w@@.1": values[5:],
            "b": values[:2],
            "UnpackBigParamInfor@@": {
                "w": {"OriginShape": (3, 4), "slices": ["w@@.0", "w@@.1"]},
            },
        }
        found = read_checkpoint(hostile_checkpoints.paddle(contents, tmp_path / "w", protocol))
        assert same(found, {"b": values[:2], "w": values.reshape(3, 4)})

    def test_one_array_under_two_names(self, protocol, tmp_path):
        values = np.arange(1000, dtype=np.float32)
        path = hostile_checkpoints.paddle({"a": values, "b": values}, tmp_path / "w", protocol)
        assert path.stat().st_size < 2 * values.nbytes
        assert same(read_checkpoint(path), {"a": values, "b": values})

    def test_tensors_can_be_written_to(self, protocol, tmp_path):
        found = read_checkpoint(hostile_checkpoints.paddle(STATE, tmp_path / "w", protocol))
        found["norm._mean"] += 1
        assert found["norm._mean"].tolist() == [1.5, 0.0]


@pytest.mark.parametrize("code", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"])
def test_number_types(code, tmp_path):
    values = np.array([[0, 1], [1, 0]], code)
    found = read_checkpoint(hostile_checkpoints.paddle({"w": values}, tmp_path / "w"))
    assert same(found, {"w": values})


@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_numpy_1_and_2_name_their_modules_differently(core, tmp_path):
    data = pickle.dumps(STATE, protocol=2)
    other = data.replace(b"numpy._core", core).replace(b"numpy.core", core)
    assert core + b".multiarray" in other
    assert same(read_checkpoint(write(other, tmp_path)), STATE)


@pytest.mark.parametrize("protocol", [2, 4])
class TestEvalForm:
    def test_its_one_meaning_is_read(self, protocol, tmp_path):
        values = STATE["norm._mean"]
        contents = {"w": hostile_checkpoints.Call(eval, "data", {"data": values})}
        path = hostile_checkpoints.paddle(contents, tmp_path / "w", protocol)
        assert same(read_checkpoint(path), {"w": values})

    @pytest.mark.parametrize(
        "arguments",
        [
            ("data",),
            ("data", {}),
            ("data", {"data": 1, "more": 2}),
            ("data", {"other": 1}),
            ("data", [1]),
            ("data ", {"data": 1}),
            ("[data][0]", {"data": 1}),
        ],
    )
    def test_any_other_is_refused(self, protocol, arguments, tmp_path):
        path = hostile_checkpoints.paddle(
            {"w": hostile_checkpoints.Call(eval, *arguments)}, tmp_path / "w", protocol
        )
        assert "builtins.eval" in refusal(read_checkpoint, path).message


@PROTOCOLS
@pytest.mark.parametrize("label", hostile_checkpoints.CALLS)
def test_code_is_named_and_not_run(protocol, label, tmp_path):
    marker = tmp_path / "marker"
    contents = {**STATE, "w": hostile_checkpoints.call(label, marker)}
    error = refusal(read_checkpoint, hostile_checkpoints.paddle(contents, tmp_path / "w", protocol))
    assert not marker.exists()
    assert "refused" in error.message
    assert hostile_checkpoints.CALLS[label] in error.message


@pytest.mark.parametrize(
    ("data", "said"),
    [
        # protocol 4 may name a path inside a module
        (b"\x80\x04\x8c\x08builtins\x8c\x0eeval.__class__\x93.", "builtins.eval.__class__"),
        (b"\x80\x02cnumpy\nload\n.", "numpy.load"),
        (b"\x80\x02cnumpy.core.multiarray\nfromfile\n.", "numpy.core.multiarray.fromfile"),
        (b"\x80\x02ccollections\nnamedtuple\n.", "collections.namedtuple"),
        (b"\x80\x02X\x01\x00\x00\x00aQ.", "an object outside the file"),
        (b"\x80\x02c__builtin__\nbytes\nK\x05\x85R.", "builtins.bytes"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00hex\x86R.", "'hex'"),
    ],
)
def test_other_names_are_refused(data, said, tmp_path):
    error = refusal(read_checkpoint, write(data, tmp_path))
    assert "is refused" in error.message
    assert said in error.message


class TestAbsurdSizes:
    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (
                hostile_checkpoints.ndarray_pickle((hostile_checkpoints.HUGE,), b"1234"),
                f"needs {4 * hostile_checkpoints.HUGE} bytes",
            ),
            (hostile_checkpoints.ndarray_pickle((2,), b"1234"), "needs 8 bytes and has 4"),
            (hostile_checkpoints.ndarray_pickle((1,), b"12345678"), "needs 4 bytes and has 8"),
            (hostile_checkpoints.ndarray_pickle((-1,), b"1234"), "(-1,) is not a shape"),
            (hostile_checkpoints.ndarray_pickle((1.0,), b"1234"), "(1.0,) is not a shape"),
            (hostile_checkpoints.ndarray_pickle((True,), b"1234"), "(True,) is not a shape"),
            (hostile_checkpoints.ndarray_pickle((1,), b"12345678", "O"), "values of type 'O8'"),
            (hostile_checkpoints.ndarray_pickle((1,), b"12345678", "S8"), "values of type 'S8'"),
            (hostile_checkpoints.ndarray_pickle((1,), 5), "without its bytes"),
            (
                hostile_checkpoints.reconstruct_pickle((hostile_checkpoints.HUGE,)),
                "without its bytes",
            ),
            (
                hostile_checkpoints.ndarray_call_pickle((hostile_checkpoints.HUGE,)),
                "takes no arguments",
            ),
            (hostile_checkpoints.shared_bytes_pickle(50, 1 << 16), "more bytes than it has"),
            # a string of 2**62 bytes, and a frame of as many
            (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"a.", "damaged"),
            (b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"}.", "damaged"),
        ],
    )
    def test_is_refused_before_memory_is_taken(self, data, said, tmp_path):
        error = refusal(read_checkpoint, write(data, tmp_path))
        assert "damaged Paddle file" in error.message
        assert said in error.message

    def test_memo_table(self, tmp_path):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        error = refusal(read_checkpoint, write(hostile_checkpoints.memo_pickle(1 << 27), tmp_path))
        assert "memo index 134217728" in error.message
        # the table of the C unpickler would take 2 GiB
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000

    def test_slices_of_another_size(self, tmp_path):
        row = {"OriginShape": (hostile_checkpoints.HUGE,), "slices": ["w@@.0"]}
        contents = {"w@@.0": np.ones(3, np.float32), "UnpackBigParamInfor@@": {"w": row}}
        path = hostile_checkpoints.paddle(contents, tmp_path / "w")
        assert "the slices of w hold 3 values" in refusal(read_checkpoint, path).message

    @pytest.mark.parametrize(
        "table", [5, {"w": {"slices": ["x"]}}, {"w": {"slices": ["b"]}}, {"w": 1}]
    )
    def test_a_wrong_table_of_slices(self, table, tmp_path):
        contents = {"b": np.ones(3, np.float32), "UnpackBigParamInfor@@": table}
        path = hostile_checkpoints.paddle(contents, tmp_path / "w")
        assert "damaged Paddle file" in refusal(read_checkpoint, path).message


@pytest.mark.parametrize("protocol", [2, 4])
def test_every_cut_is_refused(protocol, tmp_path):
    whole = pickle.dumps(STATE, protocol=protocol)
    for length in range(2, len(whole) - 1):
        refusal(read_checkpoint, write(whole[:length], tmp_path))


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_flipped_byte_never_shows_a_traceback(protocol, tmp_path):
    whole = pickle.dumps(STATE, protocol=protocol)
    refusals = 0
    for position in range(2, len(whole)):
        garbled = bytearray(whole)
        garbled[position] ^= 0x15
        try:
            read_checkpoint(write(bytes(garbled), tmp_path))
        except UserError:
            refusals += 1
    assert refusals > len(whole) // 4


@pytest.mark.parametrize("contents", [[1], "text", 5, None, {}, {"a": [1]}, {"a": {"b": {}}}])
def test_contents_that_are_no_weights(contents, tmp_path):
    error = refusal(read_checkpoint, hostile_checkpoints.paddle(contents, tmp_path / "w"))
    assert "holds" in error.message


def test_a_cycle_is_refused(tmp_path):
    contents: dict[str, object] = {}
    contents["model"] = contents
    error = refusal(read_checkpoint, hostile_checkpoints.paddle(contents, tmp_path / "w"))
    assert "holds" in error.message
