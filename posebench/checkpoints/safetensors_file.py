"""Safetensors: a JSON table of contents and raw bytes, checked by the safetensors library."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from posebench.checkpoints.contents import damaged, tensors_of
from posebench.checkpoints.files import read_all

SIZE = 8  # bytes of the table's length, which come first
LARGEST = 100_000_000  # bytes of a table that the library reads


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the named CPU tensors of a safetensors file.

    Raises:
        UserError: The file is cut short or its table of contents is wrong.
    """
    data = read_all(path)
    try:
        contents = load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise damaged(path, "safetensors", error) from error
    return tensors_of(contents, path)


def read_metadata(path: Path) -> dict[str, str]:
    """Return what a safetensors file says about itself; nothing for files that say nothing.

    Raises:
        UserError: The file is cut short or its table of contents is wrong.
    """
    # not by the library, which opens no file whose name is not UTF-8
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(SIZE), "little")
            if length > min(LARGEST, path.stat().st_size - SIZE):
                raise ValueError(f"its table of contents cannot have {length} bytes")
            found = json.loads(file.read(length)).get("__metadata__") or {}
        if not all(isinstance(word, str) for pair in found.items() for word in pair):
            raise ValueError("what it says about itself is not text")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise damaged(path, "safetensors", error) from error
    return dict(found)
