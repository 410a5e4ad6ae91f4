"""Weights and inputs that anyone can recompute from names alone; numpy only.

A name seeds a splitmix64 generator; its uniform numbers become the values, scaled by what the
name says the parameter is. The originals' outputs were recorded with exactly these weights, which
are the same bytes under every version of numpy.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)
# splitmix64's finaliser: shift right, multiply
ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
COUNTER = "num_batches_tracked"
CELL = 16
# Numbers made at a time: few enough to stay in a processor's cache.
CHUNK = 1 << 15


def uniform(key: str, count: int) -> NDArray[np.float64]:
    """``count`` numbers in [0, 1), the same for a key everywhere and always."""
    seed = np.frombuffer(hashlib.sha256(key.encode()).digest()[:8], "<u8")[0]
    numbers = np.empty(count, np.float64)
    steps = np.arange(1, min(count, CHUNK) + 1, dtype=np.uint64) * GOLDEN_RATIO
    with np.errstate(over="ignore"):
        for start in range(0, count, CHUNK):
            z = steps[: count - start] + (seed + GOLDEN_RATIO * np.uint64(start))
            for shift, factor in ROUNDS:
                z ^= z >> np.uint64(shift)
                z *= np.uint64(factor)
            z ^= z >> np.uint64(31)
            z >>= np.uint64(11)
            np.multiply(z, 2.0**-53, out=numbers[start : start + CHUNK])
    return numbers


def parameter(name: str, shape: tuple[int, ...], gain: float) -> NDArray[np.generic]:
    """The value of one parameter, float32, or an int64 zero for a counter.

    Args:
        name: As it stands in the published file.
        shape: In the published file's layout; the values lie in C order.
        gain: Of weights with two dimensions or more, relative to keeping the variance.
    """
    last = name.rpartition(".")[2]
    if last == COUNTER:
        return np.zeros(shape, np.int64)
    values = uniform(name, math.prod(shape))
    if last in ("running_var", "_variance"):
        values += 0.5
    elif last in ("running_mean", "_mean"):
        values = 0.2 * values - 0.1
    elif len(shape) > 1:
        values = (2 * values - 1) * (gain * np.sqrt(3.0 / math.prod(shape[1:])))
    elif last in ("bias", "beta"):
        values = 0.2 * values - 0.1
    else:
        values = 0.75 + 0.5 * values
    return values.astype(np.float32).reshape(shape)


def network_input(shape: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """Blocks of 16x16 pixels, which survive downsampling, under pixel noise; in (-2, 2)."""
    n, c, h, w = shape
    key = "input:" + "x".join(map(str, shape))
    rows, columns = -(-h // CELL), -(-w // CELL)
    cells = uniform(f"{key}:coarse", n * c * rows * columns).reshape(n, c, rows, columns)
    blocks = np.kron(cells, np.ones((CELL, CELL)))[:, :, :h, :w]
    noise = uniform(f"{key}:fine", n * c * h * w).reshape(shape)
    return ((2 * blocks - 1) * 1.5 + (2 * noise - 1) * 0.5).astype(np.float32)


def digest(tensors: Iterable[tuple[str, NDArray[np.generic]]]) -> str:
    """SHA-256 over names and raw little-endian bytes, sorted by name."""
    total = hashlib.sha256()
    for name, values in sorted(tensors, key=lambda item: item[0]):
        total.update(name.encode() + b"\0")
        total.update(np.ascontiguousarray(values).data if values.size else b"")
    return total.hexdigest()
