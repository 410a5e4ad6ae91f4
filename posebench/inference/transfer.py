"""Between the host and an accelerator, so that neither waits for the other inside a batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(array: NDArray[Any], device: str) -> Tensor:
    """Bring an array to where it is computed; from pinned memory the copy does not wait.

    Args:
        array: On a CPU the tensor shares its memory.
        device: ``cpu`` or ``cuda:N``.
    """
    tensor = torch.from_numpy(array)
    if device == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


class Arriving:
    """Tensors on their way to the host.

    The copies are queued at once, and ``arrays`` waits for them alone: not for the work that was
    queued after them.

    Args:
        tensors: Of one device, which is the current one.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._host = [_queued(tensor) for tensor in tensors]
        self._there: torch.cuda.Event | None = None
        if any(tensor.device.type != "cpu" for tensor in tensors):
            # A blocking wait leaves the processor to the threads that read images.
            self._there = torch.cuda.Event(blocking=True)
            self._there.record()

    def arrays(self) -> list[NDArray[Any]]:
        """Return them, in their order."""
        if self._there is not None:
            self._there.synchronize()
        return [tensor.numpy() for tensor in self._host]


def _queued(tensor: Tensor) -> Tensor:
    if tensor.device.type == "cpu":
        return tensor
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)


@lru_cache(maxsize=256)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return (n,) values that stay on their device: copying them would stop every batch.

    Args:
        values: The same tuple gives the same tensor, which nobody may write to.
        dtype: Of the tensor.
        device: Of the tensors they are used with.
    """
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)


@lru_cache(maxsize=16)
def gaussian(side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return OpenCV's Gaussian kernel of so many cells, (side,), kept as ``constant`` keeps it."""
    return constant(tuple(cv2.getGaussianKernel(side, 0)[:, 0].tolist()), dtype, device)
