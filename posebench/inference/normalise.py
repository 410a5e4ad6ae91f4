"""uint8 crops -> the network's input."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posebench.inference.transfer import constant
from posebench.types.entry import InputSpec


def normalise(crops: Tensor, spec: InputSpec) -> Tensor:
    """Turn uint8 BGR crops into the network's input.

    A CPU looks the 256 values of each channel up, which gives the same bits in an eighth of the
    time; an accelerator computes them.

    Args:
        crops: (N, H, W, 3) uint8, BGR.
        spec: Colour order, mean and std of the weights.

    Returns:
        (N, 3, H, W) float32: (value / 255 - mean) / std, or (value - mean) / std where mean and std
        are grey levels.
    """
    if crops.device.type == "cpu":
        return torch.from_numpy(_looked_up(crops.numpy(), spec))
    channels = crops.permute(0, 3, 1, 2)
    if spec.colour == "rgb":
        channels = channels.flip(1)
    return _values(channels.float(), spec).contiguous()


def _values(channels: Tensor, spec: InputSpec) -> Tensor:
    """(value / 255 - mean) / std of (N, 3, ...) floats, in float32, or undivided."""
    mean, std = (
        constant(values, torch.float32, channels.device).view(1, 3, 1, 1)
        for values in (spec.mean, spec.std)
    )
    return ((channels / 255.0 if spec.levels == 1 else channels) - mean) / std


@lru_cache(maxsize=16)
def _tables(spec: InputSpec) -> tuple[NDArray[np.float32], ...]:
    """The 256 values of each input channel, as OpenCV's lookup tables."""
    every = torch.arange(256, dtype=torch.float32).view(1, 1, 256, 1).expand(1, 3, 256, 1)
    values = _values(every, spec)[0, :, :, 0].numpy()
    return tuple(np.ascontiguousarray(row)[None] for row in values)


def _looked_up(crops: NDArray[np.uint8], spec: InputSpec) -> NDArray[Any]:
    order = (2, 1, 0) if spec.colour == "rgb" else (0, 1, 2)
    tables = _tables(spec)
    count, height, width, _ = crops.shape
    inputs = np.empty((count, 3, height, width), np.float32)
    for crop, planes in zip(crops, inputs, strict=True):
        channels = cv2.split(crop)
        for plane, table, channel in zip(planes, tables, order, strict=True):
            cv2.LUT(channels[channel], table, plane)
    return inputs
