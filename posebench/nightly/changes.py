"""This night's numbers compared with earlier ones: what moved, and whether it counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Any, Literal

from posebench.nightly.observation import CEILING, Observation, Value
from posebench.nightly.suite import SpeedRule, Suite
from posebench.records.verdict import DIFFERS
from posebench.types.base import Frozen

EXACT = 1e-6  # percent points: what is left of the same number after a round trip
NORMAL = 1.4826  # MAD -> standard deviation of normal noise (Rousseeuw & Croux 1993)
# What others did to the machine, and what cannot be; such a timing says nothing about the model.
DISTURBANCES = ("other processes", "slowed down", "inconsistent")
GONE = "no number any more"

State = Literal["same", "new", "better", "changed", "worse", "failed", "not judged"]


class Check(Frozen):
    """One number compared with earlier nights: a test case.

    Attributes:
        what: Name of the number; empty for a cell that gave none.
        state: ``changed`` and ``worse`` are regressions, ``failed`` could not be run.
        before: Of the last good night; the usual rate of a timing.
        since: When ``before`` was measured, its last time.
        unit: Of a rate; empty for percent.
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
    unit: str = ""
    words: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def bad(self) -> bool:
        """Whether it is a regression."""
        return self.state in ("changed", "worse")


def baseline(now: Observation, past: Sequence[Observation]) -> list[Observation]:
    """Return the good observations of the same key in other nights, from the last accepted on."""
    same = [each for each in past if each.key == now.key and each.night != now.night and each.good]
    accepted = [index for index, each in enumerate(same) if each.accepted]
    return same[accepted[-1] :] if accepted else same


def compare(now: Observation, past: Sequence[Observation], suite: Suite) -> list[Check]:
    """Compare one night's observation of a cell with earlier ones.

    Args:
        now: Of this night.
        past: Of the same cell, from old to new; other hardware and this night may be among them.
        suite: Its thresholds.

    Returns:
        One check a number; a single one for a cell that failed.
    """
    usual = baseline(now, past)
    last = usual[-1] if usual else None
    if now.failure is not None:
        since = last.created if last else None
        return [_check(now, "", Value(measured=None), "failed", since=since, words=now.failure)]
    gone = {
        name: value.model_copy(update={"measured": None, "verdict": ""})
        for name, value in (last.values if last else {}).items()
        if name not in now.values
    }
    checks = []
    for name, value in (now.values | gone).items():
        if name == CEILING:
            continue
        known = [each for each in usual if name in each.values]
        before = [each.values[name] for each in known]
        if now.kind == "speed":
            state, words, usually = _rate(value, before, disturbed(now), suite.speed)
        else:
            state, words, usually = _score(value, before, suite)
        since = known[-1].created if known else None
        checks.append(_check(now, name, value, state, before=usually, since=since, words=words))
    return checks


def disturbed(now: Observation) -> str:
    """Return what others did to the machine meanwhile; empty if nothing is known."""
    return "; ".join(f for f in now.flags if any(word in f for word in DISTURBANCES))


def _check(now: Observation, what: str, value: Value, state: State, **found: Any) -> Check:
    cell = {name: getattr(now, name) for name in ("key", "kind", "entry", "dataset")}
    published = value.model_dump(exclude={"measured"})
    return Check(**cell, **published, what=what, state=state, now=value.measured, **found)


def _score(value: Value, past: Sequence[Value], suite: Suite) -> tuple[State, str, float | None]:
    differs = value.verdict == DIFFERS  # what is said of a subset never counts
    if not past:
        if suite.claims_must_hold and differs:
            return "worse", f"the claim is {value.claimed:.6g}, and has to hold", None
        return "new", "", None
    last = past[-1]
    state, words = _moved(value.measured, last.measured, past[0].measured, suite)
    if state in ("same", "better") and differs and last.verdict != DIFFERS:
        state, words = "worse", f"was {last.verdict}, now {value.verdict}"
    return state, words, last.measured


def _moved(
    now: float | None, before: float | None, first: float | None, suite: Suite
) -> tuple[State, str]:
    if now is None or before is None:
        if now is before:
            return "same", ""
        return ("worse", GONE) if now is None else ("better", "")
    step = now - before
    if suite.exact:
        if abs(step) <= EXACT:
            return "same", ""
        return "changed", f"moved by {step:+.4f} points; the same number was expected"
    allowed = f"allowed are {suite.tolerance:g}"
    if step < -suite.tolerance:
        return "worse", f"lost {-step:.2f} points, {allowed}"
    if first is not None and now < first - suite.tolerance:
        return "worse", f"lost {first - now:.2f} points little by little, {allowed}"
    return ("better", f"gained {step:.2f} points") if step > suite.tolerance else ("same", "")


def _rate(
    value: Value, past: Sequence[Value], others: str, rule: SpeedRule
) -> tuple[State, str, float | None]:
    rates = [each.measured for each in past if each.measured]
    if not rates:
        return "new", others, None
    state, words, level = judge_rate(value.measured or 0.0, rates, rule)
    if value.measured is None:
        state, words = "worse", GONE
    if state == "worse" and others:
        state, words = "not judged", f"{words}, but {others}"
    return state, words, level


def judge_rate(now: float, past: Sequence[float], rule: SpeedRule) -> tuple[State, str, float]:
    """Tell a change of a rate from the spread of nights.

    Two tests.  The last ``window`` nights: the loss has to exceed ``drop`` and ``spreads`` robust
    standard deviations.  The first ``window`` nights, once there are twice as many: the median of
    the last ``nights`` is compared with theirs, which sees what gets slower little by little.

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
