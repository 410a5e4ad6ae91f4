"""One model timed in one way, in a process of its own."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import torch

from posebench.evaluation.prepare import load_entry
from posebench.evaluation.protocols import claim_protocols, common_protocol
from posebench.inference.crop import self_test
from posebench.inference.out_of_memory import is_shortage
from posebench.records.environment import cores, environment, processor_name
from posebench.registry import Registry, load_registry
from posebench.timing.accelerator import Meter
from posebench.timing.complexity import Complexity, complexity
from posebench.timing.end_to_end import time_end_to_end
from posebench.timing.forward import Prepared, WrongOutputs, prepare, time_forward
from posebench.timing.machine import (
    FOREIGN,
    Usage,
    governor,
    load_average,
)
from posebench.timing.random_weights import weighted
from posebench.timing.samples import draw_images, given_images
from posebench.types.base import Frozen, GivenPath
from posebench.types.entry import Entry
from posebench.types.errors import UserError
from posebench.types.model import PoseModel
from posebench.types.record import Record
from posebench.types.request import Folders
from posebench.types.timing import (
    AcceleratorState,
    BenchmarkConfiguration,
    Execution,
    Machine,
    Timings,
)


class SpeedJob(Frozen):
    """What a process is asked to time.

    Attributes:
        model: ``zoo/id``.
        cell: How.
        registry: Folders of further rows.
        images: Folder of image files; None for drawn ones.
        command: For the record.
    """

    model: str
    cell: BenchmarkConfiguration
    registry: Folders = ()
    images: GivenPath | None = None
    command: str = ""


@dataclass(eq=False)
class Findings:
    """What has been found so far: a failure keeps what came before it."""

    forward: Timings | None = None
    end_to_end: Timings | None = None
    failure: str | None = None
    notes: list[str] = field(default_factory=list)
    states: tuple[AcceleratorState, ...] = ()
    coverage: float | None = None
    checkpoint: tuple[str | None, str | None] = (None, None)


def measure_cell(job: SpeedJob, model: PoseModel | None = None) -> Record:
    """Time a model in this process.

    What goes wrong with the model (too little memory, wrong outputs, something torch cannot do)
    becomes the record's failure.

    Args:
        job: What to time.
        model: The job's model, already built; None builds it.
    """
    registry = load_registry(job.registry)
    entry, cell = registry.find(job.model), job.cell
    torch.set_num_threads(cell.threads)
    torch.backends.cudnn.benchmark = True
    meter = Meter.on(cell.device)
    load, before = load_average(), Usage.now()
    found = Findings()
    try:
        if cell.device != "cpu":
            torch.cuda.set_device(cell.device)  # events are recorded on the current device
        _measure(job, model or load_timed(entry), registry, meter, found)
    except WrongOutputs as error:
        found.failure = str(error)
    except (RuntimeError, MemoryError, NotImplementedError, UserError) as error:
        found.failure = describe_failure(error, cell)
    foreign = before.foreign(Usage.now())
    machine = _machine(cell, meter, load, foreign, found.states)
    return record_of(job, entry, found, machine)


def load_timed(entry: Entry) -> PoseModel:
    """Return a row's model with its weights, or with random ones where no file is at hand."""
    return weighted(load_entry(entry, allow_random=True))


def _measure(
    job: SpeedJob, model: PoseModel, registry: Registry, meter: Meter, found: Findings
) -> None:
    cell, entry = job.cell, model.entry
    found.notes += model.notes
    found.coverage = model.coverage.fraction if model.coverage else None
    found.checkpoint = (model.checkpoint_name, model.checkpoint_sha256)
    cost = complexity(entry, model.network)
    prepared = prepare(model, cell)
    found.notes += prepared.model.notes[len(model.notes) :]
    del model
    found.forward, found.states = time_forward(prepared, cell, cost, meter)
    if cell.method == "gluoncv":
        return
    if entry.input.whole:
        found.notes.append("takes whole images, one at a time: not timed end to end")
        return
    with tempfile.TemporaryDirectory(prefix="posebench-") as folder:
        found.end_to_end = _end_to_end(job, entry, registry, prepared, cost, found, Path(folder))


def _end_to_end(
    job: SpeedJob,
    entry: Entry,
    registry: Registry,
    prepared: Prepared,
    cost: Complexity,
    found: Findings,
    folder: Path,
) -> Timings:
    own = claim_protocols(entry, registry) or (common_protocol(entry, registry),)
    protocol = own[0].model_copy(update={"flip": job.cell.flip})
    paths = given_images(job.images) if job.images else draw_images(folder)
    assert found.forward is not None
    forward = found.forward.percentiles["p50"]
    return time_end_to_end(prepared, protocol, job.cell, cost, paths, forward)


def describe_failure(error: Exception, cell: BenchmarkConfiguration) -> str:
    """Say in one line why nothing was timed."""
    first = (str(error).strip().splitlines() or [""])[0]
    if is_shortage(error):
        return f"out of memory at a batch of {cell.batch_size}"
    return f"{type(error).__name__}: {first}" if not isinstance(error, UserError) else first


def _machine(
    cell: BenchmarkConfiguration,
    meter: Meter,
    load: float | None,
    foreign: float | None,
    states: tuple[AcceleratorState, ...],
) -> Machine:
    on_gpu = cell.device != "cpu"
    driver = meter.driver() if on_gpu else None
    software = [f"driver {driver}"] * bool(driver) + [f"CUDA {torch.version.cuda}"] * on_gpu
    return Machine(
        processor=processor_name(),
        cores=cores(),
        governor=governor(),
        load_average=load,
        foreign_cores=foreign,
        threads=torch.get_num_threads(),
        interop_threads=torch.get_num_interop_threads(),
        accelerator=f"{cell.hardware} ({', '.join(software)})" if on_gpu else None,
        cudnn_benchmark=torch.backends.cudnn.benchmark if on_gpu else None,
        tf32=cell.form.precision == "tf32" if on_gpu else None,
        states=states if on_gpu else (),
    )


def machine_flags(machine: Machine) -> tuple[str, ...]:
    """Say what else the machine did meanwhile."""
    found = []
    foreign = machine.foreign_cores
    if foreign is not None and foreign > FOREIGN * machine.cores:
        found.append(f"other processes kept {foreign:.1f} of {machine.cores} cores busy")
    reasons = dict.fromkeys(reason for state in machine.states for reason in state.throttled)
    if reasons:
        found.append(f"the accelerator was slowed down: {', '.join(reasons)}")
    guests = max((state.foreign_processes or 0 for state in machine.states), default=0)
    if guests:
        found.append(f"{guests} other processes held memory on the accelerator")
    return tuple(found)


def record_of(
    job: SpeedJob, entry: Entry, found: Findings, machine: Machine | None = None
) -> Record:
    """Put a cell's findings into a record."""
    flags = machine_flags(machine) if machine else ()

    def flagged(timings: Timings | None) -> Timings | None:
        if timings is None or not flags:
            return timings
        return timings.model_copy(update={"flags": (*timings.flags, *flags)})

    cell = job.cell
    return Record(
        kind="speed",
        entry=entry,
        timings=flagged(found.forward),
        end_to_end=flagged(found.end_to_end),
        cell=cell,
        machine=machine,
        failure=found.failure,
        coverage=found.coverage,
        checkpoint_name=found.checkpoint[0],
        checkpoint_sha256=found.checkpoint[1],
        execution=Execution.of(cell.form),
        hardware=cell.hardware,
        notes=tuple(found.notes),
        environment=environment(
            device=cell.device,
            threads=cell.threads,
            batch_size=cell.batch_size,
            crop_self_test=self_test(),
        ),
        command=job.command,
        created=datetime.now(timezone.utc),
    )
