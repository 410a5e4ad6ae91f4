"""Devices: which there are, and the settings of torch that a result depends on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import torch

from posebench.types.errors import UserError

# Four digits are more devices than any machine has, and never too many for ``int``.
ACCELERATOR = re.compile(r"cuda(?::(0|[1-9][0-9]{0,3}))?")


def accelerator_index(device: str) -> int | None:
    """Return the number of an accelerator, None for the CPU.

    Only the name is considered, not what this machine has: the work may run on another one.

    Args:
        device: ``cpu``, ``cuda`` (the first one) or ``cuda:N``.

    Raises:
        UserError: It is none of these; the hint lists the devices of this machine.
    """
    if device == "cpu":
        return None
    found = ACCELERATOR.fullmatch(device)
    if found is None:
        raise UserError(f"Unknown device {device!r}.", _choices())
    return int(found[1] or 0)


def check_device(device: str) -> str:
    """Return a device of this machine as ``cpu`` or ``cuda:N``.

    Args:
        device: As for ``accelerator_index``.

    Raises:
        UserError: The name is unknown, or this machine has no such device.
    """
    index = accelerator_index(device)
    if index is None:
        return device
    if not torch.cuda.is_available():
        raise UserError(f"{device} needs CUDA, which torch does not find here.", _choices())
    if index >= torch.cuda.device_count():
        raise UserError(f"There is no {device} on this machine.", _choices())
    return f"cuda:{index}"


def _choices() -> str:
    """Say which devices this machine has."""
    found = ["cpu"]
    if torch.cuda.is_available():
        names = map(torch.cuda.get_device_name, range(torch.cuda.device_count()))
        found += [f"cuda:{index} ({name})" for index, name in enumerate(names)]
    return f"The devices of this machine: {', '.join(found)}."


@contextmanager
def computing_on(device: str, *, tf32: bool = False) -> Iterator[None]:
    """Compute on a device, with float32 products as exact as float32 is.

    Torch rounds the factors of convolutions to TF32 unless it is told otherwise, and of matrix
    products if it was told so.  Events and streams belong to the current device.  Afterwards
    both are as they were.

    Args:
        device: ``cpu`` or ``cuda:N``.
        tf32: Let the factors be rounded all the same.
    """
    restore = _remember_precision()
    current = nullcontext() if device == "cpu" else torch.cuda.device(device)
    try:
        use_tf32(tf32)
        with current:
            yield
    finally:
        restore()


def use_tf32(wanted: bool) -> None:
    """Let float32 products be rounded to TF32 on an accelerator, or nowhere to fewer bits."""
    torch.set_float32_matmul_precision("high" if wanted else "highest")
    torch.backends.cudnn.allow_tf32 = wanted
    for switch in [] if wanted else _newer_switches():
        # What ``torch.backends.fp32_precision`` asks for, the two above leave as it is.
        if switch.fp32_precision in ("tf32", "bf16"):
            switch.fp32_precision = "ieee"


def _newer_switches() -> list[Any]:
    """Torch's settings under the names they have had since version 2.9; none of older ones."""
    libraries = (torch.backends.cudnn, getattr(torch.backends, "mkldnn", None))
    found = [torch.backends.cuda.matmul, *libraries]
    found += [getattr(each, part, None) for each in libraries for part in ("matmul", "conv", "rnn")]
    return [switch for switch in found if hasattr(switch, "fp32_precision")]


def _remember_precision() -> Callable[[], None]:
    """Return what puts torch's settings back.

    Torch refuses to read the older names once the newer ones were used.
    """
    newer = [(switch, switch.fp32_precision) for switch in _newer_switches()]
    older: tuple[str, bool] | None = None
    with suppress(RuntimeError):
        older = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    def restore() -> None:
        if older is not None:
            torch.set_float32_matmul_precision(older[0])
            torch.backends.cudnn.allow_tf32 = older[1]
        for switch, value in newer:
            if switch.fp32_precision != value:
                switch.fp32_precision = value

    return restore
