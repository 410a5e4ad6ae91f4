"""Files that are broken or mean harm. Each builder writes one; none may ever take effect."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

HUGE = 1 << 50


class Call:
    """Pickles as a call of any function with any arguments."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


CALLS = {
    # label: what the refusal must name
    "system": "posix.system",
    "eval": "builtins.eval",
    "exec": "builtins.exec",
    "getattr": "builtins.getattr",
    "open": "io.open",
    "eval of data": "builtins.eval",
    "loads": "pickle.loads",
}


def call(label: str, marker: Path) -> Call:
    """An object that would create ``marker`` if a loader ran what it asks for."""
    shell = f"touch {marker}"
    source = f"open({str(marker)!r}, 'w').close()"
    return {
        "system": Call(os.system, shell),
        "eval": Call(eval, source),
        "exec": Call(exec, source),
        "getattr": Call(getattr, Call(dict), "system"),
        "open": Call(open, str(marker), "w"),
        # the form that Paddle's LoDTensors use, with code in the place of the name
        "eval of data": Call(eval, source, {"data": 1}),
        "loads": Call(pickle.loads, pickle.dumps(Call(os.system, shell))),
    }[label]


def torch_zip(value: Any, path: Path) -> Path:
    torch.save(value, path)
    return path


def torch_legacy(value: Any, path: Path) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=False)
    return path


def paddle(value: Any, path: Path, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


def rewrite_zip(path: Path, change: Callable[[str, bytes], bytes | None], **options: Any) -> Path:
    """Replace members of a torch zip; None drops one."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            changed = change(name, data)
            if changed is not None:
                archive.writestr(name, changed)
    return path


def swap_integer(data: bytes, old: int, new: int) -> bytes:
    """Replace one small integer of a pickle by a big one."""
    for opcode, argument, position in pickletools.genops(data):
        if argument == old and opcode.name in ("BININT", "BININT1", "BININT2"):
            size = {"BININT1": 2, "BININT2": 3, "BININT": 5}[opcode.name]
            big = b"\x8a\x08" + struct.pack("<q", new)
            return data[:position] + big + data[position + size :]
    raise AssertionError(f"no {old} in the pickle")


def ndarray_pickle(shape: tuple[int, ...], raw: bytes, code: str = "f4") -> bytes:
    """A Paddle file with one array, spelled out so that shape and bytes may disagree."""

    class Array:
        def __reduce__(self) -> Any:
            whole = np.zeros(1, np.float32).__reduce__()
            state = (1, shape, np.dtype(code), False, raw)
            return (*whole[:2], state)

    return pickle.dumps({"w": Array()}, protocol=4)


def reconstruct_pickle(shape: tuple[int, ...]) -> bytes:
    """An array whose reconstruction itself asks for memory; numpy would allocate it."""
    function = np.zeros(1).__reduce__()[0]
    return pickle.dumps({"w": Call(function, np.ndarray, shape, b"b")}, protocol=4)


def ndarray_call_pickle(shape: tuple[int, ...]) -> bytes:
    return pickle.dumps({"w": Call(np.ndarray, shape)}, protocol=4)


def memo_pickle(index: int) -> bytes:
    """A dictionary remembered under a high index: the C unpickler makes a table up to it."""
    return b"\x80\x02}r" + struct.pack("<I", index) + b"."


def shared_bytes_pickle(copies: int, size: int) -> bytes:
    """Many arrays over the same bytes of the file."""
    whole = np.arange(size // 4, dtype=np.float32)
    function, arguments, state = whole.__reduce__()
    raw = state[-1]

    class Array:
        def __reduce__(self) -> Any:
            return (function, arguments, (*state[:-1], raw))

    return pickle.dumps({f"w{i}": Array() for i in range(copies)}, protocol=4)


def plain_zip(path: Path) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", "<document/>")
    path.write_bytes(buffer.getvalue())
    return path
