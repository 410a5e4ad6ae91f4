"""The declared arguments are those of the constructors, and no combination fills the memory."""

from __future__ import annotations

import inspect
import itertools

import pytest
import torch
from refusals import refused

from posebench.networks import NETWORKS, build_network
from posebench.plugins import resolve
from posebench.types.errors import UserError
from posebench.types.network_arguments import Choice, Whole, Wholes

MOST = 300_000_000


def constructor(name):
    return resolve(NETWORKS[name].build)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_declared_arguments_are_the_constructors(name):
    found, declared = inspect.signature(constructor(name)).parameters, NETWORKS[name].takes
    assert found.keys() == declared.arguments.keys()
    without = {key for key, one in found.items() if one.default is inspect.Parameter.empty}
    assert without == set(declared.required)
    for key, one in found.items():
        assert key in without or declared.arguments[key].accepts(
            list(one.default) if isinstance(one.default, tuple) else one.default
        )


def largest(bounds):
    if isinstance(bounds, Choice):
        return bounds.values
    most = (
        bounds.each.high if isinstance(bounds, Wholes) else bounds.high // bounds.step * bounds.step
    )
    return ([most] * bounds.count if isinstance(bounds, Wholes) else most,)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_argument_at_its_largest_is_still_a_network_that_fits(name):
    """Counted on the device without memory; what a constructor refuses is refused in a sentence."""
    bounds = NETWORKS[name].takes.arguments
    counts = []
    for values in itertools.product(*map(largest, bounds.values())):
        try:
            with torch.device("meta"):
                network = build_network(name, **dict(zip(bounds, values, strict=True)))
        except UserError:
            continue
        counts.append(sum(parameter.numel() for parameter in network.parameters()))
    assert 0 < max(counts) < MOST


@pytest.mark.parametrize("name", NETWORKS)
def test_every_argument_at_its_smallest_computes_the_smallest_input(name):
    """So the sizes of inputs that pass are sizes that networks can halve."""
    declared = NETWORKS[name].takes
    smallest = {
        key: bounds.values[0] if isinstance(bounds, Choice)
        else [bounds.each.low] * bounds.count if isinstance(bounds, Wholes)
        else -(-bounds.low // bounds.step) * bounds.step
        for key, bounds in declared.arguments.items()
    }  # fmt: skip
    sides = (declared.multiple * 2, declared.multiple * 3)
    with torch.device("meta"):
        outputs = build_network(name, **smallest).eval()(torch.empty(1, 3, *sides))
    assert outputs.shape[2:] == tuple(side // NETWORKS[name].stride for side in sides)


@pytest.mark.parametrize("value", [None, 1.5, -4, 0, 100_000_000, True, "12", [12]])
def test_what_a_constructor_never_sees(value, monkeypatch):
    monkeypatch.setattr("posebench.networks.resolve", lambda target: pytest.fail("imported"))
    with refused("demo", "width", repr(value), hint=("width", "depth", "joints")):
        build_network("demo", width=value)


def test_a_multiple_is_one_of_the_step():
    assert Whole(4, 12, 4).accepts(8) and not Whole(4, 12, 4).accepts(6)
