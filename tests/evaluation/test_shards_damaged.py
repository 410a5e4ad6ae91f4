"""Damaged shards: every edit is refused in one sentence, or the result is that of a single run."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from posebench.evaluation.evaluate import evaluate
from posebench.evaluation.shards import evaluate_shard, merge
from posebench.records.predictions import DTYPES, load_predictions, save_predictions
from posebench.types.arrays import take
from posebench.types.errors import UserError
from posebench.types.request import EvalRequest

SEEDS = int(os.environ.get("POSEBENCH_DAMAGED_SHARDS", "60"))
SECONDS = 5  # of processor time, after which a merge counts as hanging
REQUEST = EvalRequest.of(model="demo_s", limit=6, batch_size=4, threads=1)
HOSTILE = (
    *(None, True, False, 0, 1, -1, 2, 0.5, 1e300, 10**12, 10**30, -(2**63), "", "0", "1", "x"),
    *("../../x", "a" * 5000, "\ud800", [], [1], [[]], [1, 10**12], {}, {"x": 1}, "f" * 64),
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for number in (1, 2):
        evaluate_shard(REQUEST, (number, 2), folder)
    return folder


@pytest.fixture(scope="module")
def expected():
    return evaluate("demo_s", limit=6, batch_size=4, threads=1)


def places(value, path=()):
    """Every place inside a JSON value, as paths of keys."""
    found = [path] if path else []
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            found += places(item, (*path, key))
    return found


def replaced(value, path, other):
    """A JSON value with another one in one place."""
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = other
    return value


def edit_json(file, random):
    """Another value in one place of a JSON file, a key more, or a key less."""
    content = json.loads(file.read_text())
    found = places(content)
    path = found[random.integers(len(found))]
    kind = random.integers(4)
    if kind == 0 and isinstance(content, dict):
        content.pop(list(content)[random.integers(len(content))])
    elif kind == 1:
        content["surprise"] = 1
    else:
        content = replaced(content, path, HOSTILE[random.integers(len(HOSTILE))])
    file.write_text(json.dumps(content))


def edit_bytes(file, random):
    """One byte another one, or the end cut off."""
    data = bytearray(file.read_bytes())
    if random.integers(3) == 0:
        data = data[: random.integers(len(data))]
    else:
        data[random.integers(len(data))] ^= 1 << int(random.integers(8))
    file.write_bytes(data)


def edit_predictions(file, random):
    """Predictions that are whole in themselves, with other numbers or fewer persons."""
    found = load_predictions(file)
    if random.integers(3) == 0:
        found = take(found, np.arange(random.integers(len(found) + 1)))
    else:
        name = list(DTYPES)[random.integers(len(DTYPES))]
        columns = {field: getattr(found, field) for field in DTYPES}
        columns[name] = columns[name] + np.asarray(40, columns[name].dtype)
        found = type(found)(keypoint_set=found.keypoint_set, **columns)
    save_predictions(found, file)


def rename(file, random):
    """Another name, as of another chunk or shard."""
    others = (
        *("000000000-000000000-00.npz", "000000004-000000000.json", "shard-1-of-1.json"),
        *("shard-3-of-2.json", "000000000-999999999.json", "x.json", "shard-0-of-0.json"),
    )
    file.rename(file.with_name(others[random.integers(len(others))]))


def remove(file, random):
    file.unlink()


def damage(folder, random):
    """One edit of one file, by chance."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    file = files[random.integers(len(files))]
    edits = [edit_bytes, rename, remove]
    edits += [edit_json] * 4 if file.suffix == ".json" else [edit_predictions] * 4
    edits[random.integers(len(edits))](file, random)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_damaged_shards_give_one_sentence_or_the_right_numbers(shards, expected, tmp_path, seed):
    folder = Path(shutil.copytree(shards, tmp_path / "x"))
    damage(folder, np.random.default_rng(seed))
    outside = set(tmp_path.iterdir())

    # the process's own time: a busy machine makes nothing hang
    signal.signal(signal.SIGVTALRM, lambda *_: pytest.fail(f"no answer after {SECONDS} s"))
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        found = merge([folder])
    except UserError as error:
        assert str(error).strip()
    else:
        assert found.predictions_sha256 == expected.predictions_sha256
        assert found.scores == expected.scores
        assert found.dataset == expected.dataset
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    assert set(tmp_path.iterdir()) == outside
