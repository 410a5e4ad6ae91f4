"""Spoiled files of every kind: each reader reads them or refuses them in one sentence, soon.

``POSEBENCH_FUZZ=50`` looks at fifty times as many files, ``HYPOTHESIS_PROFILE=default`` at others
than the last time.
"""

from __future__ import annotations

import copy
import json
import os
import time
from functools import cache

import pytest
from fuzz_seeds import JSON, SEEDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import FUZZED, NEEDS_TORCH

from posebench.types.errors import UserError

EXAMPLES = int(float(os.environ.get("POSEBENCH_FUZZ", "1")) * 60)
SECONDS = 5.0
BIG = st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31), 2**32, 2**53 + 1, 2**63, 2**64, 10**30])
NASTY = st.one_of(
    st.none(),
    st.booleans(),
    BIG,
    st.floats(),
    st.sampled_from([1e300, -1e300, 1e-300, float("nan"), float("inf")]),
    st.text(max_size=8),
    st.sampled_from(["../../a", "/dev/zero", "a\0b", "C:\\a", "<script>", "\u202e", "", "9" * 400]),
    st.lists(st.one_of(st.none(), BIG, st.text(max_size=3)), max_size=4),
    st.dictionaries(st.text(max_size=4), st.none(), max_size=2),
    st.just([[[[[[]]]]]]),
)


@cache
def seeds(kind: str) -> tuple[bytes, ...]:
    return tuple(make() for make in SEEDS[kind])


@st.composite
def spoiled(draw, kind: str) -> bytes:
    """A good file with some bytes changed, cut out, doubled, or its end gone."""
    data = bytearray(draw(st.sampled_from(seeds(kind))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        way = draw(st.sampled_from(["flip", "bytes", "cut", "end", "double", "number"]))
        if way == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif way == "bytes":
            data[at : at + draw(st.integers(0, 4))] = draw(st.binary(min_size=1, max_size=6))
        elif way == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif way == "end":
            del data[at:]
        elif way == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 128))]
        else:
            size = draw(st.sampled_from([2, 4, 8]))
            number = draw(BIG) % (1 << 8 * size)
            data[at : at + size] = number.to_bytes(size, draw(st.sampled_from(["little", "big"])))
    return bytes(data)


@st.composite
def spoiled_values(draw, kind: str) -> bytes:
    """A good JSON file some of whose values, keys or rows are others."""
    content = json.loads(draw(st.sampled_from(seeds(kind))))
    for _ in range(draw(st.integers(1, 3))):
        at = content
        while isinstance(at, (dict, list)) and at:
            key = draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
            way = draw(st.sampled_from(["down", "down", "down", "value", "gone", "double"]))
            if way == "down" and isinstance(at[key], (dict, list)) and at[key]:
                at = at[key]
                continue
            if way == "gone":
                del at[key]
            elif way == "double" and isinstance(at, list):
                at.append(copy.deepcopy(at[key]))
            else:
                at[key] = copy.deepcopy(draw(NASTY))
            break
    return json.dumps(content).encode()


def check(kind: str, data: bytes, folder) -> None:
    path = folder / "file"
    path.write_bytes(data)
    began = time.process_time()
    try:
        FUZZED[kind](path)
    except UserError as error:
        assert error.message.endswith(".")
    assert time.process_time() - began < SECONDS


def fuzz(kind: str, strategy, folder, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy(kind))
    def run(data):
        check(kind, data, folder)

    run()


LIGHT = [kind for kind in FUZZED if kind not in NEEDS_TORCH]


def read_seeds(kind: str, folder) -> None:
    for data in seeds(kind):
        (folder / "file").write_bytes(data)
        FUZZED[kind](folder / "file")


@pytest.mark.light
@pytest.mark.parametrize("kind", LIGHT)
def test_what_is_spoiled_was_good(kind, tmp_path):
    read_seeds(kind, tmp_path)


@pytest.mark.parametrize("kind", NEEDS_TORCH)
def test_weights_and_images_were_good(kind, tmp_path):
    read_seeds(kind, tmp_path)


@pytest.mark.light
@pytest.mark.parametrize("kind", LIGHT)
def test_bytes_of_files_that_need_no_torch(kind, tmp_path):
    fuzz(kind, spoiled, tmp_path, EXAMPLES)


@pytest.mark.parametrize("kind", NEEDS_TORCH)
def test_bytes_of_weights_and_images(kind, tmp_path):
    fuzz(kind, spoiled, tmp_path, 2 * EXAMPLES)


@pytest.mark.light
@pytest.mark.parametrize("kind", JSON)
def test_values_of_json(kind, tmp_path):
    fuzz(kind, spoiled_values, tmp_path, EXAMPLES)
