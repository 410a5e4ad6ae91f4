"""Timing on a Ray cluster: each cell has a device, or the processors of a node, for itself."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from posebench.launch.on_ray import (
    Node,
    Options,
    RayLauncher,
    Task,
    nodes_with,
    on_accelerator,
)
from posebench.progress import Progress
from posebench.records.store import save
from posebench.registry import load_registry
from posebench.timing.benchmark import Findings, SpeedJob, record_of
from posebench.timing.measure import Timed, cheapest_first, measure_speeds
from posebench.types.entry import Entry
from posebench.types.errors import UserError
from posebench.types.record import Record
from posebench.types.request import SpeedRequest


@dataclass(frozen=True)
class Order:
    """What all models are timed with.

    Attributes:
        request: Which models, and how; of a device only its kind matters.
        output: Folder of the records, best on storage that every node sees.
        again: Time also what lies there.
        command: For the records.
    """

    request: SpeedRequest
    output: Path
    again: bool = False
    command: str = ""


def measure_on_ray(
    launcher: RayLauncher, order: Order, *, progress: Progress | None = None
) -> Iterator[Timed]:
    """Time models on all nodes at once; arguments and results as of ``measure_speeds``.

    A cell whose node dies is timed on another one.

    Yields:
        Each model's result as it is there, not in the order of the models.

    Raises:
        UserError: A name is unknown, no node has what is asked for, or a worker refuses it.
    """
    asked = order.request
    known = load_registry(asked.registry)
    named = [known.find(model, asked.dataset) for model in asked.models]
    entries = named or cheapest_first(known, progress)
    order = _everywhere(order, launcher)
    waiting = deque(map(Task, entries))
    ask = partial(cell_options, str(order.request.device))
    results = launcher.run(waiting, partial(time_here, order=order), ask)
    for done, (entry, found) in enumerate(results, 1):
        timed = Timed(_lost(entry, order, found), None) if isinstance(found, str) else found
        if timed.file is None or not timed.file.is_file():  # the worker's own disk
            timed = replace(timed, file=save(timed.record, order.output))
        if progress:
            progress(f"timed {entry.key}", done, len(entries))
        yield timed


def cell_options(
    device: str, task: Task[Entry], nodes: Sequence[Node], running: Sequence[Options]
) -> Options | None:
    """Pin a cell to a device with its part of the processors, or to all processors of a node.

    Args:
        device: ``cpu`` or ``cuda:N``.
        task: A row to time; nodes on which it was lost are taken only if there are no others.
        nodes: That live.
        running: Options of the cells that are being timed.

    Returns:
        Options of a Ray task; None while every place is taken.

    Raises:
        UserError: No node can time it.
    """
    fit = nodes_with(device, nodes)
    if not fit and not running:
        raise UserError(
            f"The cluster has no node to time {device} on.", "Start one, or wait for it."
        )
    busy = Counter(options["node"] for options in running)
    for node in [node for node in fit if node.id not in task.lost] or fit:
        places = node.gpus if on_accelerator(device) else 1
        if busy[node.id] < places:
            # a cell fills its place, so that nothing else is put beside it
            cpus = max(1, node.cpus // places)
            return {"node": node.id, "num_cpus": cpus, "num_gpus": int(on_accelerator(device))}
    return None


def time_here(entry: Entry, order: Order) -> Timed:
    """Time one row on this node, as ``posebench speed`` does; runs on a worker.

    Args:
        entry: The row.
        order: How; the threads it leaves open are as many as the task has processors.
    """
    import ray

    processors = int(ray.get_runtime_context().get_assigned_resources()["CPU"])
    own = {"models": (entry.key,), "threads": order.request.threads or processors}
    (timed,) = measure_speeds(
        order.request.model_copy(update=own),
        output=order.output,
        again=order.again,
        command=order.command,
    )
    return timed


def _everywhere(order: Order, launcher: RayLauncher) -> Order:
    """The order with paths and device that mean the same on every node."""
    asked = order.request
    changes = {
        "device": launcher.device(asked.device),
        "images": asked.images and asked.images.absolute(),
        "registry": tuple(folder.absolute() for folder in asked.registry),
    }
    request = asked.model_copy(update=changes)
    return replace(order, request=request, output=order.output.absolute())


def _lost(entry: Entry, order: Order, failure: str) -> Record:
    """The record of a cell that no worker could time: what was asked for, and the failure."""
    asked = order.request
    device, hardware = str(asked.device), "a node that died"
    cell = asked.cell(device=device, hardware=hardware, threads=asked.threads or 1)
    job = SpeedJob(model=entry.key, cell=cell, registry=asked.registry, command=order.command)
    return record_of(job, entry, Findings(failure=failure))
