"""One way in for every container."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from posebench.checkpoints.container import guess_container
from posebench.checkpoints.mxnet_file import read_mxnet
from posebench.checkpoints.paddle_file import read_paddle
from posebench.checkpoints.safetensors_file import read_safetensors
from posebench.checkpoints.torch_file import read_torch
from posebench.types.errors import UserError

READERS: dict[str, Callable[[Path], dict[str, Tensor]]] = {
    "torch": read_torch,
    "mxnet": read_mxnet,
    "paddle": read_paddle,
    "safetensors": read_safetensors,
}


def read_checkpoint(path: Path, container: str | None = None) -> dict[str, Tensor]:
    """Read the tensors of a weights file; nothing in the file is ever run.

    Args:
        path: The file. Its content decides how it is read, not its suffix.
        container: What it must be, see ``guess_container``; None for any.

    Returns:
        Names as they stand in the file, without a ``module.`` that all of them share, to CPU
        tensors in the file's own dtypes and layouts.

    Raises:
        UserError: The file is missing, damaged, of another kind, or asks to run code.
    """
    found = guess_container(path)
    if container is not None and found != container:
        raise UserError(
            f"{path} is a {found} file, but a {container} file is expected.",
            "Give the file that the zoo publishes for this model.",
        )
    return READERS[found](path)
