"""Safetensors: a JSON table of contents and raw bytes, checked by the safetensors library."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from posebench.checkpoints.contents import damaged, tensors_of
from posebench.checkpoints.files import read_all


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
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise damaged(path, "safetensors", error) from error
