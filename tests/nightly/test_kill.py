"""Killed at any moment, a night ends with the same histories and pages as one left in peace."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import nights
import pytest

HELPERS = Path(nights.__file__).parent
KILLS = int(os.environ.get("POSEBENCH_KILLS", "10"))


class Killed(BaseException):
    """What no ``except Exception`` holds up."""


def lower(entry: str, protocol: str) -> float:
    return -1.0 * (entry == "demo/demo_m")


def result(folder: Path) -> dict[str, bytes]:
    """Everything a night leaves behind."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def prepared(folder: Path) -> Path:
    for night in range(2):
        nights.run(folder, nights.Work(night))
    return folder


@pytest.fixture(scope="module")
def peaceful(tmp_path_factory):
    folder = prepared(tmp_path_factory.mktemp("peace"))
    nights.run(folder, FixedRates(2, score=lower))
    return result(folder)


class FixedRates(nights.Work):
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
            dying = Dying(moment)
            dying.install(patch)
            try:
                nights.run(folder, FixedRates(2, score=lower))
            except Killed:
                survived += 1
            else:
                break
        nights.run(folder, FixedRates(2, score=lower))
        assert_same(result(folder), peaceful, f"moment {moment}")
    assert survived > 20


class Dying:
    """Dies at the n-th thing done to a file; half an append is written."""

    def __init__(self, moment: int) -> None:
        self.left = moment

    def count(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1

    def install(self, patch) -> None:
        from posebench.nightly import history, night, pages, state

        def before(function):
            def counted(*given, **named):
                self.count()
                return function(*given, **named)

            return counted

        for module in (state, pages):
            patch.setattr(module, "write_whole", before(module.write_whole))
        patch.setattr(pages, "save_all", before(pages.save_all))
        patch.setattr(state.State, "remove", before(state.State.remove))
        patch.setattr(night, "append", self.half(history.append))

    def half(self, append):
        def counted(file, observations):
            try:
                self.count()
            except Killed:
                append(file, observations)
                data = file.read_bytes()
                file.write_bytes(data[: -len(data.splitlines()[-1]) // 2])
                raise
            append(file, observations)
            self.count()

        return counted


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
def test_killed_for_real_at_random_moments(tmp_path):
    """``kill -9`` of a process; POSEBENCH_KILLS says how often (default 10)."""
    environment = os.environ | {"PYTHONPATH": str(HELPERS), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).parent / "kill_me.py"), str(tmp_path)]
    moments = random.Random(9)
    killed = 0
    for night in range(KILLS):
        wait = moments.uniform(0.0, 0.6)
        with subprocess.Popen([*command, str(night)], env=environment, stdout=-1) as process:
            assert process.stdout.readline() == b"begins\n"
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                killed += 1
        # whoever comes next goes on with that night, or finds it done
        nights.run(tmp_path, nights.Work(night, score=lower))
    lines = [file.read_text().splitlines() for file in (tmp_path / "history").glob("*.jsonl")]
    assert killed > KILLS // 4
    assert len(lines) == 5
    for each in lines:
        found = [line.partition('"night":"')[2].partition('"')[0] for line in each]
        assert found == sorted(set(found))
        assert len(found) == KILLS
