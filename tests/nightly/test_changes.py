"""When a number counts as moved: exactly, by a tolerance, by the spread of nights."""

from __future__ import annotations

import numpy as np
import pytest
from nightly_runs import START, suite

from posebench.nightly.changes import compare, judge_rate
from posebench.nightly.observation import Observation, Value
from posebench.nightly.suite import SpeedRule

RULE = SpeedRule()
NAME = "AP under demo_gt_flip@1"

pytestmark = pytest.mark.light


def seen(measured, verdict="reproduced", **changes) -> Observation:
    value = Value(measured=measured, claimed=60.0, verdict=verdict, protocol="demo_gt_flip@1")
    fields = {"key": "eval demo/demo_s", "kind": "eval", "entry": "demo/demo_s", "good": True}
    more = {"dataset": "synthetic", "device": "cpu", "night": "n", "created": START}
    return Observation(**(fields | more | {"values": {NAME: value}} | changes))


def state(now, past, **changes) -> str:
    (check,) = compare(now.model_copy(update={"night": "now"}), past, suite(**changes))
    return check.state


@pytest.mark.parametrize(
    ("now", "exact", "expected"),
    [
        (60.0, True, "same"),
        (60.0 + 1e-9, True, "same"),
        (60.001, True, "changed"),
        (59.999, True, "changed"),
        (59.95, False, "same"),
        (59.85, False, "worse"),
        (60.05, False, "same"),
        (60.15, False, "better"),
        (None, True, "worse"),
        (None, False, "worse"),
    ],
)
def test_accuracy(now, exact, expected):
    assert state(seen(now), [seen(60.0)], exact=exact) == expected


def test_small_losses_add_up():
    past = [seen(60.0), seen(59.94)]
    assert state(seen(59.92), past, exact=False) == "same"
    assert state(seen(59.88), past, exact=False) == "worse"
    accepted = [seen(60.0), seen(59.94, accepted=True)]
    assert state(seen(59.88), accepted, exact=False) == "same"


def test_a_claim_that_holds_no_longer_is_worse_within_the_tolerance():
    past = [seen(59.94)]
    assert state(seen(59.90, "differs"), past, exact=False) == "worse"
    assert state(seen(59.90, "differs"), [seen(59.94, "differs")], exact=False) == "same"


@pytest.mark.parametrize(
    "verdict", ["outside the interval (n=85)", "too few images (n=5)", "differs (n=85)"]
)
def test_a_subset_is_never_a_regression(verdict):
    """Histories of earlier versions call it ``differs (n=...)``."""
    now = seen(60.0, verdict)
    assert state(now, [], claims_must_hold=True) == "new"
    assert state(now, [seen(60.0, "reproduced")], exact=False) == "same"
    assert state(seen(60.0, "differs"), [], claims_must_hold=True) == "worse"
    assert state(seen(60.0, "differs"), [now], exact=False) == "worse"


def test_only_good_nights_of_the_same_key_are_held_against():
    other, bad = seen(70.0, key="elsewhere"), seen(70.0, good=False)
    assert state(seen(60.0), [other, bad]) == "new"
    assert state(seen(60.0), [seen(60.0), other, bad]) == "same"


def test_a_night_is_not_compared_with_itself():
    (check,) = compare(seen(60.0), [seen(70.0)], suite())
    assert check.state == "new"


@pytest.mark.parametrize(
    "words", ["consistent (n=31)", "outside the interval (n=31)", "too few images (n=4)"]
)
def test_what_is_said_of_a_subset_is_never_a_regression(words):
    strict = {"claims_must_hold": True, "exact": False}
    assert state(seen(60.0, words), [], **strict) == "new"
    assert state(seen(60.0, words), [seen(60.0)], **strict) == "same"
    assert state(seen(60.0, "differs"), [seen(60.0, words)], **strict) == "worse"


@pytest.mark.parametrize("kind", ["eval", "speed"])
def test_a_number_that_is_gone_is_worse(kind):
    past = seen(60.0, kind=kind)
    values = past.values | {"another": Value(measured=50.0)}
    now = past.model_copy(update={"night": "now"})
    checks = compare(now, [past.model_copy(update={"values": values})], suite(exact=False))
    assert [(check.what, check.state, check.now) for check in checks] == [
        (NAME, "same", 60.0),
        ("another", "worse", None),
    ]
    assert checks[1].words == "no number any more"


def test_few_nights_allow_more():
    assert judge_rate(75.0, [100.0], RULE)[0] == "same"
    assert judge_rate(65.0, [100.0], RULE)[0] == "worse"
    assert judge_rate(90.0, [100.0] * 5, RULE)[0] == "worse"
    assert judge_rate(96.0, [100.0] * 5, RULE)[0] == "same"
    assert judge_rate(110.0, [100.0] * 5, RULE)[0] == "better"


def test_one_wild_night_changes_little():
    past = [100.0, 101.0, 99.0, 100.5, 20.0, 99.5]
    assert judge_rate(93.0, past, RULE)[0] == "worse"


def test_a_wide_spread_allows_more():
    past = [100.0, 120.0, 80.0, 110.0, 90.0, 100.0]
    assert judge_rate(75.0, past, RULE)[0] == "same"
    assert judge_rate(50.0, past, RULE)[0] == "worse"


def test_false_alarms_are_rare_and_losses_are_seen():
    """Noise of 3 % with one night in twenty much slower, as on a shared machine."""
    random = np.random.default_rng(2)
    alarms, caught, tries = 0, 0, 2000
    for _ in range(tries):
        rates = 100 * np.exp(random.normal(0, 0.03, 21))
        rates[:-1][random.random(20) < 0.05] *= 0.6
        now, past = float(rates[-1]), rates[:-1].tolist()
        alarms += judge_rate(now, past, RULE)[0] == "worse"
        caught += judge_rate(0.8 * now, past, RULE)[0] == "worse"
    assert alarms / tries < 0.02
    assert caught / tries > 0.9


def test_what_gets_slower_little_by_little_is_seen():
    rates = [100.0 * 0.995**night for night in range(60)]
    states = [judge_rate(rates[n], rates[:n], RULE)[0] for n in range(1, 60)]
    assert "worse" in states
    flat = [100.0 + (night % 3 - 1) for night in range(200)]
    assert {judge_rate(flat[n], flat[:n], RULE)[0] for n in range(1, 200)} == {"same"}
