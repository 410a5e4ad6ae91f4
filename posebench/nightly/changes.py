"""This night's numbers beside earlier ones: what moved, and whether it counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Literal

from posebench.nightly.observation import CEILING, Observation, Value
from posebench.nightly.suite import SpeedRule, Suite
from posebench.records.verdict import DIFFERS
from posebench.types.base import Frozen

EXACT = 1e-6  # percent points: what is left of the same number after a round trip
NORMAL = 1.4826  # MAD -> standard deviation of normal noise (Rousseeuw & Croux 1993)
# What others did to the machine, and what cannot be; such a timing says nothing about the model.
DISTURBANCES = ("other processes", "slowed down", "inconsistent")

State = Literal["same", "new", "better", "changed", "worse", "failed", "not judged"]
BAD = ("changed", "worse")


class Check(Frozen):
    """One number held against earlier nights: a test case.

    Attributes:
        what: Name of the number; empty for a cell that gave none.
        state: ``changed`` and ``worse`` are regressions, ``failed`` could not be run.
        before: Of the last good night; the usual rate of a timing.
        since: When ``before`` was measured, its last time.
        words: What the state means here.
        reasons: What may have caused it, the likeliest first.
    """

    key: str
    kind: Literal["eval", "speed"]
    entry: str
    dataset: str
    what: str
    state: State
    now: float | None = None
    before: float | None = None
    since: datetime | None = None
    claimed: float | None = None
    verdict: str = ""
    protocol: str = ""
    words: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def bad(self) -> bool:
        """Whether it is a regression."""
        return self.state in BAD


def baseline(past: Sequence[Observation], key: str) -> list[Observation]:
    """Return the good observations of a key, from the last one that was accepted on."""
    same = [each for each in past if each.key == key and each.good]
    accepted = [index for index, each in enumerate(same) if each.accepted]
    return same[accepted[-1] :] if accepted else same


def compare(now: Observation, past: Sequence[Observation], suite: Suite) -> list[Check]:
    """Hold one night's observation of a cell against earlier ones.

    Args:
        now: Of this night.
        past: Of the same cell, from old to new, other hardware among them.
        suite: Its thresholds.

    Returns:
        One check a number; a single one for a cell that failed.
    """
    usual = baseline(past, now.key)
    if now.failure is not None:
        last = usual[-1].created if usual else None
        return [_check(now, "", Value(measured=None), "failed", since=last, words=now.failure)]
    if now.kind == "speed":
        checks = [
            _rate(now, name, value, usual, suite.speed)
            for name, value in now.values.items()
            if name != CEILING
        ]
    else:
        checks = [_score(now, name, value, usual, suite) for name, value in now.values.items()]
    return checks


def disturbed(now: Observation) -> str:
    """Return what others did to the machine meanwhile; empty if nothing is known."""
    return "; ".join(f for f in now.flags if any(word in f for word in DISTURBANCES))


def _check(
    now: Observation,
    what: str,
    value: Value,
    state: State,
    *,
    before: float | None = None,
    since: datetime | None = None,
    words: str = "",
) -> Check:
    return Check(
        key=now.key,
        kind=now.kind,
        entry=now.entry,
        dataset=now.dataset,
        what=what,
        state=state,
        now=value.measured,
        before=before,
        since=since,
        claimed=value.claimed,
        verdict=value.verdict,
        protocol=value.protocol,
        words=words,
    )


def _score(
    now: Observation, name: str, value: Value, usual: Sequence[Observation], suite: Suite
) -> Check:
    known = [each for each in usual if name in each.values]
    differs = value.verdict.startswith(DIFFERS)
    if not known:
        if suite.claims_must_hold and differs:
            words = f"the claim is {value.claimed:.6g}, and has to hold"
            return _check(now, name, value, "worse", words=words)
        return _check(now, name, value, "new")
    last = known[-1]
    before = last.values[name]
    state, words = _moved(value, before, known[0].values[name], suite)
    if state in ("same", "better") and differs and not before.verdict.startswith(DIFFERS):
        state, words = "worse", f"was {before.verdict}, now {value.verdict}"
    return _check(now, name, value, state, before=before.measured, since=last.created, words=words)


def _moved(now: Value, before: Value, first: Value, suite: Suite) -> tuple[State, str]:
    if now.measured is None or before.measured is None:
        if now.measured is before.measured:
            return "same", ""
        return ("worse", "no number any more") if now.measured is None else ("better", "")
    step = now.measured - before.measured
    if suite.exact:
        if abs(step) <= EXACT:
            return "same", ""
        return "changed", f"moved by {step:+.4f} points; the same number was expected"
    if step < -suite.tolerance:
        return "worse", f"lost {-step:.2f} points, allowed are {suite.tolerance:g}"
    if first.measured is not None and now.measured < first.measured - suite.tolerance:
        lost = first.measured - now.measured
        return "worse", f"lost {lost:.2f} points little by little, allowed are {suite.tolerance:g}"
    if step > suite.tolerance:
        return "better", f"gained {step:.2f} points"
    return "same", ""


def _rate(
    now: Observation, name: str, value: Value, usual: Sequence[Observation], rule: SpeedRule
) -> Check:
    known = [(o.created, o.values[name].measured) for o in usual if name in o.values]
    rates = [rate for _, rate in known if rate]
    others = disturbed(now)
    if not rates or not value.measured:
        return _check(now, name, value, "new", words=others)
    state, words, level = judge_rate(value.measured, rates, rule)
    if state == "worse" and others:
        state, words = "not judged", f"{words}, but {others}"
    return _check(now, name, value, state, before=level, since=known[-1][0], words=words)


def judge_rate(now: float, past: Sequence[float], rule: SpeedRule) -> tuple[State, str, float]:
    """Tell a change of a rate from the spread of nights.

    Two tests.  The last ``window`` nights: the loss has to exceed ``drop`` and ``spreads`` robust
    standard deviations.  The first ``window`` nights, once there are twice as many: the median of
    the last ``nights`` is held against theirs, which sees what gets slower little by little.

    Args:
        now: Persons a second.
        past: The same in good nights, from old to new, at least one.
        rule: Thresholds.

    Returns:
        State, what it means, and the usual rate.
    """
    level, allowed = _level(past[-rule.window :], rule)
    change = now / level - 1
    count = min(len(past), rule.window)
    nights = f"{count} good night{'s' * (count > 1)}"
    if change < -allowed:
        return "worse", f"{-change:.0%} slower than {nights}; {allowed:.0%} are allowed", level
    if change > allowed:
        return "better", f"{change:.0%} faster than {nights}", level
    if len(past) >= 2 * rule.window:
        first, room = _level(past[: rule.window], rule)
        drift = median([*past[-(rule.nights - 1) :], now]) / first - 1
        if drift < -room and now < first * (1 - room):
            return "worse", f"{-drift:.0%} slower than the first {rule.window} nights", first
    return "same", "", level


def _level(rates: Sequence[float], rule: SpeedRule) -> tuple[float, float]:
    """The usual rate, and the share of it that may be lost."""
    level = median(rates)
    if len(rates) < rule.nights:
        return level, rule.first_drop
    spread = NORMAL * median(abs(rate - level) for rate in rates) / level
    return level, max(rule.drop, rule.spreads * spread)
