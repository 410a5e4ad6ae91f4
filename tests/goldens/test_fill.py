"""The weights of the records are recomputed here, bit for bit."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import golden_cases
import numpy as np
import pytest

from posebench.networks import deterministic_weights


@pytest.mark.parametrize("case", golden_cases.CASES, ids=lambda case: case.id)
def test_weights_and_input_are_the_recorded_ones(case):
    state = golden_cases.native_state(case)
    assert len(state) == case.golden["n_entries"]
    assert deterministic_weights.digest(state.items()) == case.golden["weights_sha256"]
    crops = deterministic_weights.network_input(tuple(case.golden["input"]))
    assert hashlib.sha256(crops.tobytes()).hexdigest() == case.golden["input_sha256"]


def test_uniform_is_splitmix64_of_the_hashed_name():
    mask = (1 << 64) - 1
    seed = int.from_bytes(hashlib.sha256(b"conv1.weight").digest()[:8], "little")
    expected = []
    for step in (1, 2, 3):
        z = (seed + step * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        expected.append(((z ^ (z >> 31)) >> 11) / 2**53)
    assert deterministic_weights.uniform("conv1.weight", 3).tolist() == expected


def test_fill_equals_the_recorders_own(shared: Path):
    spec = importlib.util.spec_from_file_location("recorders_fill", shared / "goldens/fill.py")
    original = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(original)
    for name, shape in (
        ("a.weight", (4, 3, 3, 3)),
        ("a.att.channel_add_conv.1.bias", (16, 1, 1)),
        ("b.norm.weight", (7,)),
        ("b.norm.bias", (7,)),
        ("b.norm.beta", (7,)),
        ("b.norm.gamma", (7,)),
        ("b.norm._mean", (7,)),
        ("c.weight", (5, deterministic_weights.CHUNK)),
        ("b.bn.running_var", (7,)),
    ):
        ours = deterministic_weights.parameter(name, shape, 0.8)
        theirs = original.value(name, shape, 0.8)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs), name
    assert np.array_equal(
        deterministic_weights.network_input((1, 3, 40, 24)), original.make_input((1, 3, 40, 24))
    )
