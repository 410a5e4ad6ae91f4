"""Shares as Ray tasks on two nodes of one processor each."""

from __future__ import annotations

import os
import time

import pytest

from posebench.launch.many import Failure, evaluate_all
from posebench.launch.tasks import LocalLauncher, Task, carry_out
from posebench.run.request import Request

ray = pytest.importorskip("ray", reason="Ray is not installed (posebench-zoo[ray])")
if os.environ.get("POSEBENCH_RAY") is None:
    pytest.skip("set POSEBENCH_RAY=1 to start a cluster", allow_module_level=True)

ASKED = {"limit": 30, "batch_size": 8, "threads": 1}


def content(record):
    return record.model_dump(exclude={"created", "seconds", "command", "environment"})


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    found.worker = found.add_node(num_cpus=1)
    found.wait_for_nodes()
    yield found
    ray.shutdown()
    found.shutdown()


def launcher(cluster):
    from posebench.launch.on_ray import RayLauncher

    return RayLauncher(cluster.address)


def test_the_cluster_gives_the_local_bytes_and_does_nothing_twice(cluster, tmp_path):
    requests = [Request.of("demo_s", **ASKED), Request.of("demo_m", **ASKED)]
    local = evaluate_all(requests, LocalLauncher(), tmp_path / "local", shares=3)
    one = launcher(cluster)
    found = evaluate_all(requests, one, tmp_path / "ray", shares=3)
    assert [content(r) for r in found] == [content(r) for r in local]
    files = {f: f.stat().st_mtime_ns for f in (tmp_path / "ray").rglob("*.npz")}
    assert files
    again = evaluate_all(requests, one, tmp_path / "ray", shares=3)
    assert [content(r) for r in again] == [content(r) for r in local]
    assert {f: f.stat().st_mtime_ns for f in (tmp_path / "ray").rglob("*.npz")} == files


def test_a_node_that_dies_loses_nothing(cluster, tmp_path):
    request = Request.of("demo_s", **(ASKED | {"limit": 120}))
    (local,) = evaluate_all([request], LocalLauncher(), tmp_path / "local")
    killed = []

    def kill(board):
        if not killed:
            killed.append(time.monotonic())
            cluster.remove_node(cluster.worker)

    (found,) = evaluate_all([request], launcher(cluster), tmp_path / "ray", shares=6, report=kill)
    assert killed
    assert content(found) == content(local)


def test_a_poisoned_entry_is_recorded_and_blocks_nobody(cluster, tmp_path, monkeypatch):
    from posebench.launch import on_ray

    def die(task: Task) -> str:
        if task.request.model == "demo_s":
            os._exit(1)
        return carry_out(task)

    monkeypatch.setattr(on_ray, "carry_out", die)
    requests = [Request.of("demo_s", **ASKED), Request.of("demo_m", **ASKED)]
    poisoned, fine = evaluate_all(requests, launcher(cluster), tmp_path)
    assert isinstance(poisoned, Failure)
    assert "worker died" in poisoned.error
    assert not isinstance(fine, Failure)
