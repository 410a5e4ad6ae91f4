"""Shares as Ray tasks on two nodes of one processor each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from itertools import pairwise

import pytest
from remote_row import fetched_row
from server import serving

from posebench.evaluation.evaluate import evaluate
from posebench.launch import many, speed
from posebench.launch.files import bring
from posebench.launch.many import Result, ShardTask, carry_out, evaluate_all
from posebench.launch.on_ray import RayLauncher, Task
from posebench.timing.measure import configuration
from posebench.types.request import EvalRequest, SpeedRequest

if os.environ.get("POSEBENCH_RAY") is None:
    pytest.skip(
        "set POSEBENCH_RAY=1 to start a cluster, or run tox -e ray", allow_module_level=True
    )

import ray  # asked for: a missing Ray is a failure, not a skip

ASKED = {"limit": 30, "batch_size": 8, "threads": 1}


def content(record):
    return record.model_dump(exclude={"created", "seconds", "command"})


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    found.worker = found.add_node(num_cpus=1)
    found.wait_for_nodes()
    yield found
    ray.shutdown()
    found.shutdown()


def test_the_cluster_gives_the_local_bytes_and_does_nothing_twice(cluster, tmp_path):
    requests = [EvalRequest.of(model="demo_s", **ASKED), EvalRequest.of(model="demo_m", **ASKED)]
    local = evaluate_all(requests, None, tmp_path / "local", shares=3)
    one = RayLauncher(cluster.address)
    by_value = []
    result_of = one._result

    def looked_at(reference):
        by_value.append(ray.experimental.get_object_locations([reference])[reference])
        return result_of(reference)

    one._result = looked_at
    found = evaluate_all(requests, one, tmp_path / "ray", shares=3)
    assert len(by_value) == 8  # six shares, two joined
    assert all(each["node_ids"] == [] for each in by_value)  # nothing in the object store
    assert max(each["object_size"] for each in by_value) < 100_000
    assert [content(r) for r in found] == [content(r) for r in local]
    files = {f: f.stat().st_mtime_ns for f in (tmp_path / "ray").rglob("*.npz")}
    assert files
    again = evaluate_all(requests, one, tmp_path / "ray", shares=3)
    assert [content(r) for r in again] == [content(r) for r in local]
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "ray").rglob("*.npz")} == files


def test_a_node_that_dies_loses_nothing(cluster, tmp_path):
    request = EvalRequest.of(model="demo_s", **(ASKED | {"limit": 120}))
    (local,) = evaluate_all([request], None, tmp_path / "local")
    killed = []

    def kill(board):
        if not killed:
            killed.append(time.monotonic())
            cluster.remove_node(cluster.worker)

    (found,) = evaluate_all(
        [request], RayLauncher(cluster.address), tmp_path / "ray", shares=6, report=kill
    )
    assert killed
    assert content(found) == content(local)


def test_json_has_stdout_for_itself_while_a_node_dies(cluster, tmp_path):
    """Ray says so on standard output, from threads of its own."""
    words = "eval --model demo_s --launcher ray --shares 8 --limit 120 --batch-size 8 --threads 1"
    command = [sys.executable, "-m", "posebench", *words.split(), "--json"]
    command += ["--address", cluster.address, "--output", str(tmp_path)]
    board = tmp_path / "progress.json"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as driver:
        while driver.poll() is None and not board.is_file():
            time.sleep(0.05)
        cluster.remove_node(cluster.worker)
        out, said = driver.communicate()
    assert driver.returncode == 0, said
    assert json.loads(out)["file"].startswith(str(tmp_path))


def test_a_poisoned_entry_is_recorded_and_blocks_nobody(cluster, tmp_path, monkeypatch):
    def die(share: ShardTask) -> Result:
        if share.request.model == "demo_s":
            os._exit(1)
        return carry_out(share)

    monkeypatch.setattr(many, "carry_out", die)
    requests = [EvalRequest.of(model="demo_s", **ASKED), EvalRequest.of(model="demo_m", **ASKED)]
    poisoned, fine = evaluate_all(requests, RayLauncher(cluster.address), tmp_path)
    assert "worker died 4 times" in poisoned
    assert not isinstance(fine, str)


def test_a_killed_driver_goes_on_where_it_was_and_json_has_stdout_for_itself(cluster, tmp_path):
    words = "eval --model demo_s --launcher ray --shares 8 --limit 120 --batch-size 8 --threads 1"
    command = [
        *(sys.executable, "-m", "posebench", *words.split(), "--json"),
        *("--address", cluster.address, "--output", str(tmp_path)),
    ]
    board = tmp_path / "progress.json"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as driver:
        while driver.poll() is None and not board.is_file():
            time.sleep(0.05)
        driver.kill()
    # a chunk is whole when it has its description, which is written last
    whole = [
        file for each in tmp_path.rglob("[0-9]*.json") for file in each.parent.glob(f"{each.stem}*")
    ]
    done = {file: file.stat().st_mtime_ns for file in whole}
    assert done
    assert not list(tmp_path.rglob("eval-*.json"))
    again = subprocess.run(command, capture_output=True, check=True)
    record = json.loads(again.stdout)
    assert {file: file.stat().st_mtime_ns for file in done} == done
    assert json.loads(board.read_text())["counts"]["done"] == 1
    alone = evaluate("demo_s", limit=120, batch_size=8, threads=1)
    assert record["predictions_sha256"] == alone.predictions_sha256
    assert record["scores"] == json.loads(alone.model_dump_json())["scores"]


def test_each_node_fetches_a_file_once(tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    def only_bring(request: EvalRequest) -> str:
        bring(request, False)
        time.sleep(1)  # so that no node does all of them
        return os.environ["POSEBENCH_CACHE"]

    monkeypatch.setenv("POSEBENCH_CACHE", str(tmp_path / "one"))
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    monkeypatch.setenv("POSEBENCH_CACHE", str(tmp_path / "two"))
    found.add_node(num_cpus=1)
    found.wait_for_nodes()
    try:
        with serving() as server:
            folder = fetched_row(tmp_path / "rows", server)
            asked = EvalRequest.of(model="far", registry=(folder,))
            tasks = deque(Task(asked) for _ in range(8))
            results = RayLauncher(found.address).run(tasks, only_bring, lambda *_: {"num_cpus": 1})
            caches = {cache for _, cache in results}
            assert caches == {str(tmp_path / "one"), str(tmp_path / "two")}
            assert len(server.asked("/weights")) == 2
    finally:
        ray.shutdown()
        found.shutdown()


def test_cells_are_timed_one_a_node_and_stored_here(cluster, tmp_path, monkeypatch):
    def fake(entry: speed.Entry, order: speed.Order) -> speed.Timed:
        def measured(request, **_):
            cell = configuration(request)
            start = time.time()
            time.sleep(2)
            node = ray.get_runtime_context().get_node_id()
            found = speed.Findings(notes=[node, str(start), str(time.time()), str(cell.threads)])
            job = speed.SpeedJob(model=entry.key, cell=cell, command=order.command)
            yield speed.Timed(speed.record_of(job, entry, found), None)

        if entry.id == "demo_l":
            os._exit(1)
        speed.measure_speeds = measured  # in the worker, whose time_here is not this function
        return speed.time_here(entry, order)

    monkeypatch.setattr(speed, "time_here", fake)
    models = ["demo_s", "demo_m", "demo_mpii", "demo_bottom_up", "demo_l"]
    request = SpeedRequest(models=models, batch_size=2, fold=True, quick=True)
    order = speed.Order(request, tmp_path, command="posebench speed")
    timed = list(speed.measure_on_ray(RayLauncher(cluster.address), order))
    assert len(timed) == 5
    assert all(each.file.is_file() for each in timed)
    records = {each.record.entry.id: each.record for each in timed}
    lost = records.pop("demo_l")
    assert "worker died" in lost.failure and lost.cell.form.folded
    spans: dict[str, list] = {}
    for record in records.values():
        node, start, end, threads = record.notes
        assert threads == "1"
        spans.setdefault(node, []).append((float(start), float(end)))
    assert len(spans) == 2
    for times in map(sorted, spans.values()):
        assert all(one[1] <= two[0] for one, two in pairwise(times))


def test_a_cell_whose_node_dies_is_timed_on_another_one(cluster, tmp_path, monkeypatch):
    connected = RayLauncher(cluster.address)
    head = "node:__internal_head__"
    (dying,) = [node["NodeID"] for node in ray.nodes() if head not in node["Resources"]]
    begun = tmp_path / "begun"

    def fake(entry: speed.Entry, order: speed.Order) -> speed.Timed:
        if ray.get_runtime_context().get_node_id() == dying:
            begun.touch()
            time.sleep(3600)
        job = speed.SpeedJob(model=entry.key, cell=configuration(order.request))
        return speed.Timed(speed.record_of(job, entry, speed.Findings()), None)

    def kill() -> None:
        while not begun.exists():
            time.sleep(0.05)
        cluster.remove_node(cluster.worker)

    monkeypatch.setattr(speed, "time_here", fake)
    killer = threading.Thread(target=kill)
    killer.start()
    request = SpeedRequest(models=("demo_s", "demo_m", "demo_l"), device="cpu")
    timed = list(speed.measure_on_ray(connected, speed.Order(request, tmp_path)))
    killer.join()
    assert sorted(each.record.entry.id for each in timed) == ["demo_l", "demo_m", "demo_s"]
    assert [each.record.failure for each in timed] == [None] * 3
