"""The naming schemes themselves: functions from a file's names and layouts to a network's."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from posebench.adapters.published import published_names

# Paddle's BatchNorm statistics; its other names are PyTorch's.
PADDLE_SUFFIXES = {"_mean": "running_mean", "_variance": "running_var"}


def native(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Return the tensors as they are: the network carries the published names."""
    return dict(state)


def paddle(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Turn Paddle's names into the network's, and Linear weights from (in, out) to (out, in).

    BatchNorm's statistics are renamed everywhere; layers where the network has other names than
    Paddle (HRNet), see ``published_names``. Names that the network does not know stay.
    """
    layers = {name: own for own, name in published_names("paddle", module).items()}
    linear = {
        f"{name}.weight" for name, part in module.named_modules() if isinstance(part, nn.Linear)
    }
    renamed = {}
    for name, value in state.items():
        own = layers.get(name) or _statistics(name)
        renamed[own] = value.t() if own in linear and value.ndim == 2 else value
    return renamed


def _statistics(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem + dot + PADDLE_SUFFIXES.get(suffix, suffix)
