"""The demo suite and TinyPose on two Ray nodes of one processor, held against this process.

    python benchmarks/ray_cluster.py --shared ../shared --output /tmp/ray_cluster

Compares the records byte for byte (times aside), says which part of the workers' time was not
work, runs everything a second time, and holds wall and processor time against the queue that
``tools/cluster_size.py`` sizes clusters with, fed with what this process alone took. On a machine
that others use, only the processor times mean something.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from posebench.launch import on_ray, tasks
from posebench.launch.many import Failure, evaluate_all
from posebench.launch.tasks import LocalLauncher, Result, Task, carry_out
from posebench.records.store import to_json
from posebench.run.catalogue import list_entries
from posebench.run.request import Request
from posebench.types.record import Record

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from cluster_size import Piece, makespan

TIMES = ("created", "seconds")
NODES = 2


def suite(shared: Path, batch_size: int, limit: int | None) -> list[Request]:
    """Every row that ships its weights, and TinyPose on its published ones."""
    same: dict[str, Any] = {"threads": 1, "batch_size": batch_size, "limit": limit}
    data = shared / "data"
    demos = [Request.of(entry.key, **same) for entry in list_entries(zoo="demo")]
    tiny = Request.of(
        "paddledetection/tinypose_256x192",
        dataset="coco",
        checkpoint=data / "weights" / "tinypose_256x192.pdparams",
        data_root=data / "coco_mini",
        **same,
    )
    return [*demos, tiny]


def bytes_of(record: Record | Failure) -> bytes:
    """A record without its times, as it is stored."""
    if isinstance(record, Failure):
        raise SystemExit(f"{record.model}: {record.error}")
    content = {k: v for k, v in to_json(record).items() if k not in TIMES}
    return json.dumps(content, sort_keys=True).encode()


def logged(log: Path) -> Any:
    """``carry_out`` that also writes down where and when it ran, and what its process has used."""

    def run(task: Task) -> Result:
        start, used = time.time(), time.process_time()
        result = carry_out(task)
        line = {
            "worker": os.getpid(),
            "model": task.request.model,
            "shard": task.shard,
            "start": start,
            "end": time.time(),
            "cpu": time.process_time() - used,
            "cpu_before": used,
        }
        with log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return result

    return run


def by_worker(lines: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Each process's tasks in their order."""
    found = defaultdict(list)
    for line in sorted(lines, key=lambda line: line["start"]):
        found[line["worker"]].append(line)
    return list(found.values())


def waits(lines: list[dict[str, Any]], begun: float) -> tuple[float, float]:
    """Seconds that workers waited between two tasks, and for their first one."""
    workers = by_worker(lines)
    between = sum(b["start"] - a["end"] for tasks in workers for a, b in pairwise(tasks))
    return between, sum(tasks[0]["start"] - begun for tasks in workers)


def expected(alone: list[dict[str, Any]], shares: int, what: Callable[[dict], float]) -> float:
    """When the last of two places is done, from what one process took for the same requests."""
    pieces = []
    for line in alone:
        seconds = what(line)
        cut = shares if line["shard"] else 1  # joining is not cut
        pieces += [Piece(seconds / cut, 0.0)] * cut
    return makespan(pieces, NODES)


def queued(lines: list[dict[str, Any]]) -> float:
    """When tasks of these lengths are done, the last joining after all else."""
    *others, last = sorted(lines, key=lambda line: line["start"])
    return makespan([Piece(wall(line), 0.0) for line in others], NODES) + wall(last)


def wall(line: dict[str, Any]) -> float:
    """Seconds of a task."""
    return float(line["end"] - line["start"])


def cpu(line: dict[str, Any]) -> float:
    """Seconds of processor time of a task."""
    return float(line["cpu"])


def read(log: Path) -> list[dict[str, Any]]:
    """Return what ``logged`` wrote."""
    return [json.loads(line) for line in log.read_text().splitlines()]


def clustered(requests: list[Request], output: Path, shares: int, log: Path) -> dict[str, Any]:
    """Run on a cluster of two nodes, twice."""
    import ray
    from ray.cluster_utils import Cluster

    begun = time.time()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    launcher = on_ray.RayLauncher(cluster.address)
    up = time.time()
    on_ray.carry_out = logged(log)
    found = evaluate_all(requests, launcher, output / "ray", shares=shares)
    done = time.time()
    kept = {f: f.stat().st_mtime_ns for f in (output / "ray").rglob("*.npz")}
    on_ray.carry_out = carry_out
    again = evaluate_all(requests, launcher, output / "ray", shares=shares)
    second = time.time() - done
    same = kept == {f: f.stat().st_mtime_ns for f in (output / "ray").rglob("*.npz")}
    ray.shutdown()
    cluster.shutdown()
    lines = read(log)
    between, first = waits(lines, up)
    workers = by_worker(lines)
    return {
        "records": [bytes_of(record) for record in found],
        "again": [bytes_of(record) for record in again],
        "nothing_estimated_again": same,
        "start_of_cluster": up - begun,
        "wall": done - up,
        "second_wall": second,
        "tasks": len(lines),
        "share_seconds": sorted(wall(line) for line in lines if line["shard"]),
        "work": sum(map(wall, lines)),
        "waited_between_tasks": between,
        "waited_for_the_first": first,
        "cpu": sum(map(cpu, lines)),
        "cpu_of_starting_workers": sum(tasks[0]["cpu_before"] for tasks in workers),
        "cpu_of_the_busier_worker": max(sum(map(cpu, tasks)) for tasks in workers),
        "first_to_last": max(line["end"] for line in lines) - min(line["start"] for line in lines),
        "queue_of_these_tasks": queued(lines),
    }


def main() -> None:
    """Run and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    parser.add_argument("--only", nargs="+", help="words in the names of models")
    parser.add_argument("--shares", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    output, shares = arguments.output, arguments.shares
    output.mkdir(parents=True)
    requests = [
        request
        for request in suite(arguments.shared, arguments.batch_size, arguments.limit)
        if not arguments.only or any(word in request.model for word in arguments.only)
    ]
    tasks.carry_out = logged(output / "local.jsonl")
    local = [bytes_of(r) for r in evaluate_all(requests, LocalLauncher(), output / "local")]
    alone = read(output / "local.jsonl")
    found = clustered(requests, output, shares, output / "ray.jsonl")
    equal = [a == b for a, b in zip(local, found.pop("records"), strict=True)]
    again = [a == b for a, b in zip(local, found.pop("again"), strict=True)]
    used = sum(map(cpu, alone))
    content = {
        "models": [request.model for request in requests],
        "byte_equal": equal,
        "byte_equal_again": again,
        "local_wall": sum(map(wall, alone)),
        "local_cpu": used,
        "expected_wall": expected(alone, shares, wall),
        "expected_cpu": expected(alone, shares, cpu),
        "overhead_between_tasks": found["waited_between_tasks"] / found["work"],
        "overhead_cpu": found["cpu"] / used - 1,
        **found,
    }
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
