"""Why a number moved: what else changed since the last good night, the likeliest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from posebench.nightly.changes import Check
from posebench.nightly.observation import CEILING, FORWARD, WHOLE, Observation
from posebench.records.formatting import describe_axis
from posebench.types.protocol import Protocol

# Facts by how much they explain; those of the first line are causes by themselves.
ACCURACY = (
    ("weights", "dataset", "boxes", "protocol", "skipped", "coverage", "scorer"),
    ("code of networks", "code of inference", "code of adapters", "code of checkpoints"),
    ("code of datasets", "code of scoring", "code of run", "code of keypoints", "code of types"),
    ("code of registry", "code of records", "registry", "posebench"),
    ("crops", "OpenCV", "torch", "numpy", "platform", "processor", "Python"),
)
SPEED = (
    ("network's size", "accelerator and driver", "throttling", "threads", "governor"),
    ("weights", "code of networks", "code of inference", "code of speed", "torch"),
    ("OpenCV", "numpy", "code of adapters", "code of datasets", "registry", "posebench"),
    ("platform", "processor", "Python"),
)
# What changes with every commit explains nothing by itself.
CONTEXT = "commit"
# With the same predictions, only what comes after them can have moved a score.
AFTER_PREDICTIONS = (
    *("dataset", "protocol", "scorer", "code of scoring", "code of inference"),
    *("code of datasets", "code of run", "code of keypoints", "code of types", "registry"),
    *("posebench", "numpy"),
)
KNOWN = {CONTEXT, "predictions"} | {fact for line in (*ACCURACY, *SPEED) for fact in line}
AXES = ("boxes", "decode", "inverse", "rescoring", "nms", "scorer")
CLOSE = 0.5  # share of a slowdown that the machine's own must reach to explain it


def changed_facts(now: Observation, before: Observation) -> list[tuple[str, str]]:
    """Return (fact, ``old -> new``) of everything that differs, what explains most first.

    A fact that neither list of this module knows, such as a new folder of code, comes after them.
    """
    order = [fact for line in (ACCURACY if now.kind == "eval" else SPEED) for fact in line]
    unknown = sorted((now.facts.keys() | before.facts.keys()) - KNOWN)
    found = []
    for name in (*order, *unknown, CONTEXT):
        old, new = before.facts.get(name, ""), now.facts.get(name, "")
        if old != new:
            found.append((name, f"{old or 'none'} -> {new or 'none'}"))
    return found


def with_reasons(
    checks: Sequence[Check],
    now: Mapping[str, Observation],
    before: Mapping[str, Observation],
    protocols: Mapping[str, Protocol],
) -> list[Check]:
    """Add likely reasons to what moved.

    Args:
        checks: Of a whole night.
        now: Key -> this night's observation.
        before: Key -> the last good one.
        protocols: ``name@version`` -> protocol.
    """
    common = _common_choices(checks, protocols)
    found = []
    for check in checks:
        if (check.bad or check.state == "not judged") and check.key in before:
            causes = _causes(check, now[check.key], before[check.key])
            hints = [] if check.kind == "speed" else common
            check = check.model_copy(update={"reasons": (*causes, *hints)})
        found.append(check)
    return found


def _causes(check: Check, now: Observation, before: Observation) -> list[str]:
    facts = dict(changed_facts(now, before))
    context = [f"{CONTEXT} {facts.pop(CONTEXT)}"] if CONTEXT in facts else []
    found = []
    if check.kind == "speed":
        found = _where_it_is_slow(check, now, before)
    elif _same_predictions(check, now, before):
        found = ["the predictions are the same: what comes after them moved"]
        facts = {name: change for name, change in facts.items() if name in AFTER_PREDICTIONS}
    causes = [f"{name}: {change}" for name, change in facts.items()]
    return found + (causes or ["nothing that records know of has changed"]) + context


def _same_predictions(check: Check, now: Observation, before: Observation) -> bool:
    """Whether the digest speaks for this protocol, and is the old one."""
    primary = now.facts.get("protocol", "").partition(",")[0]
    digest = now.facts.get("predictions")
    return bool(digest) and primary == check.protocol and digest == before.facts.get("predictions")


def _where_it_is_slow(check: Check, now: Observation, before: Observation) -> list[str]:
    loss = {
        name: 1 - (now.values[name].measured or 0) / (before.values[name].measured or 1)
        for name in (FORWARD, WHOLE, CEILING)
        if name in now.values and name in before.values
    }
    own, machine = loss.get(check.what, 0.0), loss.get(CEILING, 0.0)
    if own > 0 and machine > CLOSE * own:
        return [f"the machine is slower: its matrix products lost {machine:.0%}"]
    if check.what == WHOLE and loss.get(FORWARD, own) < CLOSE * own:
        return ["the network alone is not slower: reading, cropping or decoding is"]
    if check.what == FORWARD and own > 0:
        return ["the network itself: the machine's matrix products did not slow down like it"]
    return []


def _common_choices(checks: Sequence[Check], protocols: Mapping[str, Protocol]) -> list[str]:
    """Choices of evaluation that everything which moved has, and nothing which stayed."""
    scores = [check for check in checks if check.kind == "eval" and check.protocol in protocols]
    moved = {check.protocol for check in scores if check.bad}
    # a protocol of which one metric moved has moved
    stayed = {check.protocol for check in scores if check.state == "same"} - moved
    for axis in ("flip", *AXES) if moved and stayed else ():
        with_it = {_choice(protocols[name], axis) for name in moved}
        if not with_it & {_choice(protocols[name], axis) for name in stayed}:
            return [f"only protocols with {' or '.join(sorted(with_it))} moved"]
    return []


def _choice(protocol: Protocol, axis: str) -> str:
    if axis != "flip":
        return describe_axis(protocol, axis)
    if not protocol.flip:
        return "no flip"
    return "a flip test shifted by one cell" if protocol.shift else "a flip test without shift"
