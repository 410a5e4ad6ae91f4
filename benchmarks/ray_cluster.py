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

from posebench.evaluation.listing import list_entries
from posebench.launch import many
from posebench.launch.many import Result, Share, carry_out, evaluate_all
from posebench.launch.on_ray import RayLauncher
from posebench.records.store import to_json
from posebench.types.record import Record
from posebench.types.request import EvalRequest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
from cluster_size import makespan

Line = dict[str, Any]  # of a task
Run = tuple[list[bytes], list[Line]]
TIMES = ("created", "seconds")
NODES = 2


def suite(shared: Path, batch_size: int, limit: int | None) -> list[EvalRequest]:
    """Every row that ships its weights, and TinyPose on its published ones."""
    same: dict[str, Any] = {"threads": 1, "batch_size": batch_size, "limit": limit}
    data = shared / "data"
    demos = [EvalRequest.of(model=entry.key, **same) for entry in list_entries(zoo="demo")]
    tiny = EvalRequest.of(
        model="paddledetection/tinypose_256x192",
        dataset="coco",
        checkpoint=data / "weights" / "tinypose_256x192.pdparams",
        data_root=data / "coco_mini",
        **same,
    )
    return [*demos, tiny]


def bytes_of(record: Record | str) -> bytes:
    """A record without its times, as it is stored."""
    if isinstance(record, str):
        raise SystemExit(record)
    content = {k: v for k, v in to_json(record).items() if k not in TIMES}
    return json.dumps(content, sort_keys=True).encode()


def logged(log: Path) -> Callable[[Share], Result]:
    """``carry_out`` that also writes down where and when it ran, and what its process has used."""

    def run(share: Share) -> Result:
        start, used = time.time(), time.process_time()
        result = carry_out(share)
        line = {
            "worker": os.getpid(),
            "model": share.request.model,
            "shard": share.shard,
            "start": start,
            "wall": time.time() - start,
            "cpu": time.process_time() - used,
            "cpu_before": used,
        }
        with log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return result

    return run


def evaluated(requests: list[EvalRequest], launcher: Any, folder: Path, shares: int) -> Run:
    """Evaluate; return each record's bytes and a line a task, the first one first."""
    log = folder.with_suffix(".jsonl")
    many.carry_out = logged(log)
    found = [bytes_of(r) for r in evaluate_all(requests, launcher, folder, shares=shares)]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    log.unlink()  # a second run in this folder begins a new one
    return found, sorted(lines, key=lambda line: line["start"])


def total(lines: list[Line], what: str) -> float:
    """Seconds of all tasks: ``wall`` or ``cpu``."""
    return sum(line[what] for line in lines)


def by_worker(lines: list[Line]) -> list[list[Line]]:
    """Each process's tasks in their order."""
    found = defaultdict(list)
    for line in lines:
        found[line["worker"]].append(line)
    return list(found.values())


def expected(alone: list[Line], shares: int) -> float:
    """Processor time of the busier of two places, from what one process took alone."""
    cuts = [(line["cpu"], shares if line["shard"] else 1) for line in alone]  # joining is not cut
    return makespan([seconds / cut for seconds, cut in cuts for _ in range(cut)], NODES)


def figures(lines: list[Line]) -> dict[str, float]:
    """What the tasks of a cluster say about themselves, seconds."""
    workers = by_worker(lines)
    end = max(line["start"] + line["wall"] for line in lines)
    gaps = (b["start"] - a["start"] - a["wall"] for each in workers for a, b in pairwise(each))
    *others, last = lines
    return {
        "tasks": len(lines),
        "work": total(lines, "wall"),
        "waited_between_tasks": sum(gaps),
        "cpu": total(lines, "cpu"),
        "cpu_of_starting_workers": sum(each[0]["cpu_before"] for each in workers),
        "cpu_of_the_busier_worker": max(total(each, "cpu") for each in workers),
        "first_to_last": end - lines[0]["start"],
        # the last joining begins after all else
        "queue_of_these_tasks": makespan([x["wall"] for x in others], NODES) + last["wall"],
    }


def clustered(requests: list[EvalRequest], folder: Path, shares: int) -> tuple[Run, Run, bool]:
    """Run twice on a cluster of two nodes; also say whether the second run left the parts alone."""
    import ray
    from ray.cluster_utils import Cluster

    def parts() -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in folder.rglob("*.npz")}

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for _ in range(NODES - 1):
        cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    launcher = RayLauncher(cluster.address)
    first = evaluated(requests, launcher, folder, shares)
    kept = parts()
    second = evaluated(requests, launcher, folder, shares)
    same = kept == parts()
    ray.shutdown()
    cluster.shutdown()
    return first, second, same


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
    local, alone = evaluated(requests, None, output / "local", 1)
    (found, lines), (again, _), same = clustered(requests, output / "ray", shares)
    measured = figures(lines)
    content = {
        "models": [request.model for request in requests],
        "byte_equal": [a == b for a, b in zip(local, found, strict=True)],
        "byte_equal_again": [a == b for a, b in zip(local, again, strict=True)],
        "nothing_estimated_again": same,
        "local_wall": total(alone, "wall"),
        "local_cpu": total(alone, "cpu"),
        "expected_cpu": expected(alone, shares),
        "overhead_between_tasks": measured["waited_between_tasks"] / measured["work"],
        "overhead_cpu": measured["cpu"] / total(alone, "cpu") - 1,
        **measured,
    }
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
