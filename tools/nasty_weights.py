"""Weights files that are broken or mean harm, for ``tools/nasty.py``."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_safetensors

MARKER = "POSEBENCH_NASTY_FILE_WAS_RUN"
HUGE = 1 << 50
WHEN = (1980, 1, 1, 0, 0, 0)
File = tuple[str, bytes]  # where, content


class Call:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip with fixed dates."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, WHEN)
            archive.writestr(info, content, compress_type=method)
    return buffer.getvalue()


def nameless(archive: bytes) -> bytes:
    """A zip of one member whose table of contents has no name for it."""
    start = archive.index(b"PK\x01\x02")
    record, end = archive[start:-22], archive[-22:]
    (length,) = struct.unpack_from("<H", record, 28)
    record = record[:28] + struct.pack("<H", 0) + record[30:46] + record[46 + length :]
    return archive[:start] + record + end[:12] + struct.pack("<I", len(record)) + end[16:]


LEVELS = 44
# The same tuple twice in a tuple, and so on; then as the key of a dict, whose hash is never done.
TUPLES = b")" + b"2\x86" * LEVELS
KEY = b"\x80\x02}" + TUPLES + b"Ns."


def text(value: str) -> bytes:
    """A text in a pickle."""
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def unfolding(container: str) -> Iterator[tuple[str, bytes]]:
    """Pickles of some hundred bytes whose values no machine can hash, print or hold."""
    lists = b"(]q\x00" + b"".join(
        b"]q%c(h%ch%ce" % (level, level - 1, level - 1) for level in range(1, LEVELS)
    )
    codec = text("hex")
    double = b"".join(b"q%ch\x00h%c%s\x86R" % (k, k, codec) for k in range(1, LEVELS))
    encoded = text("abcdefgh") + text("latin1") + b"\x86R" + double
    modulus = (1 << 61) - 1
    numbers = (modulus * (k + 1) for k in range(4_000))
    keys = b"".join(b"\x8a\x0b" + n.to_bytes(11, "little") + b"N" for n in numbers)
    yield f"refused/key.{container}", KEY
    yield f"refused/set.{container}", b"\x80\x02cbuiltins\nset\n](" + TUPLES + b"e\x85R."
    yield f"refused/lists.{container}", b"\x80\x02" + lists + b"t."
    yield f"refused/cycle.{container}", b"\x80\x02]q\x00h\x00a."
    yield f"refused/encoded.{container}", b"\x80\x02c_codecs\nencode\nq\x00" + encoded + b"."
    yield f"refused/collide.{container}", b"\x80\x02}(" + keys + b"u."
    size = b"\x8a\x06" + (1 << 40).to_bytes(6, "little")
    yield f"refused/bytearray.{container}", b"\x80\x02cbuiltins\nbytearray\n" + size + b"\x85R."


def torch_zip(pickled: bytes, storages: dict[str, bytes] | None = None) -> bytes:
    """What torch.save writes, around any pickle."""
    members = {"archive/data.pkl": pickled, "archive/version": b"3\n"}
    return zipped(members | {f"archive/data/{k}": v for k, v in (storages or {}).items()})


def torch_files() -> Iterator[File]:
    """Pickles that ask for more than tensors, and zips that are not torch files."""
    run = Call(os.system, f"touch {MARKER}")
    yield "refused/system.pth", torch_zip(pickle.dumps(run, 2))
    yield "refused/eval.pth", torch_zip(pickle.dumps({"a": Call(eval, f"open('{MARKER}','w')")}, 2))
    yield "refused/legacy_exec.pth", legacy(pickle.dumps(Call(exec, f"open('{MARKER}','w')"), 2))
    yield "refused/memo.pth", torch_zip(b"\x80\x02}r" + struct.pack("<I", 0x7FFFFFFF) + b".")
    yield "refused/no_stop.pth", torch_zip(b"\x80\x02}")
    yield "refused/deep.pth", torch_zip(b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".")
    packed = zipped({"archive/data.pkl": bytes(5_000_000)}, zipfile.ZIP_DEFLATED)
    yield "refused/bomb.pth", packed
    yield "refused/document.pth", zipped({"word/document.xml": b"<document/>"})
    yield "refused/two_pickles.pth", zipped({"a/data.pkl": b"N.", "b/data.pkl": b"N."})
    whole = io.BytesIO()
    torch.save({"w": torch.zeros(3)}, whole)
    yield "refused/cut.pth", whole.getvalue()[:-40]
    yield "refused/page.pth", b"<!DOCTYPE html><title>Quota exceeded</title>"
    yield "refused/empty.pth", b""
    yield "refused/nameless.pth", nameless(zipped({"archive/data.pkl": b"N."}))
    for name, pickled in unfolding("pth"):
        yield name, torch_zip(pickled)
    yield "refused/legacy_key.pth", legacy(KEY)
    yield "refused/legacy_keys_of_storages.pth", legacy(pickle.dumps({}, 2)) + KEY
    members = {"archive/data.pkl": b"\x80\x02}.", "archive/DATA.PKL": KEY}
    yield "refused/case.pth", zipped(members | {"archive/version": b"3\n"})


def legacy(pickled: bytes) -> bytes:
    """torch.save's format before 1.6, around any pickle."""
    head = [pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    return b"".join([*head, pickled])


def mxnet_files() -> Iterator[File]:
    """Array lists with absurd headers."""
    head = struct.pack("<QQQ", 0x112, 0, 1)
    array = struct.pack("<IiI", 0xF993FAC9, 0, 1)

    def one(ndim: int, *sides: int, code: int = 0) -> bytes:
        shape = struct.pack(f"<Iii{len(sides)}q", 0xF993FAC9, 0, ndim, *sides)
        return head + shape + struct.pack("<iii", 1, 0, code)

    yield "refused/count.params", struct.pack("<QQQ", 0x112, 0, HUGE)
    yield "refused/shape.params", one(2, HUGE, HUGE)
    yield "refused/negative.params", one(1, -4)
    yield "refused/dimensions.params", one(2_000_000_000)
    yield "refused/type.params", one(1, 4, code=99) + bytes(16)
    yield "refused/sparse.params", head + struct.pack("<Ii", 0xF993FAC9, 1) + bytes(64)
    name = head + struct.pack("<Iiiq", 0xF993FAC9, 0, 1, 1) + struct.pack("<iii", 1, 0, 0)
    yield "refused/name.params", name + bytes(4) + struct.pack("<QQ", 1, HUGE)
    yield "refused/tail.params", name + bytes(4) + struct.pack("<QQ", 1, 1) + b"aMORE"
    yield "refused/cut.params", head + array[:7]


def paddle_files() -> Iterator[File]:
    """Pickles whose arrays are not what they say."""
    whole = np.zeros(4, np.float32).__reduce__()

    class Array:
        def __init__(self, shape: Any, raw: Any) -> None:
            self.state = (1, shape, np.dtype("f4"), False, raw)

        def __reduce__(self) -> Any:
            return (*whole[:2], self.state)

    def dumped(value: Any) -> bytes:
        # numpy 1's name of the module, whichever version writes this
        return pickle.dumps(value, 2).replace(b"numpy._core.", b"numpy.core.")

    yield "refused/system.pdparams", dumped({"w": Call(os.system, f"touch {MARKER}")})
    yield "refused/shape.pdparams", dumped({"w": Array((HUGE,), b"1234")})
    yield "refused/negative.pdparams", dumped({"w": Array((-1,), b"1234")})
    yield "refused/words.pdparams", dumped({"w": Array("big", b"1234")})
    yield "refused/no_bytes.pdparams", dumped({"w": Array((1,), 5)})
    yield "refused/list.pdparams", dumped([1, 2, 3])
    yield "refused/names.pdparams", dumped({5: Array((1,), b"1234")})
    yield "refused/slices.pdparams", dumped({"UnpackBigParamInfor@@": {"w": {"slices": ["a"]}}})
    yield "refused/deep.pdparams", b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b"."
    yield "refused/cut.pdparams", dumped({"w": Array((1,), b"1234")})[:-9]
    yield from unfolding("pdparams")
    code = b"\x80\x02}" + text("w") + b"cnumpy\ndtype\n" + TUPLES + b"\x85Rs."
    yield "refused/dtype.pdparams", code


def safetensors_files() -> Iterator[File]:
    """Tables of contents that do not fit their bytes."""

    def table(content: Any, data: bytes = b"", length: int | None = None) -> bytes:
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text + data

    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    yield "refused/length.safetensors", table({"w": tensor}, bytes(4), length=HUGE)
    yield "refused/offsets.safetensors", table({"w": tensor | {"data_offsets": [0, HUGE]}})
    yield "refused/shape.safetensors", table({"w": tensor | {"shape": [HUGE, HUGE]}}, bytes(4))
    yield "refused/overlap.safetensors", table({"a": tensor, "b": tensor}, bytes(4))
    yield "refused/words.safetensors", table(b"{no json}", bytes(4))
    yield "refused/deep.safetensors", table(b'{"a":' * 20_000 + b"1" + b"}" * 20_000, bytes(4))
    yield "refused/nothing.safetensors", table({})
    yield "read/metadata.safetensors", save_safetensors({"w": torch.zeros(2)}, {"x": "<script>"})
