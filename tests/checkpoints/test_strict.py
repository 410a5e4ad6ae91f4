"""Loading is all or nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from posebench.checkpoints import load_strict
from posebench.types.errors import UserError


def network(width: int = 4, joints: int = 3) -> nn.Module:
    """Conv (3*width + width), norm (4*width and a counter), conv (width*joints + joints)."""
    return nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width), nn.Conv2d(width, joints, 1))


def weights(**options) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: torch.rand(value.shape, generator=generator)
        if value.is_floating_point()
        else torch.tensor(7)
        for name, value in network(**options).state_dict().items()
    }


def refusal(state) -> UserError:
    target = network()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(UserError) as caught:
        load_strict(target, state, source="weights.pth")
    after = target.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "half loaded"
    assert caught.value.message.startswith("weights.pth ")
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")
    return caught.value


def test_everything_is_copied_and_counted():
    target, state = network(), weights()
    coverage = load_strict(target, state, source="weights.pth")
    assert (coverage.loaded, coverage.expected) == (47, 47)
    assert coverage.fraction == 1.0
    assert all(torch.equal(value, state[name]) for name, value in target.state_dict().items())


def test_counters_may_be_absent():
    state = weights()
    del state["1.num_batches_tracked"]
    coverage = load_strict(network(), state, source="weights.pth")
    assert (coverage.loaded, coverage.expected) == (47, 47)


def test_gradients_stay_possible():
    target = network()
    load_strict(target, weights(), source="weights.pth")
    assert all(p.requires_grad and p.is_leaf for p in target.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_become_float32(dtype):
    target = network()
    state = {n: v.to(dtype) if v.is_floating_point() else v for n, v in weights().items()}
    load_strict(target, state, source="weights.pth")
    assert target[0].weight.dtype == torch.float32
    assert torch.equal(target[0].weight, state["0.weight"].float())


@pytest.mark.parametrize("name", [n for n in weights() if not n.endswith("tracked")])
def test_each_missing_name_is_an_error(name):
    state = weights()
    del state[name]
    error = refusal(state)
    assert f"1 missing ({name})" in error.message
    assert "unexpected" not in error.message
    assert "a part of this network" in error.hint


def test_three_examples_are_all_of_three():
    state = weights()
    for name in ("0.bias", "2.bias", "2.weight"):
        del state[name]
    assert "3 missing (0.bias, 2.bias, 2.weight)." in refusal(state).message


def test_unexpected_names_are_an_error():
    more = {"3.weight": torch.ones(1), "2.num_batches_tracked": torch.ones(1)}
    error = refusal(weights() | more)
    assert "2 unexpected (2.num_batches_tracked, 3.weight)" in error.message
    assert "missing" not in error.message
    assert "this network and more" in error.hint


def test_other_shapes_are_an_error():
    error = refusal(weights(joints=5))
    assert "2 of another shape (2.bias (5) for (3), 2.weight (5, 4, 1, 1) for (3, 4, 1, 1))" in (
        error.message
    )
    assert "number of joints" in error.hint


def test_equal_sizes_of_another_shape_are_an_error():
    state = weights()
    state["2.weight"] = state["2.weight"].reshape(4, 3, 1, 1)
    assert "1 of another shape" in refusal(state).message


def test_a_shape_that_would_broadcast_is_an_error():
    state = weights()
    state["1.weight"] = torch.ones(1)
    assert "1 of another shape (1.weight (1) for (4))" in refusal(state).message


def test_a_huge_view_is_judged_by_its_shape_alone():
    state = {**weights(), "1.weight": torch.zeros(1).expand(1 << 45)}
    assert "1.weight (35184372088832) for (4)" in refusal(state).message


def test_a_counter_of_another_shape_is_an_error():
    state = {**weights(), "1.num_batches_tracked": torch.ones(2, dtype=torch.int64)}
    assert "1 of another shape" in refusal(state).message


def test_another_network_altogether():
    error = refusal({f"stem.{n}": v for n, v in weights().items()})
    assert "8 missing (0.bias, 0.weight, 1.bias, ...)" in error.message
    assert "9 unexpected" in error.message
    assert "another kind of network" in error.hint


def test_a_relative_of_the_network():
    state = weights()
    state["2.kernel"] = state.pop("2.weight")
    assert "another model of the family" in refusal(state).hint


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite(value):
    state = weights()
    state["1.running_var"][2] = value
    error = refusal(state)
    assert "NaN or infinite values in 1.running_var." in error.message


def test_values_beyond_float32():
    state = weights()
    state["2.bias"] = torch.full((3,), 1e300, dtype=torch.float64)
    assert "NaN or infinite" in refusal(state).message


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.complex64])
def test_values_that_are_no_floating_point_numbers(dtype):
    state = weights()
    state["0.weight"] = state["0.weight"].to(dtype)
    error = refusal(state)
    assert "not floating-point numbers in 0.weight." in error.message
