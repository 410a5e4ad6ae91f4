"""From what a file holds to a plain mapping of names to tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from posebench.types.errors import UserError

# Under these keys trainers put the weights beside epoch and optimiser.
WRAPPERS = ("state_dict", "model", "model_state_dict")
# What DataParallel puts before every name.
PREFIX = "module."
# Training notes that may stand among weights and are not part of a network.
NOTES = (str, bytes, int, float, type(None))


def tensors_of(contents: Any, path: Path) -> dict[str, Tensor]:
    """Unwrap a loaded file: the inner state dict, without a prefix that all names share.

    Raises:
        UserError: The contents are not a mapping of names to tensors, or hold several.
    """
    if not isinstance(contents, Mapping):
        raise UserError(
            f"{path} holds a {type(contents).__name__}, not named tensors.",
            "Give a file with the model's state dict.",
        )
    wrapped = [key for key in WRAPPERS if isinstance(contents.get(key), Mapping)]
    if len(wrapped) > 1:
        raise UserError(
            f"{path} holds several sets of weights: {', '.join(wrapped)}.",
            "Save the one to evaluate in a file of its own.",
        )
    if wrapped:
        contents = contents[wrapped[0]]
    tensors: dict[str, Tensor] = {}
    for name, value in contents.items():
        if isinstance(value, Tensor) and isinstance(name, str):
            if value.layout is not torch.strided or value.device.type != "cpu":
                raise UserError(
                    f"{path} holds '{name}' as a {value.layout} tensor on {value.device.type}.",
                    "Save the weights as dense tensors.",
                )
            tensors[name] = value.detach()
        elif not isinstance(value, NOTES):
            raise UserError(
                f"{path} holds a {type(value).__name__} under '{name}' where a tensor should be.",
                "Give a file with the model's state dict alone.",
            )
    if not tensors:
        raise UserError(f"{path} holds no tensors.", "Give a file with the model's state dict.")
    if all(name.startswith(PREFIX) for name in tensors):
        tensors = {name[len(PREFIX) :]: value for name, value in tensors.items()}
    return tensors


def damaged(path: Path, container: str, error: Exception) -> UserError:
    """Return the error for a file that begins like its container but cannot be read."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if len(reason) > 160:
        reason = reason[:157] + "..."
    return UserError(
        f"{path} is a damaged {container} file: {reason.rstrip('.')}.",
        "It may be cut short; download it again.",
    )


def refused(path: Path, what: str) -> UserError:
    """Return the error for a pickle that asks for more than tensors."""
    return UserError(
        f"{path} is refused, nothing in it was run: it asks for {what}, which no weights need.",
        "Do not load it elsewhere before you trust its source; look for a plain state dict.",
    )
