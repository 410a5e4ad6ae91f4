"""Safetensors files."""

from __future__ import annotations

import json
import struct
from typing import Any

import hostile_checkpoints
import pytest
import torch
from refusals import refusal
from safetensors.torch import save

from posebench.checkpoints import read_checkpoint, read_metadata

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2).half()}


def document(table: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_read(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(save(STATE, metadata={"format": "pt"}))
    found = read_checkpoint(path)
    assert found.keys() == STATE.keys()
    for name, value in STATE.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def test_every_cut_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    whole = save(STATE)
    for length in range(1, len(whole), 5):
        path.write_bytes(whole[:length])
        refusal(read_checkpoint, path)


@pytest.mark.parametrize(
    ("table", "data"),
    [
        (
            {"w": {"dtype": "F32", "shape": [hostile_checkpoints.HUGE], "data_offsets": [0, 4]}},
            b"1234",
        ),
        ({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 1 << 60]}}, b"1234"),
        ({"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, b"1234"),
        ({"w": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
        ({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"12345678"),
        ({"w": 5}, b""),
    ],
)
def test_a_wrong_table_is_refused(table, data, tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(document(table, data))
    assert "damaged safetensors file" in refusal(read_checkpoint, path).message


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (save(STATE, metadata={"format": "pt"}), {"format": "pt"}),
        (save(STATE), {}),
        (save(STATE)[:20], None),
        (b"", None),
        (b"\xff" * 20, None),
        (document({"__metadata__": {"a": 1}}, b""), None),
        (document({"__metadata__": 5}, b""), None),
        (struct.pack("<Q", 2) + b"[]", None),
        (struct.pack("<Q", 200_000) + b"[" * 200_000, None),
    ],
)
def test_what_a_file_says_about_itself(content, found, tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    if found is None:
        assert "damaged safetensors file" in refusal(read_metadata, path).message
    else:
        assert read_metadata(path) == found


def test_no_tensors(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(document({}, b""))
    assert "holds no tensors" in refusal(read_checkpoint, path).message
