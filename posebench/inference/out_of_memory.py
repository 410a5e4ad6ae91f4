"""Too little memory, told as what it is, wherever it was noticed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from posebench.types.errors import UserError

# How torch, its allocators, its libraries and OpenCV say it where they raise no class of their own.
NO_MEMORY = (
    *("out of memory", "can't allocate memory", "not enough memory", "bad_alloc"),
    *("insufficient memory", "failed to allocate", "cannot allocate memory"),
    # cuBLAS, cuSOLVER, cuSPARSE and cuFFT; the second one cuDNN since its version 9
    *("_alloc_failed", "_allocation_failed"),
)


def is_shortage(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, of the machine or of an accelerator."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return any(words in str(error).lower() for words in NO_MEMORY)


@contextlib.contextmanager
def enough_memory(device: str, batch_size: int) -> Iterator[None]:
    """Turn a lack of memory into a sentence with what to change.

    Args:
        device: ``cpu`` or ``cuda:N``, for the sentence.
        batch_size: Likewise.

    Raises:
        UserError: Memory ran out inside.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not is_shortage(error):
            raise
        raise UserError(
            f"Out of memory on {device} with batches of {batch_size}.",
            "Give a smaller --batch-size and fewer --threads; with --resume finished parts stay.",
        ) from error
