"""The rate of a matrix product, and a network that computes nothing."""

from __future__ import annotations

import make
import pytest
import torch
from make_speed import SetClock

from posebench.timing.ceiling import REPEATS, matrix_product_rate
from posebench.timing.noop_network import null_model


def test_the_best_product_counts_and_the_first_does_not():
    clock = SetClock(0.001, 4.0, 2.0, 3.0)
    assert matrix_product_rate(clock, "cpu", torch.float32, side=8) == 2 * 8**3 / 2.0
    assert clock.asked == [1, REPEATS]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_product_has_the_precision_asked_for(dtype):
    kept = []

    class Keeping(SetClock):
        def samples(self, work, count):
            kept.append(work())
            return super().samples(work, count)

    matrix_product_rate(Keeping(1.0), "cpu", dtype, side=4)
    assert {product.dtype for product in kept} == {dtype}


def test_the_null_network_gives_heatmaps_whatever_comes():
    model = make.probe_model()
    null = null_model(model, (2, 17, 16, 12), "cpu")
    assert null.entry is model.entry
    with torch.inference_mode():
        assert torch.equal(null.network(torch.rand(2, 3, 64, 48)), torch.zeros(2, 17, 16, 12))
