"""The whole way, from image files to keypoints, as an evaluation walks it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from pathlib import Path

from posebench.inference.loading import IMAGES_AHEAD
from posebench.inference.predict import Options, predict
from posebench.timing.clocks import (
    FULL,
    QUICK,
    Effort,
    Samples,
    WarmUp,
    agree,
    enough,
    enough_warmth,
)
from posebench.timing.complexity import Complexity
from posebench.timing.forward import Prepared, timings_of
from posebench.timing.memory import memory_of, reset_memory
from posebench.timing.noop_network import null_model
from posebench.timing.samples import PERSONS, image_size, persons_on
from posebench.types.model import PoseModel
from posebench.types.protocol import Protocol
from posebench.types.timing import BenchmarkConfiguration, Timings

NULL = Effort(iterations=20, seconds=0.2, agreeing=2, warm_up=4)
LONGEST = 1000  # batches; rows for their keypoints are made beforehand


class _Enough(Exception):
    """Ends a prediction that has told all it has to."""


def time_end_to_end(
    prepared: Prepared,
    protocol: Protocol,
    cell: BenchmarkConfiguration,
    cost: Complexity,
    paths: list[Path],
    forward: float,
) -> Timings:
    """Time reading, cropping, the network and decoding together.

    An iteration is the time between one batch's keypoints and the next one's, in one long
    prediction: reading goes on while the network works, as it does in an evaluation.

    Args:
        prepared: The model in its form.
        protocol: How to decode.
        cell: What to time.
        cost: Of the network.
        paths: Image files; they are read again and again.
        forward: Seconds the network alone takes for a batch.
    """
    effort = QUICK if cell.quick else FULL
    reset_memory(cell.device)
    samples = batch_intervals(prepared.model, protocol, cell, paths, effort, forward)
    memory = memory_of(cell.device)
    null = null_model(prepared.model, tuple(prepared.expected[0].shape), cell.device)
    alone = batch_intervals(null, protocol, cell, paths, NULL, 0.0)
    width, height = image_size(paths[0])
    files = f"{len(paths)} {cell.images[:8]} image files, the first {width}x{height}"
    data = f"{files}, {PERSONS} persons an image; decoded as {protocol.key}"
    timings = timings_of(samples, cell, cost, "end to end")
    found = {"overhead": alone.median, "memory": memory, "data": data}
    return timings.model_copy(update=found)


def batch_intervals(
    model: PoseModel,
    protocol: Protocol,
    cell: BenchmarkConfiguration,
    paths: list[Path],
    effort: Effort,
    expected: float,
    now: Callable[[], float] = time.perf_counter,
) -> Samples:
    """Predict until there are enough iterations and seconds.

    Args:
        model: In any form.
        protocol: Its flip and decoding are used.
        cell: Device, batch size and threads.
        paths: Image files.
        effort: How long.
        expected: Seconds a batch takes at least; 0 for not known.
        now: Seconds since any moment.
    """
    # Images that lie read ahead when the first batch is done would hide what reading costs.
    ahead = math.ceil(cell.threads * IMAGES_AHEAD * PERSONS / cell.batch_size)
    timed = max(effort.iterations, math.ceil(effort.seconds / expected) if expected else LONGEST)
    # One batch more than intervals, and one that is kept back.
    count = min(ahead + effort.warm_up + timed + 2, LONGEST) * cell.batch_size
    dataset, persons = persons_on(paths, model.entry.input, count)
    warm: list[float] = []
    found: list[float] = []
    before: list[float] = []

    def batch_done(what: str, done: int, of: int) -> None:
        moment = now()
        if before and done > ahead * cell.batch_size:
            (found if enough_warmth(warm, effort) else warm).append(moment - before[0])
        before[:] = [moment]
        if enough(found, effort):
            raise _Enough

    tf32 = cell.form.precision == "tf32"
    options = Options(cell.device, cell.batch_size, cell.threads, tf32)
    with contextlib.suppress(_Enough):
        predict(model, dataset, persons, [protocol], options, batch_done)
    last = tuple(warm[-effort.agreeing :])
    warmth = WarmUp(len(warm), last, agree(last))
    return Samples(tuple(found), warmth.iterations, warmth.settled, effort)
