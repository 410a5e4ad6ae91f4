"""Containers are told by content."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile

import hostile_checkpoints
import pytest
import torch
from refusals import assert_mentions, refusal
from safetensors.torch import save_file

from posebench.checkpoints import guess_container, read_checkpoint

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


@pytest.mark.parametrize("suffix", [".pth", ".pdparams", ".safetensors", ""])
def test_the_suffix_does_not_matter(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    hostile_checkpoints.torch_zip(STATE, path)
    assert guess_container(path) == "torch"
    hostile_checkpoints.torch_legacy(STATE, path)
    assert guess_container(path) == "torch"
    save_file(STATE, path)
    assert guess_container(path) == "safetensors"
    for protocol in (2, 3, 4, 5):
        hostile_checkpoints.paddle({}, path, protocol)
        assert guess_container(path) == "paddle"


def test_the_expected_container_is_enforced(tmp_path):
    path = hostile_checkpoints.torch_zip(STATE, tmp_path / "weights.pdparams")
    assert read_checkpoint(path, "torch").keys() == STATE.keys()
    error = refusal(read_checkpoint, path, "paddle")
    assert_mentions(error.message, "torch", "paddle")


def test_mxnet_is_recognised(tmp_path):
    path = tmp_path / "weights.params"
    path.write_bytes(struct.pack("<QQQQ", 0x112, 0, 0, 0))
    assert guess_container(path) == "mxnet"
    assert "holds no tensors" in refusal(read_checkpoint, path).message


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><html><body>Quota exceeded</body></html>",
        b"\xef\xbb\xbf\r\n  <HTML><head></head></HTML>",
        b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        b"<head><title>Sign in</title></head>",
    ],
)
def test_a_web_page_saved_as_weights(tmp_path, page):
    path = tmp_path / "weights.pth"
    path.write_bytes(page)
    assert "is a web page" in refusal(read_checkpoint, path).message


def test_a_git_lfs_pointer(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "git lfs pull" in refusal(read_checkpoint, path).hint


def test_archives_are_named(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(gzip.compress(b"weights"))
    assert "gzip archive" in refusal(read_checkpoint, path).message
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    path.write_bytes(buffer.getvalue())
    assert "tar archive" in refusal(read_checkpoint, path).message
    for head, kind in ((b"7z\xbc\xaf\x27", "7z"), (b"BZh9", "bzip2"), (b"\xfd7zXZ\0", "xz")):
        path.write_bytes(head + b"\0" * 20)
        assert f"{kind} archive" in refusal(read_checkpoint, path).message


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 64,
        b"weights",
        b"\x80",
        b"\x80\x06" + b"." * 20,
        json.dumps({"a": [1, 2]}).encode(),
        # a safetensors table longer than the file, and one too short to be a table
        struct.pack("<Q", 1000) + b'{"a":1}',
        struct.pack("<Q", 1) + b"{" + b" " * 20,
        struct.pack("<Q", 7) + b'["a",1]',
    ],
)
def test_anything_else_is_quoted(tmp_path, data):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    assert repr(data[:8]) in refusal(read_checkpoint, path).message
