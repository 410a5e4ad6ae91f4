"""Killed at any moment, a night ends with the same histories and pages as one left in peace."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import nightly_runs
import pytest

HELPERS = Path(nightly_runs.__file__).parent
KILLS = int(os.environ.get("POSEBENCH_KILLS", "10"))
MOMENTS = 22  # fewer than a night has


class Killed(BaseException):
    """What no ``except Exception`` holds up."""


def die() -> None:
    raise Killed


def result(folder: Path) -> dict[str, bytes]:
    """Everything a night leaves behind."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def prepared(folder: Path) -> Path:
    for night in range(2):
        nightly_runs.run(folder, nightly_runs.Work(night))
    return folder


@pytest.fixture(scope="module")
def peaceful(tmp_path_factory):
    folder = prepared(tmp_path_factory.mktemp("peace"))
    nightly_runs.run(folder, FixedRates(2, score=nightly_runs.lower))
    return result(folder)


class FixedRates(nightly_runs.Work):
    """Rates do not depend on how many cells were measured before."""

    def time(self, cell):
        self.measured = [key for key in self.measured if key == cell.key]
        return super().time(cell)


def test_killed_at_every_file_it_touches(tmp_path, peaceful, monkeypatch):
    """A made-up kill before each write, append, rename and removal in turn."""
    folder = prepared(tmp_path)
    before = result(folder)
    survived = 0
    for moment in range(1000):
        restore(folder, before)
        with monkeypatch.context() as patch:
            nightly_runs.Moment(moment, die).install(patch.setattr)
            try:
                nightly_runs.run(folder, FixedRates(2, score=nightly_runs.lower))
            except Killed:
                survived += 1
            else:
                break
        nightly_runs.run(folder, FixedRates(2, score=nightly_runs.lower))
        assert_same(result(folder), peaceful, f"moment {moment}")
    print(f"{survived} moments")
    assert survived > MOMENTS


def restore(folder: Path, content: dict[str, bytes]) -> None:
    for path in result(folder):
        (folder / path).unlink()
    for path, data in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def assert_same(found: dict[str, bytes], expected: dict[str, bytes], when: str) -> None:
    assert found.keys() == expected.keys(), when
    assert [path for path in found if found[path] != expected[path]] == [], when


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is Unix's")
def test_killed_for_real(tmp_path):
    """``kill -9`` of a process; POSEBENCH_KILLS says how often (default 10).

    Every other one dies where it waits for it, the rest somewhere in the moments after: those
    may be done before the signal is there.
    """
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HELPERS / "nightly_process.py"), str(tmp_path)]
    moments = random.Random(9)
    statuses = []
    for night in range(KILLS):
        then = ("wait", "run")[night % 2]
        words = [*command, str(night), str(moments.randrange(MOMENTS)), then]
        with subprocess.Popen(words, env=environment, stdin=-1, stdout=-1) as process:
            assert process.stdout.readline() == b"now\n"
            if then == "run":
                time.sleep(moments.uniform(0.0, 0.03))
            process.kill()
            statuses.append(process.wait())
        # whoever comes next goes on with that night, or finds it done
        nightly_runs.run(tmp_path, nightly_runs.Work(night, score=nightly_runs.lower))
    print(f"{statuses.count(-signal.SIGKILL)} of {KILLS} killed")
    assert set(statuses[::2]) == {-signal.SIGKILL}
    assert set(statuses) <= {0, -signal.SIGKILL}
    lines = [file.read_text().splitlines() for file in (tmp_path / "history").glob("*.jsonl")]
    assert len(lines) == 5
    for each in lines:
        found = [line.partition('"night":"')[2].partition('"')[0] for line in each]
        assert found == sorted(set(found))
        assert len(found) == KILLS
