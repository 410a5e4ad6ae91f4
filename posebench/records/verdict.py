"""Claim and measurement -> one word that says what the measurement means for the claim."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from posebench.types.entry import Claim
from posebench.types.record import ClaimResult

TOLERANCE = 0.05  # percent points beside half the claim's last digit: OpenCV and rounding
FEWEST_IMAGES = 30  # with a person that counts: with fewer, the intervals hold too little

REPRODUCED = "reproduced"
DIFFERS = "differs"
NOT_COMPARABLE = "not comparable"
NO_CLAIM = "no claim"
# On a subset; "(n=...)" with the number of persons follows.
CONSISTENT = "consistent"
OUTSIDE = "outside the interval"
TOO_FEW = "too few images"
ON_SUBSET = (CONSISTENT, OUTSIDE, TOO_FEW)

Tone = Literal["good", "bad", "neutral", "other"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Basis:
    """What a measurement was made on.

    Attributes:
        complete: Whether it was the whole published split.
        persons: Annotated persons that count.
        images: Images with such a person.
    """

    complete: bool
    persons: int
    images: int


def judge(
    claim: Claim,
    measured: float | None,
    interval: Interval | None,
    basis: Basis,
    *,
    verdict_interval: Interval | None = None,
    axes: tuple[str, ...] = (),
    scores: dict[str, float | None] | None = None,
    inferred_tolerance: float = TOLERANCE,
) -> ClaimResult:
    """Compare one measurement with one claim.

    On the whole dataset the claim is reproduced within half a unit of its last published digit
    plus 0.05 points, or plus the protocol's own tolerance where it is only inferred that the claim
    was made under it.  On a subset the verdict says whether the interval contains the claim (its
    own rounding allowed for), or that there are too few images to say so; it accuses nobody and
    confirms nothing.  A protocol that was guessed, or anything that was not the claim's, is never
    compared with a claim.

    Args:
        claim: Published number, percent.
        measured: Percent; None where the metric was not measured.
        interval: 95 % interval of the measurement.
        basis: The data it was made on.
        verdict_interval: The wider one that several claims of one record are judged by together;
            by default the same.
        axes: What was not the claim's, as ``axis: claimed -> used``.
        scores: All metrics of the claim's protocol, to be kept with the verdict.
        inferred_tolerance: Points, for claims whose protocol is inferred (``Protocol.tolerance``).
    """
    difference = None if measured is None else measured - claim.value
    tolerance = inferred_tolerance if claim.evidence == "inferred" else TOLERANCE
    wide = verdict_interval or interval
    if difference is None or not math.isfinite(difference):
        verdict = NO_CLAIM
    elif axes:
        verdict = NOT_COMPARABLE
    elif basis.complete:
        close = abs(difference) <= claim.resolution + tolerance + 1e-9
        verdict = REPRODUCED if close else DIFFERS
    elif wide is None:
        verdict = NOT_COMPARABLE
    else:
        verdict = _on_subset(claim, wide, basis)
    if claim.evidence == "guessed" and verdict.startswith((DIFFERS, OUTSIDE)):
        verdict = NOT_COMPARABLE
    return ClaimResult(
        claim=claim,
        measured=measured,
        difference=difference,
        interval=interval,
        verdict_interval=wide if is_neutral(verdict) else None,
        verdict=verdict,
        axes=axes,
        scores=scores or {},
    )


def _on_subset(claim: Claim, interval: Interval, basis: Basis) -> str:
    if interval[0] == interval[1] or basis.images < FEWEST_IMAGES:
        word = TOO_FEW
    else:
        low, high = interval[0] - claim.resolution, interval[1] + claim.resolution
        word = CONSISTENT if low <= claim.value <= high else OUTSIDE
    return f"{word} (n={basis.persons})"


def is_neutral(verdict: str) -> bool:
    """Whether a verdict is one of a subset: it neither confirms nor accuses, and never counts."""
    return verdict.startswith(tuple(f"{word} (n=" for word in ON_SUBSET))


def tone(verdict: str) -> Tone:
    """Return how a verdict may be shown, by colour for example.

    Only ``reproduced`` is ``good`` and only ``differs`` is ``bad``; a subset's words are
    ``neutral``, everything else is ``other``.
    """
    if is_neutral(verdict):
        return "neutral"
    tones: dict[str, Tone] = {REPRODUCED: "good", DIFFERS: "bad"}
    return tones.get(verdict, "other")
