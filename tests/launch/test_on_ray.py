"""What tasks ask a cluster for, without one."""

from __future__ import annotations

import builtins
import pickle
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path

import pytest

from posebench.install import install_command
from posebench.launch import on_ray, speed
from posebench.launch.board import Board, Line
from posebench.launch.memory import ROOM, UNKNOWN, Peaks
from posebench.launch.on_ray import Node, RayLauncher
from posebench.launch.tasks import Task
from posebench.run.evaluation import evaluate
from posebench.run.request import Request
from posebench.types.errors import UserError
from posebench.types.timing import Form

GIB = 2**30
SMALL, LARGE = Node("a", 2, 0, 8 * GIB), Node("b", 8, 2, 64 * GIB)


def task(shard=(1, 2), memory=None, **asked) -> Task:
    return Task(0, Request.of("demo_s", **asked), shard, Path("/parts"), memory)


def test_a_task_asks_for_the_measured_memory_and_some_room():
    assert on_ray._options(task(), [SMALL]) == {"num_cpus": 1, "memory": UNKNOWN}
    assert on_ray._options(task(memory=GIB), [SMALL])["memory"] == int(GIB * ROOM)


def test_nothing_is_asked_for_that_no_node_has():
    assert on_ray._options(task(memory=100 * GIB), [SMALL, LARGE])["memory"] == 64 * GIB
    assert on_ray._options(task(threads=16), [SMALL, LARGE])["num_cpus"] == 8
    assert "memory" not in on_ray._options(task(), [])


def test_an_evaluation_has_an_accelerator_that_only_joining_shares():
    estimating = on_ray._options(task(device="cuda:3"), [SMALL, LARGE])["num_gpus"]
    joining = on_ray._options(task(None, device="cuda:3"), [SMALL, LARGE])["num_gpus"]
    assert estimating + joining <= 1 < 2 * estimating
    assert on_ray._local(task(device="cuda:3")).request.device == "cuda:0"
    assert "num_gpus" not in on_ray._options(task(), [LARGE])


def test_an_accelerator_that_no_node_has_is_refused_and_not_waited_for():
    with pytest.raises(UserError, match="none of the cluster's 1 nodes has an accelerator"):
        on_ray._options(task(device="cuda"), [SMALL])


def test_as_many_tasks_run_as_there_are_processors_or_devices():
    assert on_ray._places([SMALL, LARGE], task()) == 10
    assert on_ray._places([SMALL, LARGE], task(threads=4)) == 2
    assert on_ray._places([SMALL, LARGE], task(device="cuda")) == 2
    assert on_ray._places([], task()) == 1


def test_a_cell_has_a_device_or_all_processors_of_a_node():
    on_gpus = speed.places([SMALL, LARGE], "cuda:0")
    assert on_gpus == [speed.Place("b", 4, 1), speed.Place("b", 4, 1)]
    on_cpus = speed.places([SMALL, LARGE], "cpu")
    assert on_cpus == [speed.Place("a", 2, 0), speed.Place("b", 8, 0)]
    assert speed.places([Node("head", 0, 0, GIB)], "cpu") == []


class Fake:
    """As much of Ray as a launcher calls; runs a task when it is waited for."""

    class exceptions:
        class RayError(Exception):
            pass

        class RayTaskError(RayError):
            pass

    def __init__(self, results):
        self.results, self.submitted, self.cancelled, self.most = results, [], [], 0

    def nodes(self):
        return [{"NodeID": "a", "Alive": True, "Resources": {"CPU": 2.0, "memory": 4.0 * GIB}},
                {"NodeID": "dead", "Alive": False, "Resources": {"CPU": 64.0}}]  # fmt: skip

    def remote(self, **_):
        fake = self

        class Remote:
            def __init__(self, function):
                pass

            def options(self, **options):
                return self

            def remote(self, task):
                fake.submitted.append(task)
                return len(fake.submitted) - 1

        return Remote

    def wait(self, references, num_returns):
        self.most = max(self.most, len(references))
        return references[:1], references[1:]

    def get(self, reference):
        found = self.results(self.submitted[reference])
        if isinstance(found, Exception):
            raise found
        return found

    def cancel(self, reference, force):
        self.cancelled.append(reference)


def launcher(fake) -> RayLauncher:
    made = RayLauncher.__new__(RayLauncher)
    made.ray, made._fetching = fake, None
    return made


def test_ray_holds_no_more_than_it_can_run_soon_and_a_stopped_driver_leaves_nothing():
    fake = Fake(lambda task: on_ray.Result())
    waiting = deque(task((number, 50)) for number in range(1, 51))
    running = launcher(fake).run(waiting)
    for _ in range(3):
        next(running)
    running.close()
    assert fake.most == on_ray.AHEAD * 2
    assert fake.cancelled == [3, 4, 5]
    assert len(waiting) == 44


def test_a_worker_that_dies_every_time_is_said_in_one_sentence():
    fake = Fake(lambda task: Fake.exceptions.RayError("signal 9\nmore"))
    (done,) = launcher(fake).run(deque([task()]))
    assert done.result.error == "Its worker died 4 times (RayError: signal 9)."


def test_without_ray_one_sentence_says_how_to_get_it(monkeypatch):
    original = builtins.__import__

    def without(name, *rest, **options):
        if name.partition(".")[0] == "ray":
            raise ImportError(name)
        return original(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match="not installed") as caught:
        RayLauncher()
    assert install_command("ray") in caught.value.hint


def test_an_address_where_nobody_listens_is_said_at_once():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "127.0.0.1:99999"):
            assert not on_ray.answers(address)
        taken.listen()
        assert on_ray.answers(f"127.0.0.1:{port}")
    assert on_ray.answers("auto")  # Ray's to find


def test_what_travels_by_value_is_small(tmp_path):
    assert len(pickle.dumps(task(checkpoint=tmp_path, data_root=tmp_path))) < 10_000
    record = evaluate("demo_s", limit=12, threads=1)
    assert len(pickle.dumps(on_ray.Result("", record))) < 100_000  # Ray sends that inline


def test_peaks_are_remembered_by_how_a_model_is_run(tmp_path):
    file = tmp_path / "memory.json"
    peaks = Peaks(file)
    one = Request.of("demo_s")
    assert peaks.of(one) is None
    assert [peaks.note(one, n) for n in (100, 50, None, 200)] == [True, False, False, True]
    again = Peaks(file)
    assert again.of(one) == 200
    for other in ("demo_m", {"batch_size": 8}, {"device": "cuda"}, {"form": Form(folded=True)}):
        asked = Request.of(other) if isinstance(other, str) else Request.of("demo_s", **other)
        assert again.of(asked) is None
    file.write_text("{")
    assert Peaks(file).of(one) is None


def test_the_peak_is_that_of_a_task_and_not_of_the_process():
    """In a process of its own: in a long one the allocator gives and takes at its will."""
    code = """
from posebench.launch.memory import forget_peak, peak
bytearray(300 * 2**20).find(1)
forget_peak()
before = peak()
held = bytearray(b"\\1") * (100 * 2**20)
print(None if before is None else peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if done.stdout.strip() == "None":
        pytest.skip("this system counts no memory")
    assert 80 * 2**20 < int(done.stdout) < 200 * 2**20


def test_the_board_counts_states():
    board = Board([Line("a", 2), Line("b", 2, 2, 3.0, "done"), Line("c", 2, error="x")])
    board.lines[2].state = "failed"
    content = board.to_json()
    assert content["counts"] == {"waiting": 1, "running": 0, "joining": 0, "done": 1, "failed": 1}
    assert content["requests"][1] == {
        "model": "b", "shares": 2, "done": 2, "seconds": 3.0, "state": "done", "error": "",
    }  # fmt: skip


def test_the_table_shows_what_is_at_work_or_failed():
    from rich.console import Console

    from posebench.cli.launcher import ROWS, board_table

    lines = [Line(f"at-work-{n}", 4, 1, 9.0, "running") for n in range(ROWS + 5)]
    lines += [Line("over", 4, 4, 9.0, "done"), Line("not-yet", 4)]
    console = Console(width=120)
    with console.capture() as captured:
        console.print(board_table(Board(lines)))
    text = captured.get()
    assert "at-work-0" in text and "... and 5 more" in text
    assert "over" not in text and "not-yet" not in text
    assert "1 waiting, 25 running, 1 done" in text
