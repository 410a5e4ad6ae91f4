"""Which container a weights file is, told from its first bytes and never from its name."""

from __future__ import annotations

import struct
from pathlib import Path

from posebench.checkpoints.archives import packed_params
from posebench.checkpoints.files import read_head, size_of
from posebench.types.errors import UserError

ZIP = b"PK\x03\x04"
# torch.save before 1.6: a pickle of the integer 0x1950A86A20F9469CFC6C comes first.
LEGACY_TORCH = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
# Pickle protocols 2 to 5 begin with the PROTO opcode and their number.
PICKLES = tuple(bytes((0x80, protocol)) for protocol in (2, 3, 4, 5))
# MXNet NDArray list: uint64 magic 0x112, uint64 reserved (apache/mxnet src/ndarray/ndarray.cc).
MXNET = struct.pack("<QQ", 0x112, 0)
ARCHIVES = {b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7z", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
TAR_OFFSET, TAR = 257, b"ustar"


def guess_container(path: Path) -> str:
    """Return ``torch``, ``paddle``, ``safetensors`` or ``mxnet`` (also for the zip it ships in).

    Raises:
        UserError: The path is not a readable file, or its bytes are none of these; the sentence
            says what they look like (a web page, an archive).
    """
    head = read_head(path, TAR_OFFSET + len(TAR))
    if head.startswith(ZIP):
        return "torch" if packed_params(path) is None else "mxnet"
    if head.startswith(LEGACY_TORCH):
        return "torch"
    if head.startswith(PICKLES):
        return "paddle"
    if head.startswith(MXNET):
        return "mxnet"
    if _is_safetensors(head, size_of(path)):
        return "safetensors"
    raise _unknown(path, head)


def _is_safetensors(head: bytes, size: int) -> bool:
    """Eight bytes of header length, then a JSON object of that length."""
    if len(head) < 10 or head[8:9] != b"{":
        return False
    (length,) = struct.unpack("<Q", head[:8])
    return 2 <= length <= size - 8


def _unknown(path: Path, head: bytes) -> UserError:
    again = "Download the file itself; sign-in and quota pages of file hosts look like this."
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return UserError(f"{path} is a web page, not a weights file.", again)
    if text.startswith(b"version https://git-lfs"):
        return UserError(
            f"{path} is a Git LFS pointer, not a weights file.", "Run `git lfs pull` beside it."
        )
    kind = next((name for magic, name in ARCHIVES.items() if head.startswith(magic)), None)
    if kind is None and head[TAR_OFFSET:].startswith(TAR):
        kind = "tar"
    if kind is not None:
        return UserError(
            f"{path} is a {kind} archive, not a weights file.",
            "Unpack it and name the file inside.",
        )
    return UserError(
        f"{path} is not a weights file that posebench knows: it begins with {head[:8]!r}.",
        "It reads torch (.pth), MXNet (.params), Paddle (.pdparams) and safetensors files.",
    )
