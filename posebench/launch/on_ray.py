"""Tasks on a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

from posebench.launch.tasks import Done, Task, carry_out
from posebench.types.errors import UserError

RETRIES = 3  # of a task whose worker or node died


class RayLauncher:
    """Runs tasks as Ray tasks, as many at once as the cluster has processors or devices.

    Args:
        address: Of a running cluster (``auto`` finds one); None starts one on this machine.
        cpus: Processors a task asks for.
        gpus: Devices a task asks for; None means one where the request names a CUDA device.
        memory: Bytes a task asks for; None asks for none.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        cpus: float = 1,
        gpus: float | None = None,
        memory: int | None = None,
    ) -> None:
        self._ray = _started(address)
        self._cpus, self._gpus, self._memory = cpus, gpus, memory

    def run(self, tasks: Sequence[Task]) -> Iterator[Done]:
        """Yield every task as it ends; what crashes a worker time and again is given up."""
        ray = self._ray
        remote = ray.remote(max_retries=RETRIES)(carry_out)
        waiting = {self._submit(remote, task): task for task in tasks}
        while waiting:
            finished, _ = ray.wait(list(waiting), num_returns=1)
            for reference in finished:
                task = waiting.pop(reference)
                try:
                    yield Done(task, ray.get(reference))
                except ray.exceptions.RayTaskError as error:
                    yield Done(task, f"It could not be run on the worker ({error.cause}).")
                except ray.exceptions.RayError as error:
                    yield Done(task, _lost(error))

    def _submit(self, remote: Any, task: Task) -> Any:
        gpus = self._gpus
        if gpus is None:
            gpus = 1 if task.request.device.startswith("cuda") else 0
        options: dict[str, Any] = {"num_cpus": self._cpus, "num_gpus": gpus}
        if self._memory:
            options["memory"] = self._memory
        return remote.options(**options).remote(task)


def _started(address: str | None) -> Any:
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
    # Workers' lines would mix with --json on stdout; what matters comes back with the task.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        with contextlib.redirect_stdout(None):
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError as error:
        raise UserError(
            f"There is no Ray cluster at {address!r}.",
            "Start one with `ray start --head`, or leave --address out.",
        ) from error
    return ray


def _lost(error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"Its worker died {RETRIES + 1} times ({type(error).__name__}: {first})."
