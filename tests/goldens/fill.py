"""Weights and inputs that anyone can recompute from names alone; numpy only.

A name seeds a splitmix64 generator; its uniform numbers become the values, scaled by what the
name says the parameter is. The originals' outputs were recorded with exactly these weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)
# splitmix64's finaliser: shift right, multiply
ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
COUNTER = "num_batches_tracked"
CELL = 16


def uniform(key: str, count: int) -> NDArray[np.float64]:
    """``count`` numbers in [0, 1), the same for a key everywhere and always."""
    seed = np.frombuffer(hashlib.sha256(key.encode()).digest()[:8], "<u8")[0]
    with np.errstate(over="ignore"):
        z = seed + GOLDEN_RATIO * np.arange(1, count + 1, dtype=np.uint64)
        for shift, factor in ROUNDS:
            z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)) / 2.0**53


def parameter(name: str, shape: tuple[int, ...], gain: float) -> NDArray[np.generic]:
    """The value of one parameter, float32, or an int64 zero for a counter."""
    last = name.rpartition(".")[2]
    if last == COUNTER:
        return np.zeros(shape, np.int64)
    u = uniform(name, int(np.prod(shape)))
    if last in ("running_var", "_variance"):
        values = 0.5 + u
    elif last in ("running_mean", "_mean"):
        values = 0.2 * u - 0.1
    elif len(shape) > 1:
        values = (2 * u - 1) * (gain * np.sqrt(3.0 / int(np.prod(shape[1:]))))
    else:
        values = 0.2 * u - 0.1 if last in ("bias", "beta") else 0.75 + 0.5 * u
    return values.astype(np.float32).reshape(shape)


def network_input(shape: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """Blocks of 16x16 pixels, which survive downsampling, under pixel noise; in (-2, 2)."""
    n, c, h, w = shape
    key = "input:" + "x".join(map(str, shape))
    rows, columns = -(-h // CELL), -(-w // CELL)
    blocks = uniform(f"{key}:coarse", n * c * rows * columns).reshape(n, c, rows, columns)
    blocks = np.kron(blocks, np.ones((CELL, CELL)))[:, :, :h, :w]
    noise = uniform(f"{key}:fine", n * c * h * w).reshape(shape)
    return ((2 * blocks - 1) * 1.5 + (2 * noise - 1) * 0.5).astype(np.float32)


def digest(tensors: Iterable[tuple[str, NDArray[np.generic]]]) -> str:
    """SHA-256 over names and raw little-endian bytes, sorted by name."""
    total = hashlib.sha256()
    for name, values in sorted(tensors, key=lambda item: item[0]):
        total.update(name.encode() + b"\0" + np.ascontiguousarray(values).tobytes())
    return total.hexdigest()
