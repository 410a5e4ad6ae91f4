"""What a measurement says about a claim."""

from __future__ import annotations

import pytest

from posebench.records.verdict import Basis, is_neutral, judge, tone
from posebench.types.entry import Claim, Source


def claim(raw="0.691", unit="fraction", evidence="stated"):
    return Claim(
        metric="AP", raw=raw, unit=unit, evidence=evidence, source=Source(page="page"), protocol="p"
    )


WHOLE, PART = Basis(True, 1000, 450), Basis(False, 68, 32)


def verdict(measured, interval=None, basis=WHOLE, axes=(), **changes):
    return judge(claim(**changes), measured, interval, basis, axes=axes).verdict


def test_a_fraction_claims_percent_and_rounds_at_its_own_digit():
    assert claim().value == pytest.approx(69.1)
    assert claim().resolution == pytest.approx(0.05)
    assert claim(raw="76.9", unit="percent").resolution == pytest.approx(0.05)
    assert claim(raw="89.040", unit="percent").resolution == pytest.approx(0.0005)


@pytest.mark.parametrize(
    ("measured", "word"),
    [(69.1, "reproduced"), (69.2, "reproduced"), (69.0, "reproduced"), (69.21, "differs")],
)
def test_on_the_whole_dataset_half_a_digit_and_a_twentieth_are_allowed(measured, word):
    assert verdict(measured) == word


def test_more_decimals_mean_less_tolerance():
    assert verdict(89.08, raw="89.040", unit="percent") == "reproduced"
    assert verdict(89.10, raw="89.040", unit="percent") == "differs"


@pytest.mark.parametrize(
    ("evidence", "word"),
    [("stated", "differs"), ("inferred", "reproduced"), ("guessed", "not comparable")],
)
def test_an_inferred_protocol_may_allow_more(evidence, word):
    result = judge(claim(evidence=evidence), 69.4, None, WHOLE, inferred_tolerance=0.3)
    assert result.verdict == word
    assert verdict(69.4, evidence="inferred") == "differs"


def test_a_tolerance_is_no_choice_of_evaluation():
    from posebench.types.protocol import Protocol

    axes = {"boxes": "gt", "flip": True, "shift": True, "decode": "dark", "nms": "none"}
    plain, wide = (
        Protocol(name="p", rescoring="none", tolerance=tolerance, **axes)
        for tolerance in (0.05, 0.3)
    )
    assert plain.hash == wide.hash and not plain.differences(wide)
    assert "tolerance" not in wide.model_dump()
    assert wide.with_choices(flip=False).tolerance == 0.05


def test_a_subset_neither_reproduces_nor_differs():
    assert verdict(69.1, (55.0, 78.0), PART) == "consistent (n=68)"
    assert verdict(40.0, (30.0, 50.0), PART) == "outside the interval (n=68)"
    assert verdict(69.1, None, PART) == "not comparable"


def test_few_images_or_an_interval_without_width_say_nothing():
    assert verdict(40.0, (30.0, 50.0), Basis(False, 100, 29)) == "too few images (n=100)"
    assert verdict(40.0, (30.0, 50.0), Basis(False, 30, 30)) == "outside the interval (n=30)"
    assert verdict(40.0, (40.0, 40.0), PART) == "too few images (n=68)"
    assert verdict(40.0, (40.0, 40.0), Basis(True, 100, 29)) == "differs"


def test_the_claims_own_rounding_counts_at_the_edge_of_the_interval():
    assert verdict(60.0, (50.0, 69.06), PART) == "consistent (n=68)"
    assert verdict(60.0, (50.0, 69.04), PART) == "outside the interval (n=68)"


def test_claims_that_are_judged_together_have_wider_intervals():
    alone = judge(claim(), 60.0, (55.0, 65.0), PART)
    together = judge(claim(), 60.0, (55.0, 65.0), PART, verdict_interval=(50.0, 70.0))
    assert (alone.verdict, together.verdict) == (
        "outside the interval (n=68)",
        "consistent (n=68)",
    )
    assert together.interval == (55.0, 65.0)
    assert together.verdict_interval == (50.0, 70.0)
    whole = judge(claim(), 60.0, (55.0, 65.0), WHOLE, verdict_interval=(50.0, 70.0))
    assert (whole.verdict, whole.verdict_interval) == ("differs", None)


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("reproduced", "good"),
        ("differs", "bad"),
        ("consistent (n=68)", "neutral"),
        ("outside the interval (n=68)", "neutral"),
        ("too few images (n=68)", "neutral"),
        ("not comparable", "other"),
        ("no claim", "other"),
        ("differs (n=68)", "other"),
        ("something new", "other"),
    ],
)
def test_only_whole_datasets_are_green_or_red(verdict, expected):
    assert tone(verdict) == expected
    assert is_neutral(verdict) == (expected == "neutral")


def test_an_unmet_axis_is_not_comparable_and_named():
    result = judge(claim(), 71.0, (70, 72), WHOLE, axes=("box_file: a -> b",))
    assert result.verdict == "not comparable"
    assert result.axes == ("box_file: a -> b",)
    assert result.difference == pytest.approx(1.9)


def test_a_guess_never_differs():
    assert verdict(50.0, evidence="guessed") == "not comparable"
    assert verdict(40.0, (30.0, 50.0), PART, evidence="guessed") == "not comparable"
    assert verdict(69.0, (60.0, 72.0), PART, evidence="guessed") == "consistent (n=68)"
    assert verdict(69.1, evidence="guessed") == "reproduced"
    assert verdict(50.0, evidence="inferred") == "differs"


def test_what_was_not_measured_has_no_claim():
    assert verdict(None) == "no claim"
    assert verdict(float("nan")) == "no claim"
