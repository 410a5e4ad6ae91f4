"""Timing on a Ray cluster: each cell has a device, or the processors of a node, for itself."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from posebench.launch.on_ray import (
    RETRIES,
    Node,
    RayLauncher,
    check_accelerators,
    lost,
    on_accelerator,
)
from posebench.records.store import save
from posebench.registry import load_registry
from posebench.run.speed import Timed, cheapest_first, measure_speeds, speed_cell
from posebench.run.speed_cell import Findings, SpeedJob, record_of
from posebench.types.entry import Entry
from posebench.types.errors import UserError
from posebench.types.timing import Form, SpeedCell

Progress = Callable[[str, int, int], None]


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


@dataclass(frozen=True)
class Place:
    """Where one cell at a time is timed.

    Attributes:
        node: Ray's id.
        cpus: Processors that belong to it.
        gpus: One device, or none.
    """

    node: str
    cpus: int
    gpus: int


def places(nodes: Sequence[Node], device: str) -> list[Place]:
    """Return every device of a cluster with its part of the processors, or every node as a whole.

    Args:
        nodes: That live.
        device: ``cpu`` or ``cuda:N``.
    """
    if not on_accelerator(device):
        return [Place(node.id, node.cpus, 0) for node in nodes if node.cpus]
    return [
        Place(node.id, max(1, node.cpus // node.gpus), 1)
        for node in nodes
        for _ in range(node.gpus)
    ]


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
    order = _everywhere(order, launcher.nodes())
    running = _Running(launcher, order, deque((entry, RETRIES) for entry in entries))
    try:
        for ended, timed in enumerate(running.results()):
            if progress:
                progress(f"timed {timed.record.entry.key}", ended + 1, len(entries))
            yield timed
    finally:
        running.stop()


class _Running:
    """Cells on their places."""

    def __init__(
        self, launcher: RayLauncher, order: Order, waiting: deque[tuple[Entry, int]]
    ) -> None:
        self._launcher, self._ray, self._order, self._waiting = (
            launcher, launcher.ray, order, waiting,
        )  # fmt: skip
        self._running: dict[Any, tuple[Place, Entry, int]] = {}
        self._left: set[str] = set()  # nodes that died; Ray takes a while to say so

    def results(self) -> Iterator[Timed]:
        """Yield each cell as it ends."""
        while self._waiting or self._running:
            self._fill()
            finished, _ = self._ray.wait(list(self._running), num_returns=1)
            for reference in finished:
                timed = self._ended(reference, *self._running.pop(reference))
                if timed is not None:
                    yield timed

    def stop(self) -> None:
        """Give up what still runs."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)

    def _fill(self) -> None:
        device = self._order.asked["device"]
        found = places(self._launcher.nodes(), device)
        living = [place for place in found if place.node not in self._left] or found
        busy = Counter(place for place, _, _ in self._running.values())
        free = list((Counter(living) - busy).elements())
        if not free and not self._running:
            raise UserError(
                f"The cluster has no node to time {device} on.", "Start one, or wait for it."
            )
        for place in free[: len(self._waiting)]:
            entry, left = self._waiting.popleft()
            self._running[self._submit(place, entry)] = (place, entry, left)

    def _submit(self, place: Place, entry: Entry) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        # Hard affinity: a cell fills its place, so that nothing else is put beside it.
        remote = self._ray.remote(max_retries=0)(time_here).options(
            num_cpus=place.cpus,
            num_gpus=place.gpus,
            scheduling_strategy=NodeAffinitySchedulingStrategy(place.node, soft=False),
        )
        return remote.remote(entry.key, self._order, place.cpus)

    def _ended(self, reference: Any, place: Place, entry: Entry, left: int) -> Timed | None:
        """Its result; None if it will be tried again elsewhere."""
        ray = self._ray
        try:
            timed: Timed = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from error
            return self._failed(entry, f"it could not be run on the worker ({error.cause})")
        except ray.exceptions.RayError as error:
            if left:
                self._left.add(place.node)
                self._waiting.appendleft((entry, left - 1))
                return None
            return self._failed(entry, lost(error))
        if timed.file is None or not timed.file.is_file():  # the worker's own disk
            return replace(timed, file=save(timed.record, self._order.output))
        return timed

    def _failed(self, entry: Entry, words: str) -> Timed:
        order = self._order
        job = SpeedJob(entry.key, _unseen(order.asked), order.registry, command=order.command)
        record = record_of(job, entry, Findings(failure=words))
        return Timed(record, save(record, order.output))


def _everywhere(order: Order, nodes: Sequence[Node]) -> Order:
    """The order with paths and device that mean the same on every node."""
    device = order.asked["device"] or ("cuda:0" if any(node.gpus for node in nodes) else "cpu")
    if on_accelerator(device):
        check_accelerators(list(nodes), device)
        device = "cuda:0"  # the one that Ray gives
    images = order.asked["images"]
    asked = order.asked | {"device": device, "images": images.absolute() if images else None}
    registry = tuple(Path(folder).absolute() for folder in order.registry)
    return replace(order, asked=asked, output=order.output.absolute(), registry=registry)


def _unseen(asked: dict[str, Any]) -> SpeedCell:
    """The cell of a node that died before it said what it is."""
    form = Form(
        precision=asked["precision"],
        folded=asked["fold"],
        channels_last=asked["channels_last"],
        compiled=asked["compiled"],
        runtime=asked["runtime"],
    )
    return SpeedCell(
        device=asked["device"],
        hardware="a node that died",
        batch_size=asked["batch_size"],
        form=form,
        threads=asked["threads"] or 1,
        flip=asked["flip"],
        method=asked["method"],
        quick=asked["quick"],
    )


def time_here(model: str, order: Order, threads: int) -> Timed:
    """Time one model on this node, as ``posebench speed`` does; runs on a worker.

    Args:
        model: ``zoo/id``.
        order: How.
        threads: Processors of the place; the default of what the order leaves open.
    """
    torch.set_num_threads(threads)
    images = order.asked["images"]
    (timed,) = measure_speeds(
        [model],
        speed_cell(**order.asked),
        output=order.output,
        again=order.again,
        images=images,
        registry=order.registry,
        command=order.command,
    )
    return timed
