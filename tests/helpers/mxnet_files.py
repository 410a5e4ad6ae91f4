"""Writes MXNet's ``.params``, every version, so that whole and broken files can be made."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

V0, V1, V2, V3 = None, 0xF993FAC8, 0xF993FAC9, 0xF993FACA
CODES = {"f4": 0, "f8": 1, "f2": 2, "u1": 3, "i4": 4, "i1": 5, "i8": 6, "b1": 7, "i2": 8}


def array(values: NDArray[np.generic], version: int | None = V2) -> bytes:
    code = CODES[values.dtype.str[1:]]
    return header(values.shape, version) + struct.pack("<iii", 1, 0, code) + values.tobytes()


def header(shape: tuple[int, ...], version: int | None = V2, storage: int = 0) -> bytes:
    """The part of an array before context, type and data."""
    if version is V0:
        return struct.pack(f"<I{len(shape)}I", len(shape), *shape)
    kind = struct.pack("<Ii", version, storage) if version != V1 else struct.pack("<I", version)
    return kind + struct.pack(f"<i{len(shape)}q", len(shape), *shape)


def file(arrays: list[bytes], names: list[str] | None = None) -> bytes:
    listed = b"".join(struct.pack("<Q", len(n.encode())) + n.encode() for n in names or ())
    counts = struct.pack("<QQQ", 0x112, 0, len(arrays)), struct.pack("<Q", len(names or ()))
    return counts[0] + b"".join(arrays) + counts[1] + listed


def params(state: Mapping[str, NDArray[np.generic]], version: int | None = V2) -> bytes:
    return file([array(values, version) for values in state.values()], list(state))


def write(state: Mapping[str, NDArray[np.generic]], path: Path, *, packed: bool = False) -> Path:
    """Write a file as GluonCV publishes it: alone, or as the only member of a zip."""
    data = params(state)
    path.write_bytes(zipped({"model-00000000.params": data}) if packed else data)
    return path


def zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()
