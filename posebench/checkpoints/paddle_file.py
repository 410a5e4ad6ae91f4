"""Paddle's ``.pdparams``: a pickle of numpy arrays, read without running any of it.

Format: PaddlePaddle ``python/paddle/framework/io.py`` and ``io_utils.py``. Every function that
such a pickle may name is replaced by one of this module that checks its arguments; any other
name is refused. Numpy's own functions are not used, because they allocate what they are told.
"""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posebench.checkpoints.contents import damaged, refused, tensors_of
from posebench.checkpoints.files import read_all
from posebench.checkpoints.pickles import Damaged, Refused, inspect_pickle

# Maps structured names to Paddle's runtime names (conv2d_0.w_0); no weights in it.
NAMES_KEY = "StructuredToParameterName@@"
# Protocols 2 and 3 split big arrays: key -> {OriginShape, slices}.
SLICES_KEY = "UnpackBigParamInfor@@"
DTYPES = frozenset(["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "b1"])


def read_paddle(path: Path) -> dict[str, Tensor]:
    """Return the named CPU tensors of a ``.pdparams`` file, in Paddle's layouts.

    bfloat16, which Paddle stores as uint16, comes back as bfloat16; sliced parameters are whole
    again. Linear weights are still (in, out).

    Raises:
        UserError: The file is cut short or garbled, or its pickle asks for anything but arrays.
    """
    data = read_all(path)
    try:
        inspect_pickle(io.BytesIO(data))
        contents = _Unpickler(data).load()
        return tensors_of(_Converter(len(data)).convert(contents), path)
    except Refused as error:
        raise refused(path, str(error)) from error
    except (Damaged, *_UNPICKLING_ERRORS) as error:
        raise damaged(path, "Paddle", error) from error


# What a garbled pickle leads to, besides UnpicklingError.
_UNPICKLING_ERRORS = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes) -> None:
        # latin1 turns the byte strings of protocol 2 into text without loss
        super().__init__(io.BytesIO(data), encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise Refused(f"{module.replace('__builtin__', 'builtins')}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise Refused("an object outside the file")


class _Dtype:
    """Stands in for ``numpy.dtype``: a plain number type and its byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or code not in DTYPES:
            raise Damaged(f"it holds values of type {code!r}")
        self.code = code
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, ...), as numpy.dtype.__reduce__ gives it
        if state[1] not in ("<", ">", "|", "="):
            raise Damaged(f"it names the byte order {state[1]!r}")
        self.order = state[1].replace("|", "<").replace("=", "<")

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


class _Array:
    """Stands in for an array under reconstruction; its bytes arrive with the state."""

    values: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        # (version, shape, dtype, Fortran order, bytes), as ndarray.__reduce__ gives it
        _, shape, dtype, fortran, raw = state
        self.values = _array(raw, dtype, shape, "F" if fortran else "C")


class _Marker:
    """Stands in for a class that is only ever passed on, never called."""


def _array(raw: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    """View bytes as an array; a shape that is not theirs is refused before anything is made."""
    if not isinstance(dtype, _Dtype):
        raise Damaged("an array comes without a type")
    if isinstance(raw, str):
        raw = raw.encode("latin1")
    if not isinstance(raw, (bytes, bytearray)):
        raise Damaged("an array comes without its bytes")
    _check_shape(shape)
    wanted = math.prod(shape) * dtype.numpy.itemsize
    if wanted != len(raw):
        raise Damaged(f"an array of shape {tuple(shape)} needs {wanted} bytes and has {len(raw)}")
    values: NDArray[Any] = np.frombuffer(raw, dtype.numpy).reshape(shape, order=order)
    return values


def _check_shape(shape: Any) -> None:
    whole = isinstance(shape, (tuple, list)) and all(type(n) is int and n >= 0 for n in shape)
    if not whole:
        raise Damaged(f"{shape!r} is not a shape")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    """Stands in for ``_codecs.encode``, by which protocol 2 writes bytes."""
    if encoding != "latin1" or not isinstance(text, str):
        raise Refused(f"_codecs.encode with {encoding!r}")
    return text.encode("latin1")


def _no_bytes(*arguments: Any) -> bytes:
    """Stands in for ``bytes``, by which protocol 2 writes the data of an empty array."""
    if arguments:
        raise Refused("builtins.bytes with arguments")
    return b""


def _data_call(source: Any, names: Any = None) -> Any:
    """Recognise ``eval('data', {'data': array})``, the way LoDTensors are written; never run it."""
    if source != "data" or not isinstance(names, dict) or list(names) != ["data"]:
        raise Refused("builtins.eval")
    return names["data"]


def _scalar(dtype: Any, raw: Any) -> Any:
    return _array(raw, dtype, (), "C").item()


_MODULES = ("numpy.core", "numpy._core")  # numpy 1, numpy 2
_BUILTINS = ("builtins", "__builtin__")  # protocol 2 writes Python 2's name
_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): _Marker,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    **{(f"{m}.multiarray", "_reconstruct"): _reconstruct for m in _MODULES},
    **{(f"{m}.multiarray", "scalar"): _scalar for m in _MODULES},
    **{(f"{m}.numeric", "_frombuffer"): _array for m in _MODULES},  # protocol 5
    **{(m, "tuple"): tuple for m in _BUILTINS},
    **{(m, "bytes"): _no_bytes for m in _BUILTINS},
    **{(m, "eval"): _data_call for m in _BUILTINS},
}


class _Converter:
    """Turns the arrays of a file into tensors, down to one wrapper (``{"model": {...}}``).

    Args:
        budget: Bytes of the file. Every array has its own bytes in it, so more than these can
            only come from a pickle that hands out the same bytes again and again.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.done: dict[int, Tensor] = {}

    def convert(self, value: Any, depth: int = 2) -> Any:
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
            value = value[1]  # (runtime name, array)
        if isinstance(value, (_Array, np.ndarray)):
            # an array that stands under two names is one object, and becomes one tensor
            if id(value) not in self.done:
                self.done[id(value)] = self._tensor(value)
            return self.done[id(value)]
        if isinstance(value, Mapping) and depth:
            kept = {k: v for k, v in value.items() if k not in (NAMES_KEY, SLICES_KEY)}
            tensors = {k: self.convert(v, depth - 1) for k, v in kept.items()}
            return _join_slices(tensors, value.get(SLICES_KEY, {}))
        return value

    def _tensor(self, array: _Array | NDArray[Any]) -> Tensor:
        values = array.values if isinstance(array, _Array) else array
        if values is None:
            raise Damaged("an array comes without its bytes")
        self.budget -= values.nbytes
        if self.budget < 0:
            raise Damaged("its arrays need more bytes than it has")
        return _tensor(values)


def _tensor(values: NDArray[Any]) -> Tensor:
    native = np.array(values, dtype=values.dtype.newbyteorder("="))  # frombuffer is read-only
    if native.dtype == np.uint16:  # Paddle has no uint16 tensors: these are bfloat16 bits
        return torch.from_numpy(native.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(native)


def _join_slices(tensors: dict[Any, Any], table: Any) -> dict[Any, Any]:
    if not isinstance(table, Mapping):
        raise Damaged("its table of slices is not a table")
    for name, row in table.items():
        pieces = [tensors.pop(piece) for piece in row["slices"]]
        shape = row["OriginShape"]
        _check_shape(shape)
        whole = torch.cat([piece.flatten() for piece in pieces])
        if math.prod(shape) != whole.numel():
            raise Damaged(f"the slices of {name} hold {whole.numel()} values for shape {shape}")
        tensors[name] = whole.reshape(tuple(shape))
    return tensors
