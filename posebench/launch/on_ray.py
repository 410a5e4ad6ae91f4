"""Tasks on a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from posebench.inference.devices import accelerator_index
from posebench.launch.files import Fetching
from posebench.launch.memory import ROOM, UNKNOWN
from posebench.launch.tasks import Done, Result, Task, carry_out
from posebench.types.errors import UserError

RETRIES = 3  # of a task whose worker or node died
PATIENCE = 10.0  # seconds for a cluster's address to answer
AHEAD = 2  # tasks handed to Ray for each that it can run: none idles while the driver joins
# Of a device: what an evaluation leaves is enough for the joining of shares, which computes no
# network but records the device; nothing else fits beside them.
JOINING = 0.01
# Read by Ray when it starts in this process; what the user has set stays.
SETTINGS = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # tasks without a device still see all of them
    "RAY_USAGE_STATS_ENABLED": "0",  # nobody is told what runs here
    "RAY_task_oom_retries": str(RETRIES),  # else without end
}


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, as Ray counts it.

    Attributes:
        id: Ray's.
        cpus: Processors that tasks may ask for.
        gpus: Devices.
        memory: Bytes.
    """

    id: str
    cpus: int
    gpus: int
    memory: int


class RayLauncher:
    """Runs tasks as Ray tasks, as many at once as the cluster has processors or devices.

    An evaluation on an accelerator has it for itself, but for the joining of others' shares. Every
    task asks for the memory that its model was seen to hold, else for ``memory.UNKNOWN``; never for
    more than the largest node has.

    Args:
        address: Of a running cluster (``auto`` finds one); None starts one on this machine.
        fetching: Whether, and under which terms, nodes fetch the files that they lack.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(self, address: str | None = None, *, fetching: Fetching | None = None) -> None:
        self.ray = started(address)
        self._fetching = fetching

    def run(self, waiting: deque[Task]) -> Iterator[Done]:
        """Yield every task as it ends; what crashes a worker time and again is given up.

        Raises:
            UserError: Tasks name an accelerator, and no node has one.
        """
        ray = self.ray
        remote = ray.remote(max_retries=RETRIES)(carry_out)
        running: dict[Any, Task] = {}
        try:
            while waiting or running:
                nodes = self.nodes()
                while waiting and len(running) < AHEAD * _places(nodes, waiting[0]):
                    task = replace(waiting.popleft(), fetching=self._fetching)
                    options = _options(task, nodes)
                    running[remote.options(**options).remote(_local(task))] = task
                finished, _ = ray.wait(list(running), num_returns=1)
                for reference in finished:
                    yield Done(running.pop(reference), self._result(reference))
        finally:
            for reference in running:  # the driver stops: parts that are whole stay
                ray.cancel(reference, force=True)

    def nodes(self) -> list[Node]:
        """Return the nodes that live."""
        found = []
        for node in self.ray.nodes():
            has = node["Resources"]
            if node["Alive"]:
                counts = (int(has.get(name, 0)) for name in ("CPU", "GPU", "memory"))
                found.append(Node(node["NodeID"], *counts))
        return found

    def _result(self, reference: Any) -> Result:
        ray = self.ray
        try:
            result: Result = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            return Result(f"It could not be run on the worker ({error.cause}).")
        except ray.exceptions.RayError as error:
            return Result(lost(error))
        return result


def on_accelerator(device: str) -> bool:
    """Whether a task needs an accelerator of its own.

    Raises:
        UserError: The device has another name than ``cpu``, ``cuda`` or ``cuda:N``.
    """
    return accelerator_index(device) is not None


def _places(nodes: list[Node], task: Task) -> int:
    """How many such tasks the cluster runs at once, at least one."""
    if on_accelerator(task.request.device):
        return max(1, sum(node.gpus for node in nodes))
    return max(1, sum(node.cpus // _cpus(task, nodes) for node in nodes))


def _cpus(task: Task, nodes: list[Node]) -> int:
    return max(1, min(task.request.threads or 1, max((n.cpus for n in nodes), default=1)))


def _options(task: Task, nodes: list[Node]) -> dict[str, Any]:
    """Resources to ask Ray for: what no node has would wait for ever."""
    options: dict[str, Any] = {"num_cpus": _cpus(task, nodes)}
    if on_accelerator(task.request.device):
        check_accelerators(nodes, task.request.device)
        options["num_gpus"] = JOINING if task.shard is None else 1 - JOINING
    wanted = int(task.memory * ROOM) if task.memory else UNKNOWN
    most = max((node.memory for node in nodes), default=0)
    return options | ({"memory": min(wanted, most)} if most else {})


def check_accelerators(nodes: list[Node], device: str) -> None:
    """Refuse to wait for a device that no node has.

    Raises:
        UserError: There is none.
    """
    if not any(node.gpus for node in nodes):
        raise UserError(
            f"{device} was asked for, but none of the cluster's {len(nodes)} nodes has an "
            "accelerator.",
            "Start a node that has one, or leave the device out.",
        )


def _local(task: Task) -> Task:
    """On a worker the device that it was given is the first one."""
    if on_accelerator(task.request.device):
        return replace(task, request=replace(task.request, device="cuda:0"))
    return task


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
            'Install it with `pip install "posebench-zoo[ray]"`.',
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


def lost(error: Exception) -> str:
    """Say how a task ended whose worker or node died on every attempt."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"Its worker died {RETRIES + 1} times ({type(error).__name__}: {first})."
