"""The demo suite and TinyPose on two Ray nodes of one processor, held against this process.

    python benchmarks/ray_cluster.py --shared ../shared --output /tmp/ray_cluster

Compares the records byte for byte (times aside), says which part of the workers' time was not
work, runs everything a second time, and holds the wall time against the model that
``tools/cluster_size.py`` sizes clusters with. Both runs go on where they were stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from posebench.launch import on_ray
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
    same = {"threads": 1, "batch_size": batch_size, "limit": limit}
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
    """``carry_out`` that also writes down where and when it ran."""

    def run(task: Task) -> Result:
        start = time.time()
        result = carry_out(task)
        line = {
            "worker": os.getpid(),
            "model": task.request.model,
            "shard": task.shard,
            "start": start,
            "end": time.time(),
        }
        with log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return result

    return run


def idle(lines: list[dict[str, Any]], begun: float) -> tuple[float, float, float]:
    """Seconds of work, seconds that workers waited for the next task, and for their first."""
    by_worker = defaultdict(list)
    for line in lines:
        by_worker[line["worker"]].append((line["start"], line["end"]))
    work = sum(line["end"] - line["start"] for line in lines)
    between = first = 0.0
    for spans in map(sorted, by_worker.values()):
        first += spans[0][0] - begun
        between += sum(b[0] - a[1] for a, b in pairwise(spans))
    return work, between, first


def clustered(requests: list[Request], output: Path, shares: int) -> dict[str, Any]:
    """Run on a cluster of two nodes, twice."""
    import ray
    from ray.cluster_utils import Cluster

    begun = time.time()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    launcher = on_ray.RayLauncher(cluster.address)
    up = time.time()
    log = output / f"tasks-{int(up)}.jsonl"
    on_ray.carry_out = logged(log)
    found = evaluate_all(requests, launcher, output / "ray", shares=shares)
    done = time.time()
    kept = {f: f.stat().st_mtime_ns for f in (output / "ray").rglob("*.npz")}
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    on_ray.carry_out = carry_out
    again = evaluate_all(requests, launcher, output / "ray", shares=shares)
    second = time.time() - done
    same = kept == {f: f.stat().st_mtime_ns for f in (output / "ray").rglob("*.npz")}
    ray.shutdown()
    cluster.shutdown()
    work, between, first = idle(lines, up)
    spans = [line["end"] - line["start"] for line in lines if line["shard"]]
    # the same pieces, as long as they took, through the model's queue
    pieces = [Piece(span, 0.0) for span in spans]
    return {
        "records": [bytes_of(record) for record in found],
        "again": [bytes_of(record) for record in again],
        "nothing_estimated_again": same,
        "start_of_cluster": up - begun,
        "wall": done - up,
        "second_wall": second,
        "tasks": len(lines),
        "share_seconds": sorted(spans),
        "joining": sum(line["end"] - line["start"] for line in lines if not line["shard"]),
        "work": work,
        "waited_between_tasks": between,
        "waited_for_the_first": first,
        "queue_model": makespan(pieces, NODES),
    }


def main() -> None:
    """Run and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--shares", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    requests = suite(arguments.shared, arguments.batch_size, arguments.limit)
    start = time.time()
    local = evaluate_all(requests, LocalLauncher(), arguments.output / "local")
    seconds = time.time() - start
    on_cluster = clustered(requests, arguments.output, arguments.shares)
    expected = [bytes_of(record) for record in local]
    equal = [a == b for a, b in zip(expected, on_cluster.pop("records"), strict=True)]
    again = [a == b for a, b in zip(expected, on_cluster.pop("again"), strict=True)]
    waited = on_cluster["waited_between_tasks"]
    found = {
        "models": [request.model for request in requests],
        "local_wall": seconds,
        "byte_equal": equal,
        "byte_equal_again": again,
        "overhead_between_tasks": waited / on_cluster["work"],
        **on_cluster,
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
