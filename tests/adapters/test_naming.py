"""Naming schemes."""

from __future__ import annotations

import torch
from torch import nn

from posebench.adapters.naming import native, paddle


def test_native_changes_nothing():
    state = {"module.a._mean": torch.ones(2)}
    found = native(state, nn.Identity())
    assert found == state
    assert found is not state


def test_paddle_renames_statistics_only_at_the_end_of_a_name():
    state = {
        "norm._mean": torch.tensor([1.0]),
        "norm._variance": torch.tensor([2.0]),
        "_mean": torch.tensor([3.0]),
        "a_mean": torch.tensor([4.0]),
        "_mean.weight": torch.tensor([5.0]),
        "norm.weight": torch.tensor([6.0]),
    }
    found = {name: value.item() for name, value in paddle(state, nn.Identity()).items()}
    assert found == {
        "norm.running_mean": 1,
        "norm.running_var": 2,
        "running_mean": 3,
        "a_mean": 4,
        "_mean.weight": 5,
        "norm.weight": 6,
    }


def test_paddle_turns_linear_weights_and_no_others():
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 1)
            self.fc = nn.Linear(2, 2)
            self.table = nn.Embedding(2, 3)

    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    conv = torch.arange(6.0).reshape(3, 2, 1, 1)
    table = torch.arange(6.0).reshape(2, 3)
    state = {"fc.weight": values, "fc.bias": values[0], "conv.weight": conv, "table.weight": table}
    found = paddle(state, Mixed())
    assert torch.equal(found["fc.weight"], values.t())
    assert torch.equal(found["fc.bias"], values[0])
    assert torch.equal(found["conv.weight"], conv)
    assert torch.equal(found["table.weight"], table)
    # what Paddle computes, x @ W + b, is what PyTorch computes with the turned weight
    x = torch.rand(5, 2)
    ours = torch.nn.functional.linear(x, found["fc.weight"], found["fc.bias"])
    assert torch.allclose(ours, x @ values + values[0])
