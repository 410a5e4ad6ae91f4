"""Explanation: why a measurement under one protocol is not the number under another."""

from __future__ import annotations

from typing import Any

from posebench.types.base import Frozen
from posebench.types.protocol import Protocol

SMALLEST = 0.05  # points that a sentence still speaks of


class Share(Frozen):
    """What one axis is worth between two protocols.

    Attributes:
        axis: ``boxes``, ``flip``, ``decode``, ...; axes that belong together move as one.
        start: Its value in the first protocol, in words.
        end: Its value in the second.
        value: Points of the metric that the change is worth: the mean over all orders of
            changing the axes one after the other (Shapley), so that no order is preferred.
    """

    axis: str
    start: str
    end: str
    value: float


class Cell(Frozen):
    """One combination of choices and what it gives.

    Attributes:
        choices: Axis -> value in words.
        measured: Of the metric; None where nothing counts.
        distance: measured - claim; None without a claim.
    """

    choices: dict[str, str]
    measured: float | None
    distance: float | None


class Explanation(Frozen):
    """Where the points between a claim's protocol and another one go.

    Attributes:
        entry: ``zoo/id``.
        metric: That is explained.
        claim: The published value; None where there is none.
        start: The claim's protocol as it could be met.
        end: The protocol asked for.
        measured_start: Under ``start``; ``measured_end`` likewise.
        shares: One an axis that differs; they sum to measured_end - measured_start.
        grid: Every combination tried, nearest to the claim first.
        unmet: Axes of the claim's protocol that could not be met, in words.
        persons: Annotated persons that count.
        complete: Whether the whole published split was evaluated.
    """

    entry: str
    dataset: str
    metric: str
    claim: float | None
    start: Protocol
    end: Protocol
    measured_start: float
    measured_end: float
    shares: tuple[Share, ...]
    grid: tuple[Cell, ...]
    unmet: tuple[str, ...] = ()
    persons: int
    complete: bool
    notes: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Say where the points go, the largest share first."""
        claim = "" if self.claim is None else f"claim {self.claim:.1f}; "
        parts = [
            f"{share.start} instead of {share.end} {share.value:+.1f}"
            for share in ((s.model_copy(update={"value": -s.value})) for s in self.shares)
            if abs(share.value) >= SMALLEST
        ]
        given = f"measured {self.measured_start:.1f} under the claim's protocol"
        other = f"{self.measured_end:.1f} under {self.end.label}"
        worth = f": {', '.join(parts)}" if parts else ""
        return f"{claim}{self.metric} {given} and {other}{worth}."

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``json.dumps``."""
        return self.model_dump(mode="json") | {"sentence": self.sentence()}
