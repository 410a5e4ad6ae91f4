"""The deformable convolution against its own definition, summed term by term in float64."""

from __future__ import annotations

import itertools
import math
import sys
import types

import numpy as np
import pytest
import torch

from posebench.networks import deform


def read(image: np.ndarray, y: float, x: float) -> float:
    """Bilinear value of one channel; outside the image everything is zero."""
    top, left = math.floor(y), math.floor(x)
    total = 0.0
    for row, column in itertools.product((top, top + 1), (left, left + 1)):
        if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
            total += image[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def direct(x, offset, weight, stride):
    """The sum as the paper writes it; float64."""
    outputs = np.zeros((x.shape[0], weight.shape[0], *offset.shape[2:]))
    for n, i, j in itertools.product(range(len(x)), *map(range, offset.shape[2:])):
        for tap, (ky, kx) in enumerate(itertools.product(range(3), repeat=2)):
            y = i * stride - 1 + ky + offset[n, 2 * tap, i, j]
            at = j * stride - 1 + kx + offset[n, 2 * tap + 1, i, j]
            values = np.array([read(channel, y, at) for channel in x[n]])
            outputs[n, :, i, j] += weight[:, :, ky, kx] @ values
    return outputs


def example(stride: int, spread: float, size=(6, 4)):
    torch.manual_seed(stride)
    rows, columns = (-(-side // stride) for side in size)
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    offset = torch.randn(2, 18, rows, columns, dtype=torch.float64) * spread
    return x, offset, torch.randn(5, 3, 3, 3, dtype=torch.float64)


def far_off(close: torch.Tensor, expected: np.ndarray) -> float:
    return float(np.abs(close.numpy() - expected).max())


@pytest.mark.parametrize("stride", [1, 2])
# a fraction of a cell, some cells, mostly out of the image
@pytest.mark.parametrize("spread", [0.3, 2.0, 20.0])
def test_equals_the_direct_sum(stride, spread):
    x, offset, weight = example(stride, spread)
    expected = direct(x.numpy(), offset.numpy(), weight.numpy(), stride)
    assert far_off(deform.sampled_conv2d(x, offset, weight, stride), expected) < 1e-12
    single = deform.sampled_conv2d(x.float(), offset.float(), weight.float(), stride)
    assert far_off(single, expected) < 2e-5


@pytest.mark.parametrize("stride", [1, 2])
def test_torchvision_gives_the_same(stride):
    op = deform.torchvision_op()
    if op is None:
        pytest.skip("torchvision does not import here")
    x, offset, weight = example(stride, 2.0)
    expected = op(x, offset, weight, stride=stride, padding=1)
    found = deform.sampled_conv2d(x, offset, weight, stride)
    assert torch.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2])
def test_without_offsets_it_is_a_convolution(stride):
    x, offset, weight = example(stride, 0.0, size=(5, 7))
    expected = torch.nn.functional.conv2d(x, weight, stride=stride, padding=1)
    assert torch.allclose(deform.sampled_conv2d(x, offset, weight, stride), expected, atol=1e-12)


@pytest.mark.parametrize("position", [-1.0, -0.5, 5.5, 6.0, 6.5, 1e30, -1e30])
def test_values_fade_over_one_cell_beyond_the_border(position):
    x = torch.ones(1, 1, 6, 6, dtype=torch.float64)
    weight = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    weight[0, 0, 1, 1] = 1
    offset = torch.zeros(1, 18, 6, 6, dtype=torch.float64)
    # the centre tap of the first row reads at this height
    offset[:, 8, 0] = position
    found = deform.sampled_conv2d(x, offset, weight)
    inside = max(0.0, min(1.0, position + 1, 6 - position))
    assert torch.equal(found[0, 0, 0], torch.full((6,), inside, dtype=torch.float64))
    assert torch.equal(found[0, 0, 1:], x[0, 0, 1:])


def test_offsets_are_down_before_right():
    x = torch.arange(30.0).view(1, 1, 5, 6)
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 1] = 1
    offset = torch.zeros(1, 18, 5, 6)
    offset[:, 8] = 1
    assert deform.sampled_conv2d(x, offset, weight)[0, 0, 0].tolist() == x[0, 0, 1].tolist()


def test_the_installed_op_is_preferred(monkeypatch):
    calls = []

    def op(x, offset, weight, **options):
        calls.append(options)
        return x

    layer = deform.DeformConv(3, stride=2)
    x, offset, _ = example(2, 1.0)
    monkeypatch.setattr(deform, "torchvision_op", lambda: op)
    assert layer(x, offset) is x
    assert calls == [{"stride": 2, "padding": 1}]


@pytest.mark.parametrize("error", [ImportError, RuntimeError])
def test_a_torchvision_that_does_not_import_is_no_torchvision(monkeypatch, error):
    class Broken(types.ModuleType):
        def __getattr__(self, name):
            raise error(name)

    monkeypatch.setitem(sys.modules, "torchvision", Broken("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.ops", Broken("torchvision.ops"))
    deform.torchvision_op.cache_clear()
    try:
        assert deform.torchvision_op() is None
    finally:
        deform.torchvision_op.cache_clear()
