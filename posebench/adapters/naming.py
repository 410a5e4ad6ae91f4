"""The naming schemes themselves: functions from a file's names and layouts to a network's."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

# Paddle's BatchNorm statistics; its other names are PyTorch's.
PADDLE_SUFFIXES = {"_mean": "running_mean", "_variance": "running_var"}


def native(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors as they are: the network carries the published names."""
    return dict(state)


def paddle(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Rename BatchNorm's statistics and turn Linear weights from (in, out) to (out, in)."""
    linear = {
        f"{name}.weight" for name, part in module.named_modules() if isinstance(part, nn.Linear)
    }
    renamed = {}
    for name, value in state.items():
        stem, dot, suffix = name.rpartition(".")
        own = stem + dot + PADDLE_SUFFIXES.get(suffix, suffix)
        renamed[own] = value.t() if own in linear and value.ndim == 2 else value
    return renamed
