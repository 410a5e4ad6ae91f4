"""Likely reasons: what differs in what a record says about its making."""

from __future__ import annotations

import pytest
from nightly_runs import START
from refusals import assert_mentions

from posebench.nightly.changes import Check
from posebench.nightly.observation import CEILING, FORWARD, WHOLE, Observation, Value
from posebench.nightly.reasons import changed_facts, with_reasons
from posebench.registry.loader import shipped_registry

pytestmark = pytest.mark.light

FACTS = {
    "torch": "2.12.0",
    "OpenCV": "4.13.0",
    "scorer": "coco_oks 1",
    "accelerator and driver": "a GPU (driver 550)",
    "weights": "aaaa",
    "dataset": "420 images, bbbb",
    "code of inference": "cccc",
    "predictions": "dddd",
    "protocol": "demo_gt_flip@1, eeee",
    "commit": "1111",
}


def seen(kind="eval", values=None, **facts) -> Observation:
    common = {"key": "k", "entry": "demo/demo_s", "dataset": "synthetic", "device": "cpu"}
    more = {"night": "n", "created": START, "kind": kind, "good": True}
    return Observation(**common, **more, values=values or {}, facts=FACTS | facts)


def check(what="AP under demo_gt_flip@1", state="worse", kind="eval", protocol="demo_gt_flip@1"):
    fields = {"key": "k", "entry": "demo/demo_s", "dataset": "synthetic", "kind": kind}
    return Check(**fields, what=what, state=state, protocol=protocol)


def reasons(now, before, *checks):
    protocols = shipped_registry().protocols
    return with_reasons(checks or [check()], {"k": now}, {"k": before}, protocols)[0].reasons


ALWAYS = ("torch", "OpenCV", "weights", "code of inference")
NAMED = [(kind, fact) for kind in ("eval", "speed") for fact in ALWAYS]
NAMED += [("eval", fact) for fact in ("scorer", "dataset", "protocol")]
NAMED += [("speed", "accelerator and driver")]


@pytest.mark.parametrize(("kind", "fact"), NAMED)
def test_each_fact_is_named(kind, fact):
    now = seen(kind, **{fact: "new", "predictions": "ffff"})
    (reason,) = reasons(now, seen(kind), check(kind=kind))
    assert reason == f"{fact}: {FACTS[fact]} -> new"


def test_what_explains_most_comes_first():
    now = seen(torch="2.13.0", weights="new", OpenCV="5.0", commit="2222", predictions="ffff")
    assert reasons(now, seen()) == (
        "weights: aaaa -> new",
        "OpenCV: 4.13.0 -> 5.0",
        "torch: 2.12.0 -> 2.13.0",
        "commit 1111 -> 2222",
    )
    assert [name for name, _ in changed_facts(now, seen())] == [
        *("weights", "OpenCV", "torch", "commit")
    ]


def test_a_fact_that_no_list_knows_comes_last():
    now = seen(torch="2.13.0", predictions="ffff", **{"code of a new room": "new"})
    assert reasons(now, seen()) == (
        "torch: 2.12.0 -> 2.13.0",
        "code of a new room: none -> new",
    )


def test_the_same_predictions_leave_only_what_comes_after_them():
    now = seen(torch="2.13.0", scorer="coco_oks 2")
    first, scorer = reasons(now, seen())
    assert_mentions(first, "predictions are the same")
    assert scorer == "scorer: coco_oks 1 -> coco_oks 2"


def test_nothing_known_is_said():
    (only,) = reasons(seen(predictions="ffff"), seen())
    assert_mentions(only, "nothing", "changed")


def rates(forward, whole, ceiling):
    found = {FORWARD: forward, WHOLE: whole, CEILING: ceiling}
    return seen("speed", {name: Value(measured=value) for name, value in found.items()})


@pytest.mark.parametrize(
    ("now", "what", "names"),
    [
        (rates(50, 20, 100), FORWARD, ("the network itself",)),
        (rates(50, 20, 55), FORWARD, ("the machine", "matrix products", "45%")),
        (rates(99, 10, 100), WHOLE, ("network alone", "not slower")),
    ],
)
def test_where_it_is_slow_is_said(now, what, names):
    first = reasons(now, rates(100, 40, 100), check(what, kind="speed"))[0]
    assert_mentions(first, *names)


def test_what_all_that_moved_have_in_common_is_said():
    same = [check(protocol=p, state="same") for p in ("demo_gt_flip@1", "demo_gt_noflip@1")]
    moved = check(protocol="demo_det_flip@1")
    assert reasons(seen(predictions="f"), seen(), moved, *same)[-1].startswith(
        "only protocols with detector boxes"
    )
    assert len(reasons(seen(predictions="f"), seen(), moved)) == 1
