"""Weights files: published bytes to named tensors, without trusting them.

The functions are loaded on first use: who only asks where a file lies needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posebench.checkpoints.container import guess_container
    from posebench.checkpoints.files import sha1_of, sha256_of, verify_file
    from posebench.checkpoints.reader import read_checkpoint
    from posebench.checkpoints.safetensors_file import read_metadata
    from posebench.checkpoints.strict import load_strict

__all__ = [
    "guess_container",
    "load_strict",
    "read_checkpoint",
    "read_metadata",
    "sha1_of",
    "sha256_of",
    "verify_file",
]
_HOMES = {
    "guess_container": "container",
    "load_strict": "strict",
    "read_checkpoint": "reader",
    "read_metadata": "safetensors_file",
    "sha1_of": "files",
    "sha256_of": "files",
    "verify_file": "files",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
