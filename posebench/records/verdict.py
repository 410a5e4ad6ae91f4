"""Claim and measurement -> one word that says what the measurement means for the claim."""

from __future__ import annotations

import math

from posebench.types.entry import Claim
from posebench.types.record import ClaimResult

TOLERANCE = 0.05  # percent points beside half the claim's last digit: OpenCV and rounding

REPRODUCED = "reproduced"
DIFFERS = "differs"
NOT_COMPARABLE = "not comparable"
NO_CLAIM = "no claim"


def judge(
    claim: Claim,
    measured: float | None,
    interval: tuple[float, float] | None,
    *,
    axes: tuple[str, ...] = (),
    complete: bool,
    persons: int,
    scores: dict[str, float | None] | None = None,
    inferred_tolerance: float = TOLERANCE,
) -> ClaimResult:
    """Compare one measurement with one claim.

    On the whole dataset the claim is reproduced within half a unit of its last published digit
    plus 0.05 points, or plus the protocol's own tolerance where it is only inferred that the claim
    was made under it.  On a subset a claim can only be not contradicted (the interval contains
    it, its own rounding allowed for) or differ.  A protocol that was guessed, or that could not
    be met on some axis, is never held against a claim.

    Args:
        claim: Published number, percent.
        measured: Percent; None where the metric was not measured.
        interval: 95 % interval of the measurement.
        axes: Protocol axes that were not the claim's.
        complete: Whether the whole published split was evaluated.
        persons: Annotated persons that count.
        scores: All metrics of the claim's protocol, to be kept beside the verdict.
        inferred_tolerance: Points, for claims whose protocol is inferred (``Protocol.tolerance``).
    """
    difference = None if measured is None else measured - claim.value
    tolerance = inferred_tolerance if claim.evidence == "inferred" else TOLERANCE
    verdict = _word(
        claim, difference, interval, axes, tolerance, complete=complete, persons=persons
    )
    return ClaimResult(
        claim=claim,
        measured=measured,
        difference=difference,
        interval=interval,
        verdict=verdict,
        axes=axes,
        scores=scores or {},
    )


def _word(
    claim: Claim,
    difference: float | None,
    interval: tuple[float, float] | None,
    axes: tuple[str, ...],
    tolerance: float,
    *,
    complete: bool,
    persons: int,
) -> str:
    if difference is None or not math.isfinite(difference):
        return NO_CLAIM
    if axes:
        return NOT_COMPARABLE
    if complete:
        close = abs(difference) <= claim.resolution + tolerance + 1e-9
        verdict = REPRODUCED if close else DIFFERS
    elif interval is None:
        return NOT_COMPARABLE
    else:
        low, high = interval[0] - claim.resolution, interval[1] + claim.resolution
        inside = low <= claim.value <= high
        verdict = f"not contradicted (n={persons})" if inside else f"{DIFFERS} (n={persons})"
    if claim.evidence == "guessed" and verdict.startswith(DIFFERS):
        return NOT_COMPARABLE
    return verdict
