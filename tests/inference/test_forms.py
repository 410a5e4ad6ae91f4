"""A model in another form computes the same, or says that it does not."""

from __future__ import annotations

import math
from dataclasses import replace

import make
import pytest
import torch
from refusals import assert_mentions, refused
from torch import nn

from posebench.inference import forms
from posebench.inference.forms import difference, exact_form, in_form
from posebench.networks.deform import DeformConv
from posebench.types.errors import UserError
from posebench.types.timing import Form

# only rounding differs from the plain form, and nothing beyond torch is needed
FAST = Form(folded=True, channels_last=True)


class Small(nn.Module):
    """Convolution, BatchNorm, convolution; ``twice`` also reads the first one's output."""

    def __init__(self, twice: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.twice = twice
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.norm.running_mean.fill_(0.3)
        self.second = nn.Conv2d(8, 17, 3, stride=2, padding=1)

    def forward(self, x):
        y = self.first(x)
        z = self.norm(y)
        return self.second(z + y if self.twice else z)


def model(network: nn.Module | None = None):
    return replace(make.probe_model(), network=(network or Small()).eval(), notes=("before",))


@pytest.mark.parametrize(
    ("form", "words", "exact"),
    [
        (Form(), "plain", True),
        (FAST, "folded, channels-last", True),
        (Form(runtime="openvino", folded=True), "openvino, folded", True),
        (Form(precision="bf16", compiled=True), "compiled, bf16", False),
        (Form(precision="tf32"), "tf32", False),
    ],
)
def test_a_form_says_what_is_not_plain(form, words, exact):
    assert (form.words, form.exact) == (words, exact)


def test_the_plain_form_is_the_model_itself():
    given = model()
    assert in_form(given, Form(), batch_size=2, threads=1) is given
    assert exact_form(given, Form(), batch_size=2, threads=1) is given


def test_the_fast_form_is_exact_and_the_note_says_how_exact():
    given = model()
    fast = exact_form(given, FAST, batch_size=2, threads=1)
    x = torch.randn(2, 3, 64, 48)
    with torch.inference_mode():
        assert difference(fast.network(x), given.network(x)) < 1e-5
    before, note = fast.notes
    assert before == "before"
    assert_mentions(note, "folded", "channels-last", "1 BatchNorms", "within")
    assert fast.network.network.first.weight.is_contiguous(memory_format=torch.channels_last)
    assert given.network.first.weight.is_contiguous()


def test_a_network_that_folds_wrongly_is_refused():
    with refused("folded", "differs"):
        exact_form(model(Small(twice=True)), Form(folded=True), batch_size=2, threads=1)


def test_fewer_bits_are_no_exact_form_but_have_the_usual_contract():
    form = Form(precision="bf16")
    with pytest.raises(UserError, match="bf16 is not an exact form"):
        exact_form(model(), form, batch_size=2, threads=1)
    given = model()
    low = in_form(given, form, batch_size=2, threads=1)
    x = torch.randn(2, 3, 64, 48)
    with torch.inference_mode():
        found, expected = low.network(x), given.network(x)
    assert found.dtype == torch.float32
    assert 1e-5 < difference(found, expected) < 5e-2
    assert given.network.first.weight.dtype == torch.float32


def test_deformable_convolution_takes_channels_last():
    torch.manual_seed(0)
    layer = DeformConv(4).eval()
    x, offset = torch.randn(1, 4, 6, 5), torch.randn(1, 18, 6, 5)
    layout = torch.channels_last
    with torch.inference_mode():
        expected = layer(x, offset)
        found = layer(x.to(memory_format=layout), offset.to(memory_format=layout))
    torch.testing.assert_close(found, expected)


def test_a_compiled_form_asks_for_frozen_weights(monkeypatch):
    asked = []
    monkeypatch.setattr(forms.torch, "compile", lambda n, **how: asked.append(how) or n)
    given = model()
    found = in_form(given, Form(compiled=True), batch_size=2, threads=1)
    assert found.network is given.network
    assert asked == [{"options": {"freezing": True}}]


def test_another_runtime_gets_the_folded_network_and_is_named(monkeypatch):
    class Elsewhere(nn.Identity):
        runtime = "runtime 1.2"

    seen = []
    monkeypatch.setattr(
        forms, "as_runtime", lambda m, *how: seen.append((m.network, *how)) or Elsewhere()
    )
    form = Form(runtime="onnxruntime", folded=True)
    found = in_form(model(), form, batch_size=4, threads=3)
    (network, *how) = seen[0]
    assert isinstance(network.norm, nn.Identity)
    assert how == ["onnxruntime", 4, 3]
    assert_mentions(found.notes[-1], "onnxruntime", "folded", "1 BatchNorms", "runtime 1.2")


def test_difference_is_over_the_peak_and_loses_nothing():
    expected = torch.tensor([[-4.0, 2.0]])
    assert difference(torch.tensor([[-4.0, 3.0]]), expected) == 0.25
    assert difference(torch.ones(1, 3), expected) == math.inf
    assert math.isnan(difference(torch.tensor([[math.nan, 2.0]]), expected))
    assert difference(torch.ones(2), torch.zeros(2)) == 1.0
