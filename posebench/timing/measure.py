"""``measure_speed``: models timed one after the other, each in a process of its own."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from posebench.adapters import FOREIGN, absent_packages
from posebench.adapters.schemes import build_foreign
from posebench.inference.devices import check_device
from posebench.inference.runtimes import check_installed
from posebench.mmpose.index import INSTALL
from posebench.networks import NETWORKS, build_network, parameter_count
from posebench.progress import Progress
from posebench.records.environment import hardware_name
from posebench.records.store import load, save, speed_file_name
from posebench.registry import Registry, load_registry
from posebench.timing.benchmark import Findings, SpeedJob, record_of
from posebench.timing.child_process import spawn
from posebench.timing.clocks import FULL, QUICK
from posebench.timing.samples import fingerprint, given_images
from posebench.types.base import StrPath
from posebench.types.entry import Entry
from posebench.types.errors import UserError
from posebench.types.record import Record
from posebench.types.request import SpeedRequest
from posebench.types.timing import BenchmarkConfiguration, Form, Method, Precision, Runtime

# About: an interpreter, weights, outputs to compare with, warming up, the null network.
STARTING = 10.0
KILLED = 9  # what Linux ends a process with when memory runs out

Launch = Callable[[SpeedJob, Path], int]


@dataclass(frozen=True)
class Timed:
    """One finished cell.

    Attributes:
        record: With timings, or with a failure.
        file: Where it lies; None if it was not stored.
        earlier: Whether it was found from an earlier run.
    """

    record: Record
    file: Path | None
    earlier: bool = False


def configuration(request: SpeedRequest) -> BenchmarkConfiguration:
    """Return what is to be timed, checked against this machine too.

    Raises:
        UserError: Something excludes something else, or is not there.
    """
    device = check_device(request.device or ("cuda:0" if torch.cuda.is_available() else "cpu"))
    form, on_cpu = request.form, device == "cpu"
    if on_cpu and form.precision == "tf32":
        raise UserError("tf32 exists on accelerators only.", "Use --precision bf16, or --gpu N.")
    if form.runtime != "torch":
        _check_runtime(form, on_cpu)
    if request.method == "gluoncv" and (request.flip or request.quick):
        raise UserError(
            f"GluonCV's harness knows no {'flip' if request.flip else 'quick run'}.",
            "Leave that out, or use --method posebench.",
        )
    return request.cell(
        device=device,
        hardware=hardware_name(device),
        threads=request.threads or torch.get_num_threads(),
        images=fingerprint(given_images(request.images)) if request.images else "drawn",
    )


def _check_runtime(form: Form, on_cpu: bool) -> None:
    if not on_cpu:
        raise UserError(f"--runtime {form.runtime} is for the CPU here.", "Add --cpu.")
    words = (
        (form.precision, form.precision != "fp32"),
        ("--compile", form.compiled),
        ("--channels-last", form.channels_last),
    )
    for word, said in words:
        if said:
            raise UserError(f"{word} is torch's, not {form.runtime}'s.", "Leave one of them out.")
    check_installed(form.runtime)


def measure_speed(
    model: str,
    *,
    dataset: str | None = None,
    device: str | None = None,
    batch_size: int = 64,
    precision: Precision = "fp32",
    fold: bool = False,
    channels_last: bool = False,
    compiled: bool = False,
    runtime: Runtime = "torch",
    threads: int | None = None,
    flip: bool = False,
    method: Method = "posebench",
    quick: bool = False,
    images: StrPath | None = None,
    registry: Sequence[StrPath] = (),
    command: str = "",
) -> Record:
    """Time one model in a process of its own: the network alone, and end to end.

    No weights are needed: without a file that posebench ships, the network gets random ones.

    Args:
        model: Id or short name of the registry.
        dataset: Disambiguates a short name.
        device: ``cpu`` or ``cuda:N``; None takes the first accelerator, else the CPU.
        batch_size: Persons in a batch; never made smaller.
        precision: ``tf32`` exists on accelerators only.
        fold: BatchNorms into the convolutions before them.
        channels_last: Layout of the activations.
        compiled: By ``torch.compile``.
        runtime: What computes the network; others than torch on a CPU only.
        threads: Of the network on a CPU, and of reading; default as many as torch would take.
        flip: Compute each person mirrored too.
        method: ``gluoncv`` repeats that zoo's harness.
        quick: Fewer iterations.
        images: Folder of image files to time end to end with; None draws some.
        registry: Folders of further rows.
        command: For the record.

    Returns:
        A record with ``timings`` and ``end_to_end`` in persons/s, or with a ``failure``.

    Raises:
        UserError: The name is unknown, its network cannot be built here, or what is asked for
            cannot be had here.

    Example:
        >>> import posebench
        >>> record = posebench.measure_speed(
        ...     "demo_s", device="cpu", threads=1, batch_size=2, quick=True
        ... )
        >>> record.timings.persons_per_second > 0
        True
    """
    request = SpeedRequest.of(
        models=(model,), dataset=dataset, device=device, batch_size=batch_size, precision=precision,
        fold=fold, channels_last=channels_last, compiled=compiled, runtime=runtime,
        threads=threads, flip=flip, method=method, quick=quick, images=images, registry=registry,
    )  # fmt: skip
    entry = load_registry(request.registry).find(model, dataset)
    _check_built(entry)
    return run_cell(job_of(entry, configuration(request), request, command), entry)


def job_of(
    entry: Entry, cell: BenchmarkConfiguration, request: SpeedRequest, command: str
) -> SpeedJob:
    """Return what a process is to time of a request for one or several models."""
    return SpeedJob(
        model=entry.key,
        cell=cell,
        registry=request.registry,
        images=request.images,
        command=command,
    )


def measure_speeds(
    request: SpeedRequest,
    *,
    output: Path,
    again: bool = False,
    command: str = "",
    progress: Progress | None = None,
    launch: Launch | None = None,
) -> Iterator[Timed]:
    """Time several models and store each record as soon as it is there.

    Args:
        request: Which, and how; without names every row that can be timed here, the cheapest
            first.
        output: Folder of the records; a configuration found there is not timed again.
        again: Time it all the same.
        command: For the records.
        progress: Called with (what, done, all).
        launch: Times a job in a process and returns its exit status.

    Yields:
        Each model's result, a crash among them.

    Raises:
        UserError: A name is unknown, or its network cannot be built here.
    """
    known, cell = load_registry(request.registry), configuration(request)
    entries = [known.find(model, request.dataset) for model in request.models]
    for entry in entries:
        _check_built(entry)
    entries = entries or cheapest_first(known, progress)
    for index, entry in enumerate(entries):
        if progress:
            progress(f"timing {entry.key}", index, len(entries))
        file = output / speed_file_name(entry, cell)
        if file.is_file() and not again:
            yield Timed(load(file), file, earlier=True)
            continue
        record = run_cell(job_of(entry, cell, request, command), entry, launch or spawn)
        yield Timed(record, save(record, output))


def run_cell(job: SpeedJob, entry: Entry, launch: Launch | None = None) -> Record:
    """Time one cell in a process; if that dies, say so in a record."""
    with tempfile.TemporaryDirectory(prefix="posebench-") as folder:
        status = (launch or spawn)(job, Path(folder))
        file = Path(folder) / speed_file_name(entry, job.cell)
        if status == 0 and file.is_file():
            return load(file)
    return record_of(job, entry, Findings(failure=describe_crash(status, job.cell)))


def describe_crash(status: int, cell: BenchmarkConfiguration) -> str:
    """Say how a process ended that left no record."""
    if status == -KILLED:
        return f"killed, most likely out of memory at a batch of {cell.batch_size}"
    if status < 0:
        return f"the process crashed with signal {-status}"
    return f"the process ended with status {status} and no record"


def cheapest_first(registry: Registry, progress: Progress | None = None) -> list[Entry]:
    """Return every row that can be timed here, by parameters times pixels of its input."""
    rows = [entry for entry in registry.entries if not hindrance(entry)]
    costs: dict[str, int] = {}
    for index, entry in enumerate(rows):
        if progress:
            progress("counting parameters", index, len(rows))
        key = entry.network.model_dump_json()
        if key not in costs:
            costs[key] = _parameters(entry)

    def cost(entry: Entry) -> tuple[int, str]:
        height, width = entry.input.size
        return costs[entry.network.model_dump_json()] * height * width, entry.key

    return sorted(rows, key=cost)


def _parameters(entry: Entry) -> int:
    with torch.device("meta"):
        if entry.network.name in FOREIGN:
            try:
                network = build_foreign(entry)
            except UserError:  # its record will say so, after those of all others
                return sys.maxsize
        else:
            network = build_network(entry.network.name, **entry.network.arguments)
    return parameter_count(network)


def least_seconds(*, quick: bool) -> float:
    """Return how long a model takes at least: the network, from file to keypoints, and starting."""
    effort = QUICK if quick else FULL
    return 2 * effort.seconds + STARTING


def hindrance(entry: Entry) -> str:
    """Return why a row cannot be timed here, empty where it can; no weights are needed."""
    name = entry.network.name
    if name in NETWORKS:
        return ""
    if name not in FOREIGN:
        return f"its network {name} is not built"
    if entry.status.startswith("broken"):
        return entry.status
    absent = absent_packages(name)
    return f"{', '.join(absent)} not installed" if absent else ""


def left_out(registry: Registry) -> Counter[str]:
    """Return how many rows cannot be timed here, by reason."""
    reasons = map(hindrance, registry.entries)
    return Counter(reason.partition(":")[0] for reason in reasons if reason)


def _check_built(entry: Entry) -> None:
    reason = hindrance(entry)
    if reason:
        install = entry.network.name in FOREIGN and absent_packages(entry.network.name)
        raise UserError(
            f"{entry.key} cannot be timed: {reason}.",
            INSTALL if install else "`posebench speed --all` times every model that can be.",
        )
