"""Timing on a Ray cluster: each cell has a device, or the processors of a node, for itself."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from posebench.launch.on_ray import (
    Node,
    Options,
    RayLauncher,
    Task,
    nodes_with,
    on_accelerator,
)
from posebench.records.store import save
from posebench.registry import load_registry
from posebench.timing.benchmark import Findings, SpeedJob, record_of
from posebench.timing.measure import Timed, cheapest_first, measure_speeds, speed_cell
from posebench.types.entry import Entry
from posebench.types.errors import UserError
from posebench.types.progress import Progress
from posebench.types.record import Record
from posebench.types.timing import Form, SpeedCell


@dataclass(frozen=True)
class Order:
    """What all models are timed with.

    Attributes:
        asked: Keyword arguments of ``speed_cell``; of a device only its kind matters.
        output: Folder of the records, best on storage that every node sees.
        again: Time also what lies there.
        registry: Folders of further rows.
        command: For the records.
    """

    asked: dict[str, Any]
    output: Path
    again: bool = False
    registry: tuple[Path, ...] = ()
    command: str = ""


def measure_on_ray(
    launcher: RayLauncher,
    models: Sequence[str],
    order: Order,
    *,
    dataset: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Timed]:
    """Time models on all nodes at once; arguments and results as of ``measure_speeds``.

    A cell whose node dies is timed on another one.

    Yields:
        Each model's result as it is there, not in the order of the models.

    Raises:
        UserError: A name is unknown, no node has what is asked for, or a worker refuses it.
    """
    known = load_registry(order.registry)
    entries = [known.find(model, dataset) for model in models] or cheapest_first(known, progress)
    order = _everywhere(order, launcher)
    waiting = deque(map(Task, entries))
    ask = partial(cell_options, order.asked["device"])
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
    threads = order.asked.get("threads") or processors
    (timed,) = measure_speeds(
        [entry.key],
        speed_cell(**order.asked | {"threads": threads}),
        output=order.output,
        again=order.again,
        images=order.asked.get("images"),
        registry=order.registry,
        command=order.command,
    )
    return timed


def _everywhere(order: Order, launcher: RayLauncher) -> Order:
    """The order with paths and device that mean the same on every node."""
    images = order.asked.get("images")
    asked = order.asked | {
        "device": launcher.device(order.asked.get("device")),
        "images": images and images.absolute(),
    }
    registry = tuple(Path(folder).absolute() for folder in order.registry)
    return replace(order, asked=asked, output=order.output.absolute(), registry=registry)


def _lost(entry: Entry, order: Order, failure: str) -> Record:
    """The record of a cell that no worker could time: what was asked for, and the failure."""
    asked = order.asked | {"folded": order.asked.get("fold"), "images": None}

    def given(names: Iterable[str]) -> dict[str, Any]:
        return {name: asked[name] for name in names if asked.get(name) is not None}

    form = Form(**given(Form.model_fields))
    cell = SpeedCell(hardware="a node that died", form=form, **given(SpeedCell.model_fields))
    job = SpeedJob(entry.key, cell, order.registry, command=order.command)
    return record_of(job, entry, Findings(failure=failure))
