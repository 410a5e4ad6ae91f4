"""Pickles whose values no machine can hash, print or hold; ``POSEBENCH_FUZZ=20`` reads more."""

from __future__ import annotations

import faulthandler
import os
import pickle
import resource
import subprocess
import sys
import time
from collections import Counter, OrderedDict
from pathlib import Path

import hostile_pickles as hostile
import numpy as np
import pytest
import torch
from refusals import assert_mentions, refusal

from posebench.checkpoints import read_checkpoint
from posebench.types.errors import UserError

COUNT = int(float(os.environ.get("POSEBENCH_FUZZ", "1")) * 60)
SECONDS = 5.0
KILOBYTES = 400_000
LONG = hostile.text("a" * 48_000) + hostile.put(0)
COPY = b"c_codecs\nencode\n" + hostile.get(0) + hostile.text("latin1") + b"\x86R0"
BOMB = b"\x80\x02})" + b"2\x86" * hostile.LEVELS + b"Ns."


def watch() -> None:
    faulthandler.dump_traceback_later(600, exit=True)


@pytest.fixture(autouse=True)
def no_hang():
    """Hashing listens to no signal: what hangs ends the process, with a traceback."""
    watch()
    yield
    faulthandler.cancel_dump_traceback_later()


def test_a_hundred_bytes_do_not_stop_the_process(tmp_path):
    """In a process of its own, which must end by itself."""
    paths = [tmp_path / str(number) for number in range(len(hostile.CONTAINERS))]
    for path, container in zip(paths, hostile.CONTAINERS.values(), strict=True):
        path.write_bytes(container(BOMB))
        assert path.stat().st_size < 500
    code = (
        "import sys; from pathlib import Path\n"
        "from posebench.checkpoints import read_checkpoint\n"
        "from posebench.types.errors import UserError\n"
        "for path in sys.argv[1:]:\n"
        "    try: read_checkpoint(Path(path))\n"
        "    except UserError as error: print(error.message)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, timeout=300
    )
    told = done.stdout.splitlines()
    assert len(told) == len(paths), done.stderr
    for path, line in zip(paths, told, strict=True):
        assert_mentions(line, path, "refused", "key")


def test_hostile_programs_are_refused_soon_and_small(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found, slowest = Counter(), 0.0
    for seed in range(COUNT):
        watch()
        path, began = hostile.write(seed, tmp_path), time.process_time()
        try:
            read_checkpoint(path)
            found["read"] += 1
        except UserError as error:
            assert error.message.endswith(".") and "\n" not in error.message, seed
            assert len(error.message) < 1000, seed
            found["refused" if "is refused" in error.message else "damaged"] += 1
        slowest = max(slowest, time.process_time() - began)
        assert slowest < SECONDS, seed
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < KILOBYTES, (seed, grown)
    assert found["read"] == 0
    assert found["refused"] > COUNT // 2
    print(dict(found), f"{slowest:.1f} s, {grown // 1024} MiB more")


# --- what trainers write is still read ------------------------------------------------------------

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([0.5, -1.0])}


def trainers_notes() -> dict:
    """What trainers keep beside the weights, with everything that pickles share."""
    layer = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    shared = {"mean": [123.675, 116.28, 103.53], "flip_pairs": [[1, 2], [3, 4]]}
    return {
        "state_dict": OrderedDict(STATE),
        "optimizer": optimiser.state_dict(),
        "meta": {"train": shared, "val": shared, "test": [shared] * 40, "seen": {1, 2, "a"}},
        "param_schedulers": [{"milestones": Counter({170: 1, 200: 1}), "gamma": 0.1}],
        "raw": bytearray(b"\x00\xff" * 50),
        "complex": 1 + 2j,
        "epoch": 210,
        "numbers": {-1: 0.5, 2**40: None, 0.5: True, None: (), b"x": ()},
        "tied": [STATE["a.weight"]] * 3,
    }


@pytest.mark.parametrize("zipped", [True, False])
def test_what_trainers_keep_beside_the_weights(zipped, tmp_path):
    notes = trainers_notes()
    if torch.__version__ < "2.5":
        notes.pop("raw"), notes.pop("meta"), notes.pop("complex")
    torch.save(notes, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(tmp_path / "w.pth")
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_long_files_of_paddle(protocol, tmp_path):
    """Some thousand arrays, one of them under two names, and the names that Paddle adds."""
    state = {f"layer_{k}.weight": np.full((2, 3), k, np.float32) for k in range(3000)}
    state["tied"] = state["layer_0.weight"]
    state["StructuredToParameterName@@"] = {name: f"p_{k}" for k, name in enumerate(state)}
    (tmp_path / "w").write_bytes(pickle.dumps(state, protocol))
    assert len(read_checkpoint(tmp_path / "w")) == 3001


def test_an_ordered_dict_of_python_2(tmp_path):
    """It was written as a call with a list of pairs."""
    array = pickle.dumps(np.ones(2, np.float32), 2)[2:-1]
    pairs = b"](](" + hostile.text("w") + array + b"ee"
    (tmp_path / "w").write_bytes(b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R.")
    assert read_checkpoint(tmp_path / "w")["w"].tolist() == [1.0, 1.0]


def test_published_weights(shared):
    assert len(read_checkpoint(shared / "data" / "weights" / "tinypose_256x192.pdparams")) > 500


# --- siblings that have a sentence of their own ---------------------------------------------------


def torch_file(path: Path, value: bytes, **more: bytes) -> Path:
    body = b"\x80\x02}" + hostile.text("w") + value + b"s."
    path.write_bytes(hostile._zip(body, **more))
    return path


def test_a_tensor_that_repeats_one_number(tmp_path):
    torch.save({"w": torch.ones(1).expand(10**6, 10**6)}, tmp_path / "w.pth")
    error = refusal(read_checkpoint, tmp_path / "w.pth")
    assert_mentions(error.message, "'w'", "(1000000, 1000000)", "bytes")


def test_members_that_differ_in_case_alone(tmp_path):
    path = torch_file(tmp_path / "w", b"N", **{"DATA.PKL": BOMB})
    assert "overlap" in refusal(read_checkpoint, path).message


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (b"N", ()),
        (b"c_codecs\nencode\n" + hostile.text("a") + hostile.text("hex") + b"\x86R", ("'hex'",)),
        (b"cbuiltins\nbytearray\nK\x05\x85R", ("bytearray", "text")),
        (b"ctorch\nTensor\nK\x05\x85R", ("torch.Tensor", "values")),
        (b"ctorch\nTensor\nK\x05\x85\x81", ("torch.Tensor", "values")),
        (b"\x82\x01", ("EXT1",)),
        (b"}" + hostile.number(1 << 63) + b"Ns", ("64 bits",)),
        (b"}" + hostile.number((1 << 63) - 1) + b"Ns", ()),
        (b"}(K\x01K\x02tNs", ("key", "text", "number")),
        (b"]" + hostile.put(0) + hostile.get(0) + b"a", ("itself",)),
        (b")" + b"2\x86" * 44, ("unfold", "1,000,200")),
        (
            b"(" + LONG + COPY * 3000 + b"t",
            ("unfold",),
        ),
        (b")" + b"\x85" * 201, ("nested", "200 levels")),
        (b"N" + b"N0" * 500_000, ("1,000,000 steps",)),
    ],
)
def test_what_the_refusal_names(value, names, tmp_path):
    error = refusal(read_checkpoint, torch_file(tmp_path / "w", value))
    assert_mentions(error.message, *names)
    assert ("refused" in error.message) == bool(names), error.message
