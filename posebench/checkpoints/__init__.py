"""Weights files: published bytes to named tensors, without trusting them."""

from __future__ import annotations

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
