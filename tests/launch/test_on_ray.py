"""What tasks ask a cluster for and what becomes of them, without one."""

from __future__ import annotations

import builtins
import pickle
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import pytest

from posebench.evaluation.evaluate import evaluate
from posebench.install import install_command
from posebench.launch import on_ray, speed
from posebench.launch.many import (
    AHEAD,
    ModelStatus,
    Result,
    ShardTask,
    share_options,
    status_of_tasks,
)
from posebench.launch.memory import ROOM, UNKNOWN, Peaks
from posebench.launch.on_ray import ATTEMPTS, Node, RayLauncher, Task
from posebench.registry import load_registry
from posebench.types.errors import UserError
from posebench.types.request import EvalRequest, SpeedRequest
from posebench.types.timing import Form

GIB = 2**30
SMALL, LARGE = Node("a", 2, 0, 8 * GIB), Node("b", 8, 2, 64 * GIB)

FOLDED = Form(folded=True)


def share(shard=(1, 2), **asked) -> ShardTask:
    return ShardTask(0, EvalRequest.of(model="demo_s", **asked), shard, Path("/parts"))


def options(nodes, memory=None, running=0, **asked):
    return share_options(share(**asked), memory, nodes, running)


def test_a_task_asks_for_the_measured_memory_and_some_room():
    assert options([SMALL]) == {"num_cpus": 1, "memory": UNKNOWN}
    assert options([SMALL], GIB)["memory"] == int(GIB * ROOM)


def test_nothing_is_asked_for_that_no_node_has():
    assert options([SMALL, LARGE], 100 * GIB)["memory"] == 64 * GIB
    assert options([SMALL, LARGE], threads=16)["num_cpus"] == 8
    assert options([SMALL, Node("head", 0, 0, 99 * GIB)], 100 * GIB)["memory"] == 8 * GIB
    assert "memory" not in options([])


@pytest.mark.parametrize(
    ("nodes", "asked"),
    [
        ([Node("a", 16, 0, 8 * GIB), Node("b", 2, 0, 64 * GIB)], {"threads": 16}),
        ([Node("a", 16, 0, 64 * GIB), Node("b", 2, 1, 8 * GIB)], {"threads": 4, "device": "cuda"}),
    ],
)
def test_one_node_has_all_that_is_asked_for(nodes, asked):
    """Processors of one node and memory of another one together would be waited for for ever."""
    found = options(nodes, 50 * GIB, **asked)
    assert any(
        node.cpus >= found["num_cpus"]
        and node.memory >= found["memory"]
        and node.gpus >= found.get("num_gpus", 0)
        for node in nodes
    )


def test_an_evaluation_has_an_accelerator_that_only_joining_shares():
    estimating = options([SMALL, LARGE], device="cuda:3")["num_gpus"]
    joining = options([SMALL, LARGE], shard=None, device="cuda:3")["num_gpus"]
    assert estimating + joining <= 1 < 2 * estimating
    assert "num_gpus" not in options([LARGE])


def test_an_accelerator_that_no_node_has_is_refused_and_not_waited_for():
    without = launcher(Fake(None))
    assert without.device("cpu") == without.device(None) == "cpu"
    for refused in (lambda: without.device("cuda:3"), lambda: options([SMALL], device="cuda:3")):
        with pytest.raises(UserError, match=r"cuda:3 .* none of the cluster's 1 nodes has an acc"):
            refused()
    with_one = Fake(None)
    with_one.resources["GPU"] = 1.0
    # on a worker the device that it was given is the first one
    assert launcher(with_one).device("cuda:3") == launcher(with_one).device(None) == "cuda:0"


@pytest.mark.parametrize(
    ("nodes", "asked", "at_once"),
    [
        ([SMALL, LARGE], {}, 10),
        ([SMALL, LARGE], {"threads": 4}, 2),
        ([SMALL, LARGE], {"device": "cuda"}, 2),
        ([], {}, 1),
    ],
)
def test_ray_is_handed_twice_as_many_tasks_as_can_run(nodes, asked, at_once):
    assert options(nodes, running=AHEAD * at_once - 1, **asked)
    assert options(nodes, running=AHEAD * at_once, **asked) is None


def placed(device, nodes, lost=()):
    """The nodes on which so many cells are put one after the other, with what each asks for."""
    running = []
    while found := speed.cell_options(device, Task("a row", lost), nodes, running):
        running.append(found)
    return [(each["node"], each["num_cpus"], each["num_gpus"]) for each in running]


def test_a_cell_has_a_device_or_all_processors_of_a_node():
    assert placed("cuda:0", [SMALL, LARGE]) == [("b", 4, 1), ("b", 4, 1)]
    assert placed("cpu", [SMALL, LARGE]) == [("a", 2, 0), ("b", 8, 0)]
    with pytest.raises(UserError, match="no node to time cpu on"):
        placed("cpu", [Node("head", 0, 0, GIB)])


def test_a_lost_cell_goes_to_another_node_where_there_is_one():
    assert placed("cpu", [SMALL, LARGE], lost=("a",)) == [("b", 8, 0)]
    assert placed("cpu", [SMALL], lost=("a",)) == [("a", 2, 0)]
    assert placed("cuda:0", [SMALL, LARGE], lost=("b",)) == [("b", 4, 1), ("b", 4, 1)]


class Fake:
    """As much of Ray as a launcher calls; runs a task when it is waited for."""

    class exceptions:
        class RayError(Exception):
            pass

        class RayTaskError(RayError):
            cause: Exception = OSError("odd")

    def __init__(self, results):
        self.results, self.submitted, self.asked, self.cancelled = results, [], [], []
        self.most = 0
        self.resources = {"CPU": 2.0, "memory": 4.0 * GIB}

    def nodes(self):
        return [
            {"NodeID": "a", "Alive": True, "Resources": self.resources},
            {"NodeID": "dead", "Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
        ]

    def remote(self, function):
        def submit(do, work):
            self.submitted.append(work)
            return len(self.submitted) - 1

        def options(**asked):
            self.asked.append(asked)
            return SimpleNamespace(remote=submit)

        return SimpleNamespace(options=options)

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
    made.ray = fake
    return made


def run(fake, tasks):
    def ask(task, nodes, running):
        return share_options(task.work, None, nodes, len(running))

    return launcher(fake).run(tasks, None, ask)


def test_ray_holds_no_more_than_it_can_run_soon_and_a_stopped_driver_leaves_nothing():
    fake = Fake(lambda work: (on_ray.__version__, Result()))
    waiting = deque(Task(share((number, 50))) for number in range(1, 51))
    running = run(fake, waiting)
    for _ in range(3):
        next(running)
    running.close()
    assert fake.most == AHEAD * 2
    assert fake.cancelled == [3, 4, 5]
    assert len(waiting) == 44


@pytest.mark.parametrize("pinned", [False, True])
def test_a_worker_that_dies_every_time_is_said_in_one_sentence(monkeypatch, pinned):
    """Ray retries what it places itself; a cell is placed anew for each attempt."""
    strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node, soft: (node, soft))
    for name in ("ray", "ray.util"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", strategies)
    fake = Fake(lambda work: Fake.exceptions.RayError("signal 9\nmore"))

    def ask(task, nodes, running):
        return {"num_cpus": 1} | ({"node": nodes[0].id} if pinned else {})

    ((_, outcome),) = launcher(fake).run(deque([Task(share())]), None, ask)
    assert outcome == "Its worker died 4 times (RayError: signal 9)."
    assert sum(1 + asked["max_retries"] for asked in fake.asked) == ATTEMPTS == 4
    strategy = [asked.get("scheduling_strategy") for asked in fake.asked]
    assert strategy == ([("a", False)] * 4 if pinned else [None])


def test_a_worker_that_cannot_run_a_task_is_not_asked_again():
    fake = Fake(lambda work: Fake.exceptions.RayTaskError())
    ((_, outcome),) = run(fake, deque([Task(share())]))
    assert outcome == "It could not be run on the worker (odd)."
    assert len(fake.submitted) == 1


def test_what_a_worker_refuses_is_the_users_and_another_version_is_refused(monkeypatch):
    refused = Fake.exceptions.RayTaskError()
    refused.cause = UserError("tf32 is not for this.", "Use fp32.")
    with pytest.raises(UserError, match="tf32 is not for this"):
        list(run(Fake(lambda work: refused), deque([Task(share())])))
    with pytest.raises(UserError, match=r"A worker has posebench 0\.0, this process has") as caught:
        list(run(Fake(lambda work: ("0.0", Result())), deque([Task(share())])))
    assert "one version on all nodes" in caught.value.hint


@pytest.mark.parametrize("asked", [{}, {"fold": True, "batch_size": 2, "threads": 3}])
def test_a_cell_that_no_worker_could_time_is_a_record(tmp_path, asked):
    """Also with as little asked for as a nightly run does."""
    order = speed.Order(SpeedRequest(device="cpu", **asked), tmp_path, command="posebench speed")
    record = speed._lost(load_registry().find("demo_s"), order, "Its worker died 4 times.")
    assert record.failure == "Its worker died 4 times."
    cell = record.cell
    assert (cell.form.folded, cell.batch_size, cell.threads) == (
        (True, 2, 3) if asked else (False, 64, 1)
    )


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


@pytest.mark.parametrize(("given", "reports"), [(None, "0"), ("1", "1")])
def test_without_an_address_ray_starts_here_and_tells_nobody(monkeypatch, given, reports):
    asked = {}
    fake = SimpleNamespace(is_initialized=lambda: False, init=lambda **how: asked.update(how))
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.setitem(sys.modules, "ray.exceptions", fake)
    name = "RAY_USAGE_STATS_ENABLED"
    for setting in on_ray.SETTINGS:  # set first, so that the test's end takes it back
        monkeypatch.setenv(setting, "")
        monkeypatch.delenv(setting)
    if given is not None:
        monkeypatch.setenv(name, given)
    assert RayLauncher().ray is fake
    assert asked["address"] is None
    assert on_ray.os.environ[name] == reports


def test_what_travels_by_value_is_small(tmp_path):
    assert len(pickle.dumps(share(checkpoint=tmp_path, data_root=tmp_path))) < 10_000
    assert all(len(pickle.dumps(entry)) < 10_000 for entry in load_registry().entries)
    record = evaluate("demo_s", limit=12, threads=1)
    assert len(pickle.dumps(Result("", record))) < 100_000  # Ray sends that inline


def test_peaks_are_remembered_by_how_a_model_is_run(tmp_path):
    file = tmp_path / "memory.json"
    peaks = Peaks(file)
    one = EvalRequest.of(model="demo_s")
    assert peaks.of(one) is None
    seen = []
    for measured in (100, 50, None, 200):
        peaks.note(one, measured)
        seen.append(peaks.of(one))
    assert seen == [100, 100, 100, 200]
    again = Peaks(file)
    assert again.of(one) == 200
    for other in ({"model": "demo_m"}, {"batch_size": 8}, {"device": "cuda"}, {"form": FOLDED}):
        asked = EvalRequest.of(**({"model": "demo_s"} | other))
        assert again.of(asked) is None
    whole = file.read_text()
    for damaged in ("{", "[]", *(whole.replace("200", value) for value in ("-200", "2e2", '"9"'))):
        file.write_text(damaged)
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
    lines = [
        ModelStatus("a", 2),
        ModelStatus("b", 2, 2, 3.0, "done"),
        ModelStatus("c", 2, state="failed", error="x"),
    ]
    content = status_of_tasks(lines, 1.0)
    assert content["counts"] == {"waiting": 1, "running": 0, "joining": 0, "done": 1, "failed": 1}
    assert content["requests"][1] == {
        "model": "b", "shares": 2, "done": 2, "seconds": 3.0, "state": "done", "error": "",
    }  # fmt: skip


def test_the_table_shows_what_is_at_work_or_failed():
    from rich.console import Console

    from posebench.cli.launcher import status_table

    lines = [ModelStatus(f"at-work-{n}", 4, 1, 9.0, "running") for n in range(5)]
    lines += [ModelStatus("over", 4, 4, 9.0, "done"), ModelStatus("not-yet", 4)]
    lines += [ModelStatus("bad", 4, 1, 9.0, "failed", "It broke.")]
    console = Console(width=120)
    with console.capture() as captured:
        console.print(status_table(status_of_tasks(lines, 61.0)))
    text = captured.get()
    assert "at-work-4" in text and "1 of 4" in text and "It broke." in text
    assert "over" not in text and "not-yet" not in text
    assert "1 waiting, 5 running, 1 done, 1 failed; 61 s" in text
