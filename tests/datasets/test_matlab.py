"""The reader of MATLAB files: equal to scipy's on whole files, and never surprised by others."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.io import loadmat, savemat

from posebench.datasets.matlab import MatlabError, read_matlab

LIMIT = 1 << 20


def packed(content, compressed=False):
    buffer = io.BytesIO()
    savemat(buffer, content, do_compression=compressed)
    return buffer.getvalue()


TYPES = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]
NUMBERS = st.sampled_from(TYPES).flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=2, max_dims=4, max_side=4))
)


@given(first=NUMBERS, second=NUMBERS, compressed=st.booleans())
def test_numbers_are_those_scipy_reads(first, second, compressed):
    data = packed({"first": first, "skipped": "text", "second": second}, compressed)
    found, expected = read_matlab(data, ("first", "second"), LIMIT), loadmat(io.BytesIO(data))
    assert set(found) == {"first", "second"}
    for name, value in found.items():
        assert value.dtype == expected[name].dtype
        assert np.array_equal(value, expected[name], equal_nan=value.dtype.kind == "f")


def test_cells_and_texts_become_lists():
    content = {
        "joints": np.array([["rank", "a"], ["lwri", "much longer"]], object),
        "one": "some words",
        "rows": np.array(["ab", "cd", "ef"]),
        "mixed": np.array([["text", np.arange(3.0)]], object),
        "none": np.zeros((0, 3)),
    }
    found = read_matlab(packed(content), content, LIMIT)
    assert found["joints"] == ["rank", "lwri", "a", "much longer"], "columns go first in MATLAB"
    assert found["one"] == ["some words"]
    assert found["rows"] == ["ab", "cd", "ef"]
    assert found["mixed"][0] == "text"
    assert found["mixed"][1].tolist() == [[0, 1, 2]]
    assert found["none"].shape == (0, 3)


# --- files as MATLAB itself writes them: other byte order, short elements, narrow numbers --------


def element(order, kind, content):
    if len(content) <= 4 and kind not in (14, 15):
        return struct.pack(f"{order}I", kind | len(content) << 16) + content.ljust(4, b"\0")
    padding = b"" if kind == 15 else b"\0" * (-len(content) % 8)
    return struct.pack(f"{order}II", kind, len(content)) + content + padding


def matrix(order, kind, shape, name, *rest, flags=0):
    parts = [
        element(order, 6, struct.pack(f"{order}II", flags << 8 | kind, 0)),
        element(order, 5, struct.pack(f"{order}{len(shape)}i", *shape)),
        element(order, 1, name),
        *rest,
    ]
    return element(order, 14, b"".join(parts))


def file(order, *variables):
    mark = {"<": b"IM", ">": b"MI"}[order]
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x0100) + mark
    return header + b"".join(variables)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compressed", [False, True])
def test_both_byte_orders_narrow_numbers_and_short_elements(order, compressed):
    # doubles whose values fit a byte or a word are stored so
    bytes_ = matrix(order, 6, (1, 3), b"few", element(order, 2, bytes([3, 200, 5])))
    words = matrix(
        order, 6, (2, 2), b"words", element(order, 3, struct.pack(f"{order}4h", *range(4)))
    )
    letters = "".join(("rank", "rkne")).encode(f"utf-16-{'le' if order == '<' else 'be'}")
    cells = [
        matrix(order, 4, (1, 4), b"", element(order, 4, letters[:8])),
        matrix(order, 4, (1, 4), b"", element(order, 4, letters[8:])),
    ]
    joints = matrix(order, 1, (1, 2), b"dataset_joints", *cells)
    variables = [bytes_, words, joints]
    if compressed:
        variables = [element(order, 15, zlib.compress(each)) for each in variables]
    found = read_matlab(file(order, *variables), ("few", "words", "dataset_joints"), LIMIT)
    assert found["few"].tolist() == [[3, 200, 5]]
    assert found["words"].tolist() == [[0, 2], [1, 3]]
    assert found["dataset_joints"] == ["rank", "rkne"]


def nested(depth):
    value = matrix("<", 6, (1, 1), b"", element("<", 2, b"\1"))
    for _ in range(depth):
        value = matrix("<", 1, (1, 1), b"a", value)
    return file("<", value)


DOUBLE = element("<", 9, struct.pack("<d", 1.0))
BOMB = element("<", 15, zlib.compress(b"\0" * (LIMIT + 1000)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "does not begin"),
        (b"x" * 500, "does not begin"),
        (b"\x89HDF\r\n\x1a\n".ljust(600), "version 7.3"),
        (b"MATLAB 7.3 MAT-file".ljust(600), "version 7.3"),
        (file("<", b"\x0e\0\0"), "cut off"),
        (file("<", struct.pack("<II", 14, 2**31)), "cut off"),
        (file("<", matrix("<", 6, (1, 2), b"a", DOUBLE)), "as many numbers"),
        (file("<", matrix("<", 6, (2**31 - 1, 2**31 - 1), b"a", DOUBLE)), "has the shape"),
        (file("<", matrix("<", 6, (-1, -1), b"a", DOUBLE)), "has the shape"),
        (file("<", matrix("<", 6, (1, 1), b"a", element("<", 8, b"12345678"))), "unknown type 8"),
        (file("<", matrix("<", 6, (1, 1), b"a", DOUBLE, flags=8)), "neither numbers nor text"),
        (file("<", matrix("<", 2, (1, 1), b"a", DOUBLE)), "neither numbers nor text"),
        (file("<", matrix("<", 4, (1, 2), b"a", element("<", 16, b"abc"))), "as many letters"),
        (file("<", matrix("<", 4, (1, 3), b"a", element("<", 16, b"\xff\xfe\xfd"))), "not text"),
        (file("<", matrix("<", 1, (1, 1), b"a", DOUBLE)), "not an array"),
        (file("<", element("<", 14, element("<", 1, b"a") * 3)), "class and shape"),
        (file("<", element("<", 15, b"not zlib at all")), "damaged"),
        (file("<", BOMB), "larger than"),
        (nested(9), "neither numbers nor text"),
    ],
)
def test_a_wrong_file_is_explained(data, words):
    with pytest.raises(MatlabError, match=words):
        read_matlab(data, ("a",), LIMIT)


def test_what_is_not_wanted_is_not_read():
    broken = matrix("<", 6, (2**31 - 1, 2), b"b", DOUBLE)
    whole = matrix("<", 6, (1, 1), b"a", DOUBLE)
    assert read_matlab(file("<", broken, whole), ("a",), LIMIT)["a"].tolist() == [[1.0]]


def test_cells_within_cells_are_read_to_a_depth():
    assert read_matlab(nested(1), ("a",), LIMIT)["a"][0].tolist() == [[1]]


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_files_are_read_or_refused(compressed):
    """Bytes on which scipy's reader has ended the process."""
    joints = np.array([["rank", "rkne", "rhip"]], object)
    good = packed({"dataset_joints": joints, "pos": np.ones((16, 2, 4))}, compressed)
    generator, refused = np.random.default_rng(1), 0
    for turn in range(600):
        data = bytearray(good)
        for place in generator.integers(0, len(good), 4):
            data[place] = generator.integers(0, 256)
        if turn % 4 == 0:
            data = data[: generator.integers(0, len(good))]
        try:
            read_matlab(bytes(data), ("dataset_joints", "pos"), LIMIT)
        except ValueError:
            refused += 1
    assert 100 < refused < 600
