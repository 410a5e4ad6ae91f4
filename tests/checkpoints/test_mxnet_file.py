"""MXNet's array lists: real ones, whole ones of every version, and broken ones."""

from __future__ import annotations

import hashlib
import json
import struct
import tracemalloc
import zipfile
from pathlib import Path

import mxnet_files
import numpy as np
import pytest
import torch
from refusals import assert_mentions, refusal

from posebench.checkpoints import guess_container, read_checkpoint, verify_file
from posebench.types.errors import UserError

REAL = (
    "arg_aux",
    "dtypes",
    "gluon_export-0000",
    "gluon_fp16",
    "gluon_legacy_prefix",
    "gluon_legacy_stripped",
    "gluon_structural",
    "legacy_v0",
    "legacy_v1",
    "npx_v3",
    "unnamed_list",
)
STATE = {
    "0.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "0.bias": np.array([0.5, -1.0], np.float32),
}
VERSIONS = pytest.mark.parametrize(
    "version", [mxnet_files.V0, mxnet_files.V1, mxnet_files.V2, mxnet_files.V3]
)
WHOLE = mxnet_files.params(STATE)
# where the first array of WHOLE begins, and its type number
FIRST, TYPE = 24, 24 + 8 + 4 + 32 + 8
HUGE = 1 << 60
HEAD = struct.pack("<QQQ", 0x112, 0, 1)
CONTEXT = struct.pack("<ii", 1, 0)


@pytest.fixture
def write(tmp_path):
    def write(data: bytes) -> Path:
        path = tmp_path / "w.params"
        path.write_bytes(data)
        return path

    return write


def same(found: dict[str, torch.Tensor], expected: dict[str, np.ndarray]) -> bool:
    return list(found) == list(expected) and all(
        found[n].dtype == torch.from_numpy(v).dtype and np.array_equal(found[n].numpy(), v)
        for n, v in expected.items()
    )


def patched(at: int, value: bytes) -> bytes:
    return WHOLE[:at] + value + WHOLE[at + len(value) :]


@pytest.mark.parametrize("name", REAL)
def test_files_that_mxnet_wrote(name, shared):
    folder = shared / "goldens/formats/mxnet"
    expected = json.loads((folder / "expected.json").read_text())[f"{name}.params"]
    if isinstance(expected, list):
        expected = {str(i): row for i, row in enumerate(expected)}
    found = read_checkpoint(folder / f"{name}.params", "mxnet")
    assert list(found) == list(expected)
    for key, (dtype, shape, digest) in expected.items():
        assert str(found[key].dtype) == f"torch.{dtype}"
        assert list(found[key].shape) == shape
        assert hashlib.sha256(found[key].numpy().tobytes()).hexdigest() == digest


def test_sparse_arrays_that_mxnet_wrote(shared):
    error = refusal(read_checkpoint, shared / "goldens/formats/mxnet/sparse.params")
    assert_mentions(error.message, "array 0", "row-sparse")


@VERSIONS
def test_every_version(version, write):
    assert same(read_checkpoint(write(mxnet_files.params(STATE, version))), STATE)


def test_types(write):
    state = {code: np.array([0, 1, 3]).astype(code) for code in mxnet_files.CODES}
    found = read_checkpoint(write(mxnet_files.params(state)))
    assert same(found, state)
    assert found["b1"].tolist() == [False, True, True]


def test_bfloat16(write):
    values = torch.tensor([1.5, -2.0]).bfloat16()
    raw = values.view(torch.int16).numpy().tobytes()
    data = mxnet_files.header((2,)) + CONTEXT + struct.pack("<i", 12) + raw
    found = read_checkpoint(write(mxnet_files.file([data], ["w"])))
    assert found["w"].dtype == torch.bfloat16
    assert torch.equal(found["w"], values)


def test_a_scalar_is_one_only_where_shapes_are_numpys(write):
    scalar = np.array(2.5, np.float32)
    assert same(
        read_checkpoint(write(mxnet_files.params({"w": scalar}, mxnet_files.V3))), {"w": scalar}
    )


@pytest.mark.parametrize(
    "unfilled",
    [
        mxnet_files.header((), mxnet_files.V0),
        mxnet_files.header((), mxnet_files.V1),
        mxnet_files.header((), mxnet_files.V2),
        struct.pack("<Iii", mxnet_files.V3, 0, -1),
    ],
)
def test_an_array_that_was_never_filled_has_no_data(unfilled, write):
    data = mxnet_files.file([unfilled, mxnet_files.array(STATE["0.bias"])], ["a", "b"])
    found = read_checkpoint(write(data))
    assert found["a"].numel() == 0
    assert found["b"].tolist() == [0.5, -1.0]


def test_arrays_without_names_are_numbered(write):
    found = read_checkpoint(write(mxnet_files.file([mxnet_files.array(v) for v in STATE.values()])))
    assert same(found, dict(zip("01", STATE.values(), strict=True)))


def test_tensors_can_be_written_to(write):
    found = read_checkpoint(write(WHOLE))
    found["0.bias"] += 1
    assert found["0.bias"].tolist() == [1.5, 0.0]


class TestPacked:
    def test_the_zip_it_ships_in(self, write):
        members = {"README": b"", "__MACOSX/a.params": b"x", "folder/a-0000.params": WHOLE}
        path = write(mxnet_files.zipped(members))
        assert guess_container(path) == "mxnet"
        assert same(read_checkpoint(path, "mxnet"), STATE)

    def test_the_published_digest_is_that_of_the_file_inside(self, write):
        path = write(mxnet_files.zipped({"a.params": WHOLE}))
        sha1 = hashlib.sha1(WHOLE).hexdigest()
        verify_file(path, sha1=sha1)
        verify_file(path, sha1=sha1[:8], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
        assert "the published file has 00000000" in refusal(verify_file, path, sha1="0" * 8).message
        verify_file(write(WHOLE), sha1=sha1[:8])

    def test_several_files_inside(self, write):
        path = write(mxnet_files.zipped({"a.params": WHOLE, "b.params": WHOLE}))
        for action in (read_checkpoint, guess_container):
            assert "packs 2 weights files: a.params, b.params" in refusal(action, path).message

    def test_one_that_unfolds_beyond_reason(self, write):
        path = write(mxnet_files.zipped({"a.params": WHOLE + bytes(1 << 24)}))
        error = refusal(read_checkpoint, path)
        assert "a.params unfolds to" in error.message
        refusal(verify_file, path, sha1="0" * 8)

    def test_garbled_archives(self, write):
        whole = mxnet_files.zipped({"a.params": WHOLE})
        for length in range(4, len(whole), 7):
            refusal(read_checkpoint, write(whole[:length]))
        refusals = 0
        for position in range(4, len(whole)):
            garbled = bytearray(whole)
            garbled[position] ^= 0x15
            try:
                read_checkpoint(write(bytes(garbled)))
            except UserError:
                refusals += 1
        assert refusals > len(whole) // 3

    def test_an_encrypted_member(self, write):
        garbled = bytearray(mxnet_files.zipped({"a.params": WHOLE}))
        for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            garbled[garbled.index(signature) + flags] |= 1
        assert "encrypted" in refusal(read_checkpoint, write(bytes(garbled))).message

    def test_torch_zips_stay_torchs(self, tmp_path):
        path = tmp_path / "w.pth"
        torch.save({"w": torch.ones(2)}, path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("extra.params", WHOLE)
        assert guess_container(path) == "torch"


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (patched(FIRST, struct.pack("<I", 0xF993FACB)), ("0xF993FACB",)),
        (patched(FIRST, struct.pack("<I", 0xF993FA01)), ("0xF993FA01",)),
        (patched(FIRST + 4, struct.pack("<i", 2)), ("array 0", "compressed sparse row")),
    ],
)
def test_what_is_whole_but_not_read(data, names, write):
    error = refusal(read_checkpoint, write(data))
    assert_mentions(error.message, *names)
    assert "MXNet" in error.hint or "tostype" in error.hint


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (patched(FIRST + 4, struct.pack("<i", 3)), "storage type 3"),
        (patched(FIRST + 4, struct.pack("<i", -1)), "storage type -1"),
        (patched(FIRST + 8, struct.pack("<i", -1)), "claims -1 dimensions"),
        (patched(FIRST + 8, struct.pack("<i", 1 << 30)), "dimensions"),
        (patched(FIRST, struct.pack("<I", 1 << 30)), "claims 1073741824 dimensions"),
        (patched(FIRST + 12, struct.pack("<q", HUGE)), "claims the shape (1152921504606846976,"),
        (patched(FIRST + 12, struct.pack("<q", -2)), "claims the shape (-2,"),
        (patched(FIRST + 12, struct.pack("<q", 200)), "are left"),
        (patched(TYPE, struct.pack("<i", 99)), "the type number 99"),
        (patched(TYPE, struct.pack("<i", -1)), "the type number -1"),
        (patched(16, struct.pack("<Q", HUGE)), "damaged"),
        (struct.pack("<QQQ", 0x112, 0, HUGE), "byte 24 and 0 are left"),
        (patched(16, struct.pack("<Q", 1)), "damaged"),
        (WHOLE + b"\0", "1 bytes follow its end"),
        (WHOLE[:-6] + b"0.bi\xff\xff", "is not text"),
        (mxnet_files.file([mxnet_files.array(STATE["0.bias"])] * 2, ["a", "a"]), "holds 'a' twice"),
        (mxnet_files.file([mxnet_files.array(STATE["0.bias"])] * 2, ["a"]), "2 arrays and 1 names"),
        # a zero beside the absurd one: no data are missing
        (HEAD + mxnet_files.header((0, HUGE)) + CONTEXT + bytes(12), "claims the shape (0, 115"),
        (HEAD + mxnet_files.header((65535,) * 8) + CONTEXT + bytes(12), "claims the shape"),
        (HEAD + mxnet_files.header((30,) * 32) + CONTEXT + bytes(12), "are left"),
        (
            mxnet_files.file([mxnet_files.array(STATE["0.bias"])], ["a"])[:-9]
            + struct.pack("<Q", HUGE)
            + b"a",
            f"{HUGE} bytes are promised",
        ),
    ],
)
def test_damaged_files(data, said, write):
    path = write(data)
    tracemalloc.start()
    try:
        error = refusal(read_checkpoint, path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "damaged MXNet file" in error.message
    assert said in error.message
    assert peak < 1 << 20


@VERSIONS
def test_every_cut_is_refused(version, write):
    whole = mxnet_files.params(STATE, version)
    for length in range(16, len(whole)):
        refusal(read_checkpoint, write(whole[:length]))


def test_a_flipped_byte_never_shows_a_traceback(write):
    refusals = 0
    for position in range(16, len(WHOLE)):
        garbled = bytearray(WHOLE)
        garbled[position] ^= 0x95
        try:
            read_checkpoint(write(bytes(garbled)))
        except UserError:
            refusals += 1
    assert refusals > len(WHOLE) // 4
