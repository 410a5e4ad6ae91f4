"""Weights files as the zoos write them, filled with recomputed weights."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from posebench.adapters.published import published_names
from posebench.networks import deterministic_weights

State = Mapping[str, NDArray[np.generic]]
# MXNet's NDArray list (src/ndarray/ndarray.cc): list magic, array version 2, float32, CPU.
MXNET_LIST, MXNET_ARRAY, MXNET_FLOAT32, MXNET_CPU = 0x112, 0xF993FAC9, 0, 1


def filled_state(network: nn.Module, adapter: str, gain: float) -> dict[str, NDArray[np.generic]]:
    """Return recomputed weights under the names and in the layouts that the zoo publishes.

    Args:
        network: Only its names and shapes count; it may be on the meta device.
        adapter: Naming scheme.
        gain: See ``deterministic_weights.parameter``.
    """
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    turned = {
        f"{name}.weight"
        for name, part in network.named_modules()
        if isinstance(part, nn.Linear) and adapter == "paddle"
    }
    return {
        published: deterministic_weights.parameter(
            published, shapes[own][::-1] if own in turned else shapes[own], gain
        )
        for own, published in published_names(adapter, network).items()
    }


def write_native(state: State, container: str, path: Path) -> None:
    """Write named arrays as a zoo does.

    Args:
        state: Published names to arrays.
        container: ``torch``, ``paddle`` or ``mxnet`` (in the zip it ships in).
        path: Of the new file.

    Raises:
        KeyError: Another container.
    """
    _WRITERS[container](state, path)


def _torch(state: State, path: Path) -> None:
    torch.save({name: torch.from_numpy(values) for name, values in state.items()}, path)


def _paddle(state: State, path: Path) -> None:
    names = {name: f"w_{index}" for index, name in enumerate(state)}
    with path.open("wb") as file:
        pickle.dump({**state, "StructuredToParameterName@@": names}, file, protocol=4)


def _mxnet(state: State, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive, archive.open("weights.params", "w") as file:
        file.write(struct.pack("<QQQ", MXNET_LIST, 0, len(state)))
        for values in state.values():
            file.write(struct.pack("<Iii", MXNET_ARRAY, 0, values.ndim))
            file.write(struct.pack(f"<{values.ndim}q", *values.shape))
            file.write(struct.pack("<iii", MXNET_CPU, 0, MXNET_FLOAT32))
            file.write(np.ascontiguousarray(values).data)
        file.write(struct.pack("<Q", len(state)))
        for name in state:
            text = name.encode()
            file.write(struct.pack("<Q", len(text)) + text)


_WRITERS: dict[str, Callable[[State, Path], None]] = {
    "torch": _torch,
    "paddle": _paddle,
    "mxnet": _mxnet,
}
