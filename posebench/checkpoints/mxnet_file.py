"""MXNet's ``.params``: a list of dense arrays and their names, every version of it.

Format: apache/mxnet ``src/ndarray/ndarray.cc`` (``NDArray::Save``, ``Load``) and
``include/mxnet/tuple.h``. All numbers are little-endian. Nothing is allocated on the word of a
header: every length is compared with the bytes that are left.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posebench.checkpoints.archives import packed_params, unpack
from posebench.checkpoints.contents import damaged, tensors_of
from posebench.checkpoints.files import read_all
from posebench.checkpoints.pickles import Damaged
from posebench.types.errors import UserError

LIST_MAGIC = 0x112
V1, V2, V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
# Before V1 an array began with its number of dimensions; no version is as small as this.
MOST_DIMENSIONS = 32
# Bits of MXNet's versions: one that we do not know is told from a damaged array by these.
VERSIONS, VERSION_BITS = 0xF993FA00, 0xFFFFFF00
STORAGE = {0: "dense", 1: "row-sparse", 2: "compressed sparse row"}
# include/mxnet/base.h, 3rdparty/mshadow/mshadow/base.h (kFloat32, ...)
DTYPES = {
    0: "<f4",
    1: "<f8",
    2: "<f2",
    3: "u1",
    4: "<i4",
    5: "i1",
    6: "<i8",
    7: "?",
    8: "<i2",
    12: "<i2",
}
BOOL, BFLOAT16 = 7, 12


def read_mxnet(path: Path) -> dict[str, Tensor]:
    """Return the named CPU tensors of a ``.params`` file, or of the zip that ships it.

    ``arg:`` and ``aux:`` stay in the names. Arrays of a file without names are called by their
    positions: ``0``, ``1``, ... An array that was never filled comes back without elements.

    Raises:
        UserError: The file is cut short or garbled, of an unknown version, or holds sparse
            arrays.
    """
    member = packed_params(path)
    data = read_all(path) if member is None else b"".join(unpack(path, member))
    try:
        return tensors_of(_Reader(data).arrays(), path)
    except _Unreadable as error:
        raise UserError(f"{path} {error}.", error.hint) from error
    except Damaged as error:
        raise damaged(path, "MXNet", error) from error


class _Unreadable(Exception):
    """A whole file that holds what is not read; the text continues a sentence on the file."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint


class _Reader:
    """Walks the bytes of an array list."""

    def __init__(self, data: bytes) -> None:
        self.data = memoryview(data)
        self.at = 0

    def arrays(self) -> dict[str, Tensor]:
        magic, _, count = self.numbers("QQQ")
        if magic != LIST_MAGIC:
            raise Damaged("it does not begin like a list of arrays")
        values: list[Tensor] = []
        while len(values) < count:
            values.append(self.array(len(values)))
        names = self.names(count)
        if self.at != len(self.data):
            raise Damaged(f"{len(self.data) - self.at} bytes follow its end")
        return dict(zip(names, values, strict=True))

    def names(self, count: int) -> list[str]:
        (named,) = self.numbers("Q")
        if named == 0:
            return [str(i) for i in range(count)]
        if named != count:
            raise Damaged(f"it has {count} arrays and {named} names")
        names: dict[str, None] = {}
        while len(names) < count:
            (length,) = self.numbers("Q")
            try:
                name = str(self.take(length), "utf-8")
            except UnicodeDecodeError as error:
                raise Damaged(f"a name of it is not text: {error.reason}") from error
            if name in names:
                raise Damaged(f"it holds '{name}' twice")
            names[name] = None
        return list(names)

    def array(self, index: int) -> Tensor:
        """Read one array of any version: header, device, type, data."""
        (version,) = self.numbers("I")
        if version in (V2, V3):
            (storage,) = self.numbers("i")
            if storage != 0:
                raise _sparse(index, storage)
            (ndim,) = self.numbers("i")
            empty = ndim == (0 if version == V2 else -1)
            shape = () if empty else self.shape(ndim, "q")
        elif version == V1:
            (ndim,) = self.numbers("I")
            empty, shape = ndim == 0, self.shape(ndim, "q")
        else:
            if version & VERSION_BITS == VERSIONS:
                raise _Unreadable(
                    f"holds an array of the unknown version 0x{version:X}",
                    "Save the weights with MXNet 1.x.",
                )
            empty, shape = version == 0, self.shape(version, "I")
        return torch.empty(0) if empty else self.values(shape)

    def shape(self, ndim: int, kind: str) -> tuple[int, ...]:
        if not 0 <= ndim <= MOST_DIMENSIONS:
            raise Damaged(f"an array claims {ndim} dimensions")
        shape = self.numbers(f"{ndim}{kind}")
        # also of shapes with a zero in them, whose data say nothing about the rest
        if any(not 0 <= n <= len(self.data) for n in shape):
            raise Damaged(f"an array claims the shape {shape}")
        return shape

    def values(self, shape: tuple[int, ...]) -> Tensor:
        _, _, code = self.numbers("iii")  # device kind, device number, type
        if code not in DTYPES:
            raise Damaged(f"an array claims the type number {code}")
        dtype = np.dtype(DTYPES[code])
        raw = self.take(math.prod(shape) * dtype.itemsize)
        if code == BOOL:
            return torch.from_numpy(np.frombuffer(raw, np.uint8).reshape(shape) != 0)
        # a copy: the buffer is read-only, and its arrays stand at odd addresses
        values = np.frombuffer(raw, dtype).reshape(shape).astype(dtype.newbyteorder("="))
        tensor = torch.from_numpy(values)
        return tensor.view(torch.bfloat16) if code == BFLOAT16 else tensor

    def numbers(self, kinds: str) -> tuple[Any, ...]:
        return struct.unpack(f"<{kinds}", self.take(struct.calcsize(f"<{kinds}")))

    def take(self, count: int) -> memoryview:
        left = len(self.data) - self.at
        if count > left:
            raise Damaged(f"{count} bytes are promised at byte {self.at} and {left} are left")
        self.at += count
        return self.data[self.at - count : self.at]


def _sparse(index: int, storage: int) -> Exception:
    if storage not in STORAGE:
        return Damaged(f"array {index} claims the storage type {storage}")
    return _Unreadable(
        f"holds array {index} as a {STORAGE[storage]} one, not dense",
        "Save the weights with tostype('default').",
    )
