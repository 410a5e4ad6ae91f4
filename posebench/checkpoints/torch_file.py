"""Files of ``torch.save``, the zip of today and the pickles before it; ``weights_only`` always."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from posebench.checkpoints.container import ZIP
from posebench.checkpoints.contents import damaged, refused, tensors_of
from posebench.checkpoints.files import read_head, size_of
from posebench.checkpoints.pickles import Damaged, Refused, inspect_pickle
from posebench.types.errors import UserError

# Bytes of one element of torch's storage classes; an unknown class counts as one byte.
ITEM_BYTES = {
    "DoubleStorage": 8,
    "LongStorage": 8,
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
    "FloatStorage": 4,
    "IntStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "ShortStorage": 2,
}
# What numpy's arrays and numbers are pickled as, by numpy 1 and 2. mmengine puts some into the
# notes beside the weights (colours of the dataset's keypoints); no weights are made of them.
ARRAYS = (
    *(
        f"{core}.multiarray.{name}"
        for core in ("numpy.core", "numpy._core")
        for name in ("_reconstruct", "scalar")
    ),
    "numpy.ndarray",
    "numpy.dtype",
    "_codecs.encode",
)
# Of Python itself, and called by the pickles of plain values.
HARMLESS = ("builtins.bytearray", "builtins.complex", "builtins.set")
# magic number, protocol version and system info come before the legacy format's contents
LEGACY_PREAMBLE = 3


def read_torch(path: Path) -> dict[str, Tensor]:
    """Return the named CPU tensors of a ``torch.save`` file.

    Its pickles are followed first, and a dry run over them comes next: no storage may claim more
    bytes than the file has for it, since ``torch.load`` allocates what it is told.

    Raises:
        UserError: The file is cut short or garbled, is a zip of something else, or its pickle
            asks for anything but tensors.
    """
    globals_: set[str] = set()
    try:
        globals_ |= _dry_run(path)
        with _inert_arrays(globals_):
            contents = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Damaged as error:
        raise damaged(path, "torch", error) from error
    except Refused as error:
        raise _not_weights(path, error.named, error) from error
    except pickle.UnpicklingError as error:
        raise _not_weights(path, globals_, error) from error
    except Exception as error:  # torch raises many kinds for a garbled file
        raise damaged(path, "torch", error) from error
    tensors = tensors_of(contents, path)
    _check_storages(tensors, path)
    return tensors


def _check_storages(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that repeat a few numbers over a shape of any size, or have none at all.

    Raises:
        UserError: One of them does.
    """
    size = size_of(path)
    for name, tensor in tensors.items():
        try:
            held = tensor.untyped_storage().nbytes()
        except RuntimeError as error:
            raise damaged(path, "torch", error) from error
        if max(held, tensor.numel() * tensor.element_size()) > size:
            told = Damaged(f"'{name}' of shape {tuple(tensor.shape)} needs more bytes than it has")
            raise damaged(path, "torch", told)


def _inert_arrays(globals_: set[str]) -> AbstractContextManager[Any]:
    """Let ``weights_only`` pass over numpy's arrays: they become objects that hold nothing.

    Torch before 2.5 has no such list, and refuses the file.
    """
    found = sorted(globals_.intersection(ARRAYS))
    allow = getattr(torch.serialization, "safe_globals", None)
    if not found or allow is None:
        return nullcontext()
    stand_ins = []
    for name in found:
        module, _, last = name.rpartition(".")
        stand_ins.append(type(last, (_Inert,), {"__module__": module, "__qualname__": last}))
    context: AbstractContextManager[Any] = allow(stand_ins)
    return context


def _not_weights(path: Path, globals_: Set[str], error: Exception) -> UserError:
    """Say why a whole pickle is turned down, by ``weights_only`` or before it is run."""
    if any(name.startswith("torch.nn.modules.") for name in globals_):
        return UserError(
            f"{path} holds a whole model object, which only its own code could rebuild.",
            "Save its state_dict() and give that file.",
        )
    foreign = sorted(g for g in globals_ if not g.startswith(("torch.", "collections.")))
    if isinstance(error, Refused) and set(foreign) <= {*ARRAYS, *HARMLESS}:
        return refused(path, str(error))
    if foreign and set(foreign) <= set(ARRAYS):
        return UserError(
            f"{path} keeps numpy arrays beside its weights; torch {torch.__version__} refuses it.",
            "Update torch to 2.5 or later.",
        )
    if foreign:
        return refused(path, ", ".join(foreign[:3]))
    return damaged(path, "torch", error)


def _dry_run(path: Path) -> set[str]:
    """Follow all pickles of a file, and return what they name."""
    if read_head(path, len(ZIP)) == ZIP:
        return _dry_run_zip(path)
    globals_: set[str] = set()
    with path.open("rb") as file:
        for _ in range(LEGACY_PREAMBLE):
            globals_ |= inspect_pickle(file)
        probe, named = _probe(file)
        # the names of the storages, whose bytes follow
        globals_ |= named | inspect_pickle(file)
    if sum(probe.claims.values()) > size_of(path):
        raise Damaged(f"its tensors need {sum(probe.claims.values())} bytes, it has fewer")
    return globals_


def _dry_run_zip(path: Path) -> set[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            folder = _checked_folder(path, archive.infolist())
            probe, globals_ = _probe(io.BytesIO(archive.read(f"{folder}data.pkl")))
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise Damaged(str(error)) from error
    for key, claimed in probe.claims.items():
        member = members.get(f"{folder}data/{key}")
        stored = member.file_size if member else 0
        if claimed > stored:
            raise Damaged(f"storage {key} needs {claimed} bytes, the file has {stored} for it")
    return globals_


def _checked_folder(path: Path, members: Sequence[zipfile.ZipInfo]) -> str:
    """Return the archive's top folder, as ``name/``, if the archive is one that torch writes."""
    names = [member.filename for member in members]
    pickles = [name for name in names if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise UserError(
            f"{path} is a zip archive, but not one of torch.",
            "Unpack it and name the weights file inside.",
        )
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in names:
        raise UserError(
            f"{path} is a TorchScript program, not a state dict.",
            "Give the file that the zoo publishes for this model.",
        )
    # torch stores its members as they are: a packed one could unfold without limit
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise Damaged("its members are packed, which torch does not do")
    # torch looks for a member by its letters alone, whatever their case
    letters = {name.lower() for name in names}
    if len(letters) != len(names) or sum(m.file_size for m in members) > size_of(path):
        raise Damaged("its members overlap")
    return folder


def _probe(stream: BinaryIO) -> tuple[_Probe, set[str]]:
    """Unpickle with inert objects in place of everything the pickle names; return also that."""
    start = stream.tell()
    globals_ = inspect_pickle(stream)
    end = stream.tell()
    stream.seek(start)
    probe = _Probe(io.BytesIO(stream.read(end - start)), encoding="latin1")
    try:
        probe.load()
    except Damaged:
        raise
    except Exception as error:  # a garbled pickle may do anything to inert objects
        raise Damaged(str(error) or type(error).__name__) from error
    return probe, globals_


class _Probe(pickle.Unpickler):
    """Notes the bytes that each storage of a pickle is said to have."""

    def __init__(self, stream: BinaryIO, **options: Any) -> None:
        super().__init__(stream, **options)
        self.claims: dict[str, int] = {}
        self.classes: dict[str, type] = {}

    def find_class(self, module: str, name: str) -> Any:
        # a class takes a thousand bytes, its name a few
        if name not in self.classes:
            self.classes[name] = type(name, (_Inert,), {})
        return self.classes[name]

    def persistent_load(self, pid: Any) -> Any:
        # ('storage', class, key, location, elements[, view]), or in legacy files of whole models
        # ('module', class, source file, source)
        if pid[0] == "module":
            return pid[1]
        _, kind, key, _, elements, *_ = pid
        if type(elements) is not int or elements < 0:
            raise Damaged(f"a storage of {elements!r} elements")
        item = ITEM_BYTES.get(getattr(kind, "__name__", ""), 1)
        self.claims[str(key)] = max(self.claims.get(str(key), 0), elements * item)
        return _Inert()


class _Inert:
    """Takes any call and any state, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> _Inert:
        return _Inert()

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        pass

    def extend(self, _: Any) -> None:
        pass

    def add(self, _: Any) -> None:
        pass
