"""Tasks on a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from posebench.inference.devices import accelerator_index
from posebench.install import install_command
from posebench.types.errors import UserError
from posebench.version import __version__

W = TypeVar("W")
ATTEMPTS = 4  # at a task whose worker or node dies
PATIENCE = 10.0  # seconds for a cluster's address to answer
# Read by Ray when it starts in this process; what the user has set stays.
SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # tasks without a device still see all of them
    "RAY_USAGE_STATS_ENABLED": "0",  # no one is told what runs here
    "RAY_task_oom_retries": str(ATTEMPTS - 1),  # else without end
}


@dataclass(frozen=True)
class Node:
    """A machine of a cluster.

    Attributes:
        id: Ray's.
        cpus: Processors that tasks may ask for.
        gpus: Accelerators.
        memory: Bytes.
    """

    id: str
    cpus: int
    gpus: int
    memory: int


@dataclass(frozen=True)
class Task(Generic[W]):
    """Something to do.

    Attributes:
        work: What.
        lost: Nodes that it was pinned to and on which its worker died, one an attempt.
    """

    work: W
    lost: tuple[str, ...] = ()


Options = dict[str, Any]  # of a Ray task; ``node`` is the id of the node that it is pinned to
# Called with a task, the nodes that live and the options of every task that Ray has: what to ask
# Ray for, or None while the task has to wait.
Ask = Callable[[Task[W], Sequence[Node], Sequence[Options]], "Options | None"]


class RayLauncher:
    """Runs tasks as Ray tasks, on every node that has what they ask for.

    Args:
        address: Of a running cluster (``auto`` finds one); None starts one on this machine.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str | None = None) -> None:
        self.ray = started(address)

    def device(self, asked: str | None) -> str:
        """Return what a worker calls the device: the one that Ray gives it is the first.

        Args:
            asked: ``cpu`` or ``cuda:N``; None takes an accelerator where a node has one.

        Raises:
            UserError: It is an accelerator, and no node has one.
        """
        nodes = self.nodes()
        asked = asked or ("cuda:0" if any(node.gpus for node in nodes) else "cpu")
        nodes_with(asked, nodes)
        return "cuda:0" if on_accelerator(asked) else asked

    def nodes(self) -> list[Node]:
        """Return the nodes that live."""
        found = []
        for node in self.ray.nodes():
            has = node["Resources"]
            if node["Alive"]:
                counts = (int(has.get(name, 0)) for name in ("CPU", "GPU", "memory"))
                found.append(Node(node["NodeID"], *counts))
        return found

    def run(
        self, waiting: deque[Task[W]], do: Callable[[W], Any], ask: Ask[W]
    ) -> Iterator[tuple[W, Any]]:
        """Yield every task as it ends, with its result or one sentence (text) about its failure.

        Whoever iterates may add tasks or take some back between two steps. Ray retries a task whose
        worker or node died; one that is pinned to a node is asked for anew, since Ray would repeat
        the node too.

        Args:
            waiting: Tasks, taken from the left.
            do: Computes a result on a worker.
            ask: Says what to ask Ray for.

        Raises:
            UserError: A worker refuses what is asked for, or has another version of posebench.
        """
        ray = self.ray
        remote = ray.remote(on_worker)
        running: dict[Any, tuple[Task[W], Options]] = {}
        try:
            while waiting or running:
                nodes = self.nodes()
                while waiting:
                    options = ask(waiting[0], nodes, [asked for _, asked in running.values()])
                    if options is None:
                        break
                    task = waiting.popleft()
                    reference = remote.options(**_for_ray(options)).remote(do, task.work)
                    running[reference] = task, options
                (reference,), _ = ray.wait(list(running), num_returns=1)
                task, options = running.pop(reference)
                try:
                    outcome = self._result(reference)
                except ray.exceptions.RayError as error:
                    if "node" in options and len(task.lost) + 1 < ATTEMPTS:
                        waiting.appendleft(Task(task.work, (*task.lost, options["node"])))
                        continue
                    outcome = _died(error)
                yield task.work, outcome
        finally:
            for reference in running:  # the driver stops: parts that are whole stay
                ray.cancel(reference, force=True)

    def _result(self, reference: Any) -> Any:
        """Return what a worker gave, or one sentence; a worker that died is Ray's exception."""
        try:
            version, result = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from error
            return f"It could not be run on the worker ({error.cause})."
        if version != __version__:
            raise UserError(
                f"A worker has posebench {version}, this process has {__version__}.",
                "Install one version on all nodes.",
            )
        return result


def on_worker(do: Callable[[W], Any], work: W) -> tuple[str, Any]:
    """Run a task on a worker; return the worker's version of posebench and the result."""
    return __version__, do(work)


def on_accelerator(device: str) -> bool:
    """Whether a task needs an accelerator of its own.

    Raises:
        UserError: The device has another name than ``cpu``, ``cuda`` or ``cuda:N``.
    """
    return accelerator_index(device) is not None


def nodes_with(device: str, nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes that have a kind of device.

    Raises:
        UserError: It is an accelerator that no node has: a task would wait for ever.
    """
    if not on_accelerator(device):
        return [node for node in nodes if node.cpus]
    found = [node for node in nodes if node.gpus]
    if not found:
        raise UserError(
            f"{device} was asked for, but none of the cluster's {len(nodes)} nodes has an "
            "accelerator.",
            "Start a node that has one, or leave the device out.",
        )
    return found


def _for_ray(options: Options) -> Options:
    """Say how often Ray may try, and to which node it is bound if it is."""
    if "node" not in options:
        return options | {"max_retries": ATTEMPTS - 1}
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    pinned = NodeAffinitySchedulingStrategy(options["node"], soft=False)
    others = {name: value for name, value in options.items() if name != "node"}
    return others | {"max_retries": 0, "scheduling_strategy": pinned}


def _died(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"Its worker died {ATTEMPTS} times ({type(error).__name__}: {first})."


def started(address: str | None) -> Any:
    """Connect to a cluster, or start one; return Ray.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise UserError(
            "The Ray launcher needs Ray, which is not installed.",
            f"Install it with `{install_command('ray')}`.",
        ) from error
    if ray.is_initialized():
        return ray
    if address is not None and not answers(address):
        raise _nobody(address)
    try:
        # Workers' lines would mix with --json on stdout; what matters comes back with the task.
        with contextlib.redirect_stdout(None):
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                include_dashboard=False if address is None else None,
            )
    except ConnectionError as error:
        raise _nobody(address) from error
    return ray


def answers(address: str, seconds: float = PATIENCE) -> bool:
    """Whether something listens there: Ray itself would try for many minutes.

    Args:
        address: ``host:port``, with or without ``ray://``; other words are Ray's to know.
        seconds: To wait.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not (colon and port.isdecimal()):
        return True
    try:
        with socket.create_connection((host.strip("[]"), int(port)), seconds):
            return True
    except (OSError, OverflowError):
        return False


def _nobody(address: str | None) -> UserError:
    return UserError(
        f"There is no Ray cluster at {address!r}.",
        "Start one with `ray start --head`, or leave --address out.",
    )
