"""Many requests at once: shares as tasks, records as they become whole."""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from posebench.downloads.data_root import named_root
from posebench.evaluation.shards import evaluate_shard, merge
from posebench.files import write_whole
from posebench.launch.files import bring
from posebench.launch.memory import ROOM, UNKNOWN, Peaks, forget_peak, peak
from posebench.launch.on_ray import (
    Node,
    Options,
    RayLauncher,
    Task,
    nodes_with,
    on_accelerator,
)
from posebench.types.errors import UserError
from posebench.types.record import Record
from posebench.types.request import PATHS, EvalRequest

TaskStatus = dict[str, Any]  # as progress.json holds it
STATES = WAITING, RUNNING, JOINING, DONE, FAILED = (
    "waiting", "running", "joining", "done", "failed",
)  # fmt: skip
MEMORY_FILE = "memory.json"
AHEAD = 2  # tasks handed to Ray for each that it can run: none idles while the driver joins
# Of a device: what an evaluation leaves is enough for the joining of shares, which computes no
# network but records the device; nothing else fits beside them.
JOINED_PART = 0.01


@dataclass
class ModelStatus:
    """How far one request is.

    Attributes:
        model: As asked for.
        shares: It was cut into.
        done: Shares that ended.
        seconds: Its tasks took so far, added up.
        state: ``waiting`` (no share has ended), ``running``, ``joining``, ``done``, ``failed``.
        error: One sentence if it failed.
    """

    model: str
    shares: int
    done: int = 0
    seconds: float = 0.0
    state: str = WAITING
    error: str = ""


@dataclass(frozen=True)
class ShardTask:
    """One share of an evaluation, or the joining of all its shares.

    Attributes:
        number: Of the request among those launched together.
        request: What to evaluate.
        shard: (I, N), from 1; None joins the shares that lie in the folder.
        folder: For parts and manifests, on storage that every worker sees.
        accept_licence: Whether a node that lacks files fetches also those under terms that
            somebody has to agree to; None fetches nothing.
        command: For the record.
    """

    number: int
    request: EvalRequest
    shard: tuple[int, int] | None
    folder: Path
    accept_licence: bool | None = None
    command: str = ""


@dataclass(frozen=True)
class Result:
    """What comes back from a worker, by value: a record at most, never predictions.

    Attributes:
        error: One sentence if it failed, else empty.
        record: Of joined shares.
        seconds: It took.
        memory: Most bytes that the process held meanwhile; None where nobody counts.
    """

    error: str = ""
    record: Record | None = None
    seconds: float = 0.0
    memory: int | None = None


def evaluate_all(
    requests: Sequence[EvalRequest],
    launcher: RayLauncher | None,
    folder: Path,
    *,
    shares: int = 1,
    accept_licence: bool | None = None,
    report: Callable[[TaskStatus], None] | None = None,
    board_file: Path | None = None,
    command: str = "",
) -> list[Record | str]:
    """Evaluate many requests, each in shares.

    Parts stay in the folder, named by what they hold: a second run, or one that goes on after
    a stop, estimates nothing again. When a share fails, those of its request that have not begun
    are left out; other requests go on.

    Args:
        requests: What to evaluate.
        launcher: Of a cluster; None evaluates one share after the other in this process.
        folder: For parts, on storage that every worker sees.
        shares: Tasks a request; joining them is one more.
        accept_licence: Workers fetch the files that their node lacks, with True also under terms
            that somebody has to agree to; None fetches nothing.
        report: Called whenever a task ended, with what ``board_file`` holds.
        board_file: JSON file that says how far everything is.
        command: For the records.

    Returns:
        For each request, in their order, its record or one sentence about what went wrong.

    Raises:
        UserError: No node has the device of a request, or a worker has another version.
    """
    folder, start = folder.absolute(), time.monotonic()
    asked = [_everywhere(request, launcher) for request in requests]
    waiting = deque(
        Task(ShardTask(number, request, (share, shares), place, accept_licence, command))
        for number, request in enumerate(asked)
        for place in [folder / _name(request, shares)]
        for share in range(1, shares + 1)
    )
    lines = [ModelStatus(request.model, shares) for request in requests]
    found: dict[int, Record | str] = {}
    peaks = Peaks(folder / MEMORY_FILE)

    def ask(
        task: Task[ShardTask], nodes: Sequence[Node], given: Sequence[Options]
    ) -> Options | None:
        return share_options(task.work, peaks.of(task.work.request), nodes, len(given))

    results = launcher.run(waiting, carry_out, ask) if launcher else _here(waiting)
    for share, outcome in results:
        result = Result(outcome) if isinstance(outcome, str) else outcome
        peaks.note(share.request, result.memory if share.shard else None)
        _note(share, result, lines[share.number], waiting, found)
        board = status_of_tasks(lines, time.monotonic() - start)
        if board_file:
            write_whole(board_file, json.dumps(board, indent=1).encode())
        if report:
            report(board)
    return [found[number] for number in range(len(requests))]


def _note(
    share: ShardTask,
    result: Result,
    line: ModelStatus,
    waiting: deque[Task[ShardTask]],
    found: dict[int, Record | str],
) -> None:
    """Take note of a share that ended; afterwards the right ones wait."""
    line.seconds += result.seconds
    line.error = line.error or result.error or _invisible(share)
    if line.error:
        line.state = FAILED
        found[share.number] = line.error
        for task in [task for task in waiting if task.work.number == share.number]:
            waiting.remove(task)
    elif result.record is not None:
        line.state = DONE
        found[share.number] = result.record
    else:
        line.done += 1
        line.state = RUNNING if line.done < line.shares else JOINING
        if line.state == JOINING:  # before other work: what is whole is safe early
            waiting.appendleft(Task(replace(share, shard=None)))


def status_of_tasks(lines: Sequence[ModelStatus], seconds: float) -> TaskStatus:
    """Return how far all requests are: seconds, how many are in each state, each of them."""
    states = [line.state for line in lines]
    counts = {state: states.count(state) for state in STATES}
    return {
        "seconds": round(seconds, 3),
        "counts": counts,
        "requests": [vars(line) for line in lines],
    }


def _here(waiting: deque[Task[ShardTask]]) -> Iterator[tuple[ShardTask, Result]]:
    while waiting:
        share = waiting.popleft().work
        yield share, carry_out(share)


def carry_out(share: ShardTask) -> Result:
    """Run a share in this process; finished parts in its folder are not estimated again."""
    start = time.monotonic()
    forget_peak()
    record, error = None, ""
    try:
        if share.accept_licence is not None:
            bring(share.request, share.accept_licence)
        if share.shard is None:
            record = merge([share.folder], command=share.command)
        else:
            evaluate_shard(share.request, share.shard, share.folder, command=share.command)
    except UserError as found:
        error = str(found)
    except MemoryError:
        error = "This machine has not enough memory for it."
    except Exception as found:  # one broken entry must not end a night's work
        error = f"{type(found).__name__}: {found}"
    return Result(error, record, time.monotonic() - start, peak())


def share_options(
    share: ShardTask, memory: int | None, nodes: Sequence[Node], running: int
) -> Options | None:
    """Return what to ask Ray for, never more than one node has: that would wait for ever.

    Args:
        share: Of an evaluation; on an accelerator it has it for itself, but for joining.
        memory: Most bytes that such a task was seen to hold; None where it was never seen.
        nodes: That live.
        running: Shares that Ray was already given.

    Returns:
        Options of a Ray task; None if the cluster has enough to do.

    Raises:
        UserError: No node has the accelerator.
    """
    device = share.request.device
    gpu = on_accelerator(device)
    cpus, wanted = share.request.threads or 1, int(memory * ROOM) if memory else UNKNOWN
    fit = nodes_with(device, nodes)
    if fit:  # memory first: with fewer processors it takes longer, with less memory it dies
        best = max(fit, key=lambda node: (min(node.memory, wanted), min(node.cpus, cpus)))
        cpus, wanted = max(1, min(cpus, best.cpus)), min(wanted, best.memory)
    at_once = sum(node.gpus if gpu else node.cpus // cpus for node in fit)
    if running >= AHEAD * max(1, at_once):
        return None
    options: Options = {"num_cpus": cpus}
    if gpu:
        options["num_gpus"] = JOINED_PART if share.shard is None else 1 - JOINED_PART
    return options | ({"memory": wanted} if fit and wanted else {})


def _invisible(share: ShardTask) -> str:
    """What speaks against a share that ended well on a worker: its manifest is not seen here."""
    if share.shard is None:
        return ""
    number, shares = share.shard
    if (share.folder / f"shard-{number}-of-{shares}.json").is_file():
        return ""
    return (
        f"ShardTask {number} of {shares} was estimated, but {share.folder} does not show it "
        "here: --output must be on storage that every node sees."
    )


def _everywhere(request: EvalRequest, launcher: RayLauncher | None) -> EvalRequest:
    """Paths and device that mean the same in every process, whatever its folder."""
    device = launcher.device(request.device) if launcher else request.device
    given: dict[str, Any] = {name: getattr(request, name) for name in PATHS}
    given["data_root"] = named_root(request.data_root)
    paths = {name: path.absolute() for name, path in given.items() if path is not None}
    boxes = request.boxes
    if boxes not in (None, "gt", "detector"):
        boxes = str(Path(boxes).absolute())
    folders = tuple(Path(path).absolute() for path in request.registry)
    changes = paths | {"device": device, "boxes": boxes, "registry": folders}
    return request.model_copy(update=changes)


def _name(request: EvalRequest, shares: int) -> str:
    """Folder of a request's parts: the same for the same request, whatever runs beside it."""
    text = json.dumps(request.to_json() | {"threads": None, "shares": shares}, sort_keys=True)
    return f"{request.model.replace('/', '-')}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
