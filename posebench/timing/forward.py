"""The network alone, on crops that lie on its device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from posebench.inference.devices import use_tf32
from posebench.inference.forms import DTYPES, allowed_difference, as_input, difference, in_form
from posebench.inference.predict import network_outputs
from posebench.records.environment import processor_name
from posebench.timing.accelerator import Meter
from posebench.timing.ceiling import matrix_product_rate
from posebench.timing.clocks import (
    FULL,
    QUICK,
    Clock,
    DeviceClock,
    Effort,
    HostClock,
    Samples,
    Work,
    measure,
    timed,
    warm_up,
)
from posebench.timing.complexity import Complexity, complexity
from posebench.timing.gluoncv import gluoncv_samples, persons_per_second
from posebench.timing.memory import memory_of, reset_memory
from posebench.timing.noop_network import null_model
from posebench.types.model import PoseModel
from posebench.types.timing import AcceleratorState, BenchmarkConfiguration, Precision, Timings

# Of the peak: 3e-3 (fp16) and 3e-2 (bf16) were seen in Lite-HRNet, and TF32 has fp16's mantissa.
TOLERANCES: dict[Precision, float] = {"tf32": 1e-2, "fp16": 1e-2, "bf16": 1e-1}
NULL = Effort(iterations=100, seconds=0.0, agreeing=2, warm_up=10)

Outputs = tuple[Tensor, Tensor | None]
Scope = Literal["forward", "end to end"]


class WrongOutputs(Exception):
    """The timed network does not compute what the plain one does."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A model in the form to be timed, with what it will be compared with.

    Attributes:
        model: In that form, on the device.
        batch: (N, 3, H, W) on the device, in the type and layout in which the form computes.
        expected: Heatmaps of the batch and of its mirror image, by the plain network, on the CPU.
    """

    model: PoseModel
    batch: Tensor
    expected: Outputs


def prepare(model: PoseModel, cell: BenchmarkConfiguration) -> Prepared:
    """Compute the outputs to compare with, then bring the model into the form to be timed.

    Args:
        model: Plain; the caller lets go of it, so that only one form stays in memory.
        cell: What to time.
    """
    use_tf32(False)
    model = replace(model, network=model.network.to(cell.device))
    batch = _batch(cell, model.entry.input.size)
    plain, mirrored = network_outputs(model, batch, mirrored=cell.flip)
    expected = (plain.cpu(), None if mirrored is None else mirrored.cpu())
    formed = in_form(model, cell.form, batch_size=cell.batch_size, threads=cell.threads)
    return Prepared(formed, as_input(batch, cell.form), expected)


def _batch(cell: BenchmarkConfiguration, size: tuple[int, int]) -> Tensor:
    """Normalised crops; GluonCV's harness draws uniformly from -1 to 1."""
    generator = torch.Generator().manual_seed(0)
    shape = (cell.batch_size, 3, *size)
    if cell.method == "gluoncv":
        return torch.empty(shape).uniform_(-1, 1, generator=generator).to(cell.device)
    return torch.randn(shape, generator=generator).to(cell.device)


def time_forward(
    prepared: Prepared, cell: BenchmarkConfiguration, cost: Complexity, meter: Meter
) -> tuple[Timings, tuple[AcceleratorState, ...]]:
    """Time the network.

    Args:
        prepared: From ``prepare``.
        cell: What to time.
        cost: Of the network, for one person.
        meter: Of the accelerator.

    Returns:
        Timings, and the accelerator's states before timing and while it was at work.

    Raises:
        WrongOutputs: The last timed batch is not what the plain network gives.
    """
    use_tf32(cell.form.precision == "tf32")
    states = [meter.state()]
    clock = clock_of(cell.device)
    ceiling = matrix_product_rate(clock, cell.device, DTYPES[cell.form.precision])
    null = measure(_work(_null(prepared, cell), prepared.batch, cell, []), clock, NULL)
    last: list[Outputs] = []
    work = _work(prepared.model, prepared.batch, cell, last)
    reset_memory(cell.device)
    samples, joules = _timed(work, cell, meter, states)
    memory = memory_of(cell.device)
    error = _error(last[0], prepared.expected)
    allowed = tolerance(cell)
    if not error <= allowed:
        raise WrongOutputs(
            f"the outputs differ from the plain float32 network's by {error:.1e} of the peak, "
            f"above {allowed:.0e}"
        )
    timings = timings_of(samples, cell, cost, "forward")
    if cell.method == "gluoncv":
        rate = persons_per_second(samples, cell.batch_size)
        timings = timings.model_copy(update={"persons_per_second": rate})
    found = {
        "counted": counted(prepared.model),
        "overhead": null.median,
        "memory": memory,
        "flops_per_second": 2.0 * cost.macs * timings.persons_per_second * (1 + cell.flip),
        "ceiling": ceiling,
        "joules_per_1000": _per_1000(joules, len(samples.seconds) * cell.batch_size),
        "error": error,
        "tolerance": allowed,
    }
    return timings.model_copy(update=found), tuple(states)


def _timed(
    work: Work, cell: BenchmarkConfiguration, meter: Meter, states: list[AcceleratorState]
) -> tuple[Samples, float | None]:
    """Samples, and the energy that timing them took."""
    if cell.method == "gluoncv":
        before = meter.joules()
        samples = gluoncv_samples(work, lambda: _synchronize(cell.device))
    else:
        effort = QUICK if cell.quick else FULL
        warm = warm_up(work, clock_of(cell.device), effort)
        clock = clock_of(cell.device, lambda: states.append(meter.state()))
        before = meter.joules()
        samples = timed(work, clock, effort, warm)
    after = meter.joules()
    return samples, None if before is None or after is None else after - before


def _work(
    model: PoseModel, batch: Tensor, cell: BenchmarkConfiguration, last: list[Outputs]
) -> Work:
    def work() -> None:
        last[:] = [network_outputs(model, batch, mirrored=cell.flip)]

    return work


def _null(prepared: Prepared, cell: BenchmarkConfiguration) -> PoseModel:
    return null_model(prepared.model, tuple(prepared.expected[0].shape), cell.device)


def _error(found: Outputs, expected: Outputs) -> float:
    pairs = zip(found, expected, strict=True)
    errors = [difference(f.cpu(), e) for f, e in pairs if f is not None and e is not None]
    # max() would lose a NaN that comes second
    return float(torch.tensor(errors).max())


def _per_1000(joules: float | None, persons: int) -> float | None:
    return None if joules is None else joules / persons * 1000


def tolerance(cell: BenchmarkConfiguration) -> float:
    """Return how far outputs may be from the plain float32 network's, over their peak."""
    return TOLERANCES.get(cell.form.precision) or allowed_difference(cell.device)


def clock_of(device: str, watch: Callable[[], object] | None = None) -> Clock:
    """Return the clock that measures a device's work.

    Args:
        device: ``cpu`` or ``cuda:N``.
        watch: Called while an accelerator is at work.
    """
    if device == "cpu":
        return HostClock()
    return DeviceClock.of(device, watch)


def _synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


def timings_of(
    samples: Samples, cell: BenchmarkConfiguration, cost: Complexity, scope: Scope
) -> Timings:
    """Put samples into words and numbers."""
    return Timings(
        scope=scope,
        batch_size=cell.batch_size,
        # nanoseconds are finer than any clock here
        seconds=tuple(round(value, 9) for value in samples.seconds),
        persons_per_second=cell.batch_size / samples.median,
        relative_iqr=samples.relative_iqr,
        device=cell.device,
        threads=cell.threads,
        parameters=cost.parameters,
        gmacs=cost.macs / 1e9,
        flip=cell.flip,
        form=cell.form.words,
        percentiles=samples.percentiles,
        warm_up=samples.warm_up,
        flags=samples.flags,
    )


def measure_forward(model: PoseModel, *, batch_size: int = 64) -> Timings:
    """Time a plain network on the CPU in this process, quickly.

    Args:
        model: Network in evaluation mode.
        batch_size: Persons in a batch.
    """
    threads = torch.get_num_threads()
    cell = BenchmarkConfiguration(
        device="cpu",
        hardware=processor_name(),
        batch_size=batch_size,
        threads=threads,
        quick=True,
    )
    work = _work(model, _batch(cell, model.entry.input.size), cell, [])
    timings = timings_of(
        measure(work, HostClock(), QUICK), cell, complexity(model.entry), "forward"
    )
    return timings.model_copy(update={"counted": counted(model)})


def counted(model: PoseModel) -> str:
    """What one row of a batch is: a person cut out, or a whole image."""
    return "images" if model.entry.input.whole else "persons"
