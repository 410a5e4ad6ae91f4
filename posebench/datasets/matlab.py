"""Reads variables of MATLAB's level 5 files without trusting a byte of them.

scipy's reader, which every zoo uses, ends the whole process on some damaged files. In a child
process it would still accept damaged files that are refused here (shapes with negative sides,
contents that are cut off, bytes that are not text), no system but Linux limits its memory, and
starting the child takes many times as long as reading the file.

Source of the layout: MathWorks, "MAT-File Format" (level 5; MATLAB's v6 and v7).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

HEADER = 128
MATRIX, COMPRESSED = 14, 15
CELL, CHAR = 1, 4
NUMBERS = range(6, 16)  # classes double to uint64
COMPLEX = 0x0800
# Types of stored data; the class of an array may be wider than what its numbers are stored as.
STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
TEXTS = {1: "ascii", 2: "ascii", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
DEEPEST = 4  # cells within cells

Value = NDArray[Any] | list[Any]


class MatlabError(ValueError):
    """The bytes are not a level 5 file, or not whole."""


def read_matlab(data: bytes, wanted: Collection[str], largest: int) -> dict[str, Value]:
    """Return some variables of a file.

    Args:
        data: Its bytes.
        wanted: Names; other variables are skipped unread.
        largest: Bytes that a compressed variable may grow to.

    Returns:
        Name -> array of numbers in MATLAB's shape, or for cells and texts a flat list: of values,
        or of the text's rows.  Names that the file lacks are left out.

    Raises:
        MatlabError: The file follows another layout, is cut off, or a wanted variable is of a
            class that is not read (structures, sparse arrays, complex numbers).
    """
    if data[:8] == b"\x89HDF\r\n\x1a\n" or data[:19] == b"MATLAB 7.3 MAT-file":
        raise MatlabError("it is of MATLAB's version 7.3; save it with -v7")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:HEADER])
    if order is None or data[124:126] != struct.pack(f"{order}H", 0x0100):
        raise MatlabError("it does not begin as such a file does")
    found: dict[str, Value] = {}
    reader = _Reader(data, order, HEADER)
    for kind, content in reader.elements():
        if kind == COMPRESSED:
            kind, content = _Reader(_inflated(content, largest), order).element()
        if kind == MATRIX:
            matrix = _Matrix.open(content, order)
            if matrix.name in wanted:
                found[matrix.name] = matrix.value()
    return found


def _inflated(data: bytes, largest: int) -> bytes:
    machine = zlib.decompressobj()
    try:
        content = machine.decompress(data, largest)
    except zlib.error as error:
        raise MatlabError(f"a compressed variable is damaged ({error})") from error
    if machine.unconsumed_tail:
        raise MatlabError(f"a compressed variable is larger than {largest:,} bytes")
    return content


class _Reader:
    """Walks over tagged elements; every length is checked against what is there."""

    def __init__(self, data: bytes, order: str, start: int = 0) -> None:
        self.data, self.order, self.at = data, order, start

    def elements(self) -> Iterator[tuple[int, bytes]]:
        while self.at < len(self.data):
            yield self.element()

    def element(self) -> tuple[int, bytes]:
        """Return type and content of the next element."""
        word = self._word(self.at)
        kind, size, start, end = word & 0xFFFF, word >> 16, self.at + 4, self.at + 8
        if not size:
            # the long form: a word each for type and size
            kind, size, start = word, self._word(self.at + 4), self.at + 8
            # padded to whole words of eight, but for compressed variables
            end = start + size + (0 if kind == COMPRESSED else -size % 8)
        if start + size > len(self.data) or (start == self.at + 4 and size > 4):
            raise MatlabError("it is cut off or damaged")
        self.at = end
        return kind, self.data[start : start + size]

    def _word(self, at: int) -> int:
        if at + 4 > len(self.data):
            raise MatlabError("it is cut off or damaged")
        return int(struct.unpack_from(f"{self.order}I", self.data, at)[0])


@dataclass(frozen=True)
class _Matrix:
    """One array: what it is, and where its content goes on."""

    kind: int
    flags: int
    shape: tuple[int, ...]
    name: str
    rest: _Reader

    @classmethod
    def open(cls, content: bytes, order: str) -> _Matrix:
        if not content:
            return cls(NUMBERS[0], 0, (0, 0), "", _Reader(b"", order))
        reader = _Reader(content, order)
        _, flags = reader.element()
        kind, shape = reader.element()
        _, name = reader.element()
        if len(flags) != 8 or kind != 5 or not shape or len(shape) % 4:
            raise MatlabError("a variable does not say its class and shape")
        word = struct.unpack(f"{order}I", flags[:4])[0]
        sides = struct.unpack(f"{order}{len(shape) // 4}i", shape)
        return cls(word & 0xFF, word, sides, name.decode("ascii", "replace"), reader)

    def value(self, depth: int = 0) -> Value:
        count = math.prod(self.shape)
        if min(self.shape) < 0 or count > len(self.rest.data):
            raise MatlabError(f"{self.name} has the shape {self.shape}")
        if self.kind == CELL and depth < DEEPEST:
            return [self._cell(depth) for _ in range(count)]
        if not count:
            return np.zeros(self.shape)
        if self.kind == CHAR:
            return self._rows(count)
        if self.kind not in NUMBERS or self.flags & COMPLEX:
            raise MatlabError(f"{self.name or 'a cell'} is neither numbers nor text")
        kind, content = self.rest.element()
        if kind not in STORED:
            raise MatlabError(f"{self.name} holds numbers of an unknown type {kind}")
        numbers = np.dtype(self.rest.order + STORED[kind])
        if len(content) != count * numbers.itemsize:
            raise MatlabError(f"{self.name} does not hold as many numbers as its shape has")
        return np.frombuffer(content, numbers).reshape(self.shape, order="F")

    def _cell(self, depth: int) -> Any:
        kind, content = self.rest.element()
        if kind != MATRIX:
            raise MatlabError(f"{self.name} has a cell that is not an array")
        value = _Matrix.open(content, self.rest.order).value(depth + 1)
        return value[0] if isinstance(value, list) and len(value) == 1 else value

    def _rows(self, count: int) -> list[str]:
        kind, content = self.rest.element()
        encoding = TEXTS.get(kind, "")
        if encoding in ("utf-16", "utf-32"):
            encoding += "-le" if self.rest.order == "<" else "-be"
        try:
            text = content.decode(encoding)
        except (LookupError, UnicodeDecodeError) as error:
            raise MatlabError(f"{self.name or 'a cell'} is not text that can be read") from error
        if len(text) != count:
            raise MatlabError(f"{self.name or 'a cell'} does not hold as many letters as it says")
        return ["".join(row) for row in np.array(list(text)).reshape(self.shape, order="F")]
