"""Too little disk, memory or right; Ctrl-C; a clock that jumps: one sentence, and nothing half."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from readers import READERS
from refusals import refused

from posebench.cli import main as cli
from posebench.evaluation.data import data_root
from posebench.evaluation.evaluate import evaluate
from posebench.files import write_whole
from posebench.inference import loading
from posebench.inference.out_of_memory import enough_memory, is_shortage
from posebench.records.store import load, load_records
from posebench.registry import load_registry
from posebench.types.entry import Checkpoint
from posebench.types.errors import UserError

EVAL = ("eval", "--model", "demo_s", "--limit", "24", "--batch-size", "8", "--threads", "1")
RUN = {"limit": 24, "batch_size": 8, "threads": 1}
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for less than it has")


# No bytecode: where files cannot grow Python leaves cut ones, which stop every later process.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def command(*words, prepare=None, cache=None, code=None, **options):
    environment = ENVIRONMENT | ({"POSEBENCH_CACHE": cache} if cache else {})
    start = ["-c", code] if code else ["-m", "posebench"]
    return subprocess.run(
        [sys.executable, *start, *map(str, words)],
        capture_output=True, text=True, preexec_fn=prepare, env=environment, **options,
    )  # fmt: skip


def told(done, *words):
    """One sentence on stderr, status 2, no traceback."""
    assert done.returncode == 2, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr[-2000:]


def small_files(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def whole_files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As the commands run: the number of torch's threads moves the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(one_thread):
    return evaluate("demo_s", **RUN)


# --- disk --------------------------------------------------------------------------------------


@LINUX
def test_a_full_disk_leaves_nothing_half_and_the_next_run_goes_on(tmp_path, whole):
    """No file may be larger than a part needs; then there is room again."""
    words = (*EVAL, "--output", tmp_path, "--resume")
    told(command(*words, prepare=small_files(9000)), "cannot be written", "File too large")
    assert not list(tmp_path.rglob("*.json")) and not list(tmp_path.rglob(".*"))
    again = evaluate("demo_s", chunks=tmp_path / "parts", resume=True, **RUN)
    assert again.predictions_sha256 == whole.predictions_sha256
    assert again.scores == whole.scores


@LINUX
def test_pictures_that_find_no_room_are_not_taken_for_drawn_ones(tmp_path):
    told(command(*EVAL, prepare=small_files(3000), cache=tmp_path), "cannot be written")
    assert not whole_files(tmp_path)


@LINUX
def test_output_that_finds_no_room():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "posebench", "list"],
            stdout=full, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    told(done, "No space left on device")


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_write_that_fails_at_any_step_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "record.json"
    write_whole(path, b"old")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    if step == "write":
        monkeypatch.setattr(Path, "write_bytes", full)
    elif step == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UserError, match="No space left on device"):
        write_whole(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def without_rights():
    """Root ignores a folder's rights; without this capability it does no longer."""
    PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
    libc = ctypes.CDLL(None)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


@LINUX
def test_a_read_only_cache_is_read_or_explained(tmp_path, whole):
    cache, output = tmp_path / "cache", tmp_path / "out"
    cache.mkdir(mode=0o555)
    done = command(*EVAL, "--output", output, cache=cache, prepare=without_rights)
    told(done, "cannot be written", str(cache))
    cache.chmod(0o755)
    source = data_root(load_registry().dataset("synthetic"), None)
    shutil.copytree(source, cache / "synthetic" / source.name)
    folders = [Path(folder) for folder, *_ in os.walk(cache)]
    for folder in folders:
        folder.chmod(0o555)
    try:
        words = (*EVAL, "--output", output, "--json")
        done = command(*words, cache=cache, prepare=without_rights)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert json.loads(done.stdout)["predictions_sha256"] == whole.predictions_sha256


# --- memory ------------------------------------------------------------------------------------

HUNGRY = """
import resource, sys, torch, cv2, scipy, pandas, pydantic
from posebench.cli.main import main
from posebench.registry import load_registry
from posebench.evaluation.evaluate import evaluate
from posebench.evaluation.data import data_root
used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]),) * 2)
sys.exit(main(sys.argv[2:]))
"""


@LINUX
def test_too_little_memory_is_a_sentence(tmp_path):
    done = command(
        300 << 20, "eval", "--model", "demo_l", "--limit", "30", "--threads", "1",
        "--batch-size", "4096", "--output", tmp_path, code=HUNGRY,
    )  # fmt: skip
    told(done, "Out of memory", "--batch-size", "--threads")
    assert not whole_files(tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `create`"),
        RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
        RuntimeError("CUDA error: out of memory"),
        MemoryError(),
    ],
)
def test_every_way_to_say_it_is_understood(error):
    assert is_shortage(error)
    with refused("Out of memory", "cuda:0", "64", hint="--batch-size"), enough_memory("cuda:0", 64):
        raise error


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes"), enough_memory("cpu", 1):
        raise RuntimeError("shapes do not match")


# --- threads, signals, clock ---------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 7, 30])
def test_a_worker_thread_that_raises_ends_the_run_at_once(monkeypatch, after):
    calls = []
    plain = loading.crop_person

    def crop(*arguments):
        calls.append(1)
        if len(calls) > after:
            raise ZeroDivisionError("in a thread")
        return plain(*arguments)

    monkeypatch.setattr(loading, "crop_person", crop)
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError, match="in a thread"):
        evaluate("demo_s", limit=24, batch_size=8, threads=3)
    assert len(calls) <= after + 3 * 8  # what was under way, and no more
    assert threading.active_count() == before


@pytest.mark.parametrize("seed", range(int(os.environ.get("POSEBENCH_KILLS", "1"))))
def test_control_c_at_any_moment(tmp_path, whole, seed):
    """Then ``--resume``: no traceback, and the same predictions."""
    words = [sys.executable, "-m", "posebench", *EVAL, "--resume", "--json", "--output", tmp_path]
    random = np.random.default_rng(seed)
    began = time.monotonic()
    assert command("list", "--json").returncode == 0
    start = time.monotonic() - began
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    time.sleep(random.uniform(0.5, 8.0) * start)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode in (0, 130, -signal.SIGINT)
    assert "Traceback" not in said
    again = evaluate("demo_s", chunks=tmp_path / "parts", resume=True, **RUN)
    assert again.predictions_sha256 == whole.predictions_sha256
    assert again.scores == whole.scores
    assert not list(tmp_path.rglob("*.npz"))


def test_a_clock_that_runs_backwards_moves_nothing(tmp_path, monkeypatch, whole):
    now = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    seen = []

    def stop(what, done, _):
        seen.append(done)
        if done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate("demo_s", chunks=tmp_path, progress=stop, **RUN)
    kept = whole_files(tmp_path)
    assert kept or max(seen) < 40
    for number, path in enumerate(kept):
        os.utime(path, (4e9, 4e9) if number % 2 else (0, 0))
    record = evaluate("demo_s", chunks=tmp_path, resume=True, **RUN)
    assert record.predictions_sha256 == whole.predictions_sha256
    assert record.seconds >= 0


# --- things that are not files, names that are paths ----------------------------------------------


@LINUX
def test_a_pipe_in_the_place_of_a_file_does_not_hang(tmp_path, capsys):
    pipe = tmp_path / "eval-x.json"
    os.mkfifo(pipe)
    for act in (lambda: load(pipe), lambda: load_records(tmp_path)):
        with pytest.raises(UserError, match="not a file"):
            act()
    for words in (
        ("--annotations", pipe, "--images", tmp_path),
        ("--checkpoint", pipe),
        ("--boxes", pipe),
    ):
        assert cli.main([*EVAL, "--output", str(tmp_path), *map(str, words)]) == 2
        assert "eval-x.json" in capsys.readouterr().err


# Of the other kinds the bytes are handed over by who fetched, listed or read them.
@LINUX
@pytest.mark.parametrize("kind", sorted(READERS.keys() - {"archive", "dataset", "mat", "yaml"}))
def test_a_device_in_the_place_of_a_file_is_not_read(kind):
    """``/dev/null`` would be read as an empty file, ``/dev/zero`` without end."""
    with pytest.raises(UserError, match=r"/dev/null .*(is not a file|is not a (regular )?file)"):
        READERS[kind](Path("/dev/null"))


@pytest.mark.parametrize("name", ["..", ".", "...", "a/b", "a\\b", "a\n", "A", ""])
def test_ids_are_names_of_files(name):
    with pytest.raises(ValueError, match="id"):
        Checkpoint(id=name, container="none")
