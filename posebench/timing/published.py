"""What zoos say about speed, in persons/s, beside what was inside their clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from posebench.types.entry import Claim, Entry

# AlphaPose's validation script counts iterations of 64 persons.
ALPHAPOSE_BATCH = 64
RATES: dict[str, Callable[[float], float]] = {
    "iter/s": lambda value: value * ALPHAPOSE_BATCH,
    "images/s": lambda value: value,
    "persons/s": lambda value: value,
    "frames/s": lambda value: value,  # LPN's figure: one person a frame
    "ms": lambda value: 1000.0 / value,  # PP-TinyPose: for one person
}


@dataclass(frozen=True)
class PublishedSpeed:
    """A speed a page claims. It was made on other hardware: to be shown, never to be judged.

    Attributes:
        persons_per_second: Converted.
        raw: As published, with its unit.
        hardware: As published.
        scope: What was inside the clock, as far as it is known.
    """

    persons_per_second: float
    raw: str
    hardware: str
    scope: str

    @property
    def words(self) -> str:
        """Return everything in one line."""
        return (
            f"{self.persons_per_second:,.1f} persons/s ({self.raw}) on {self.hardware}: "
            f"{self.scope}"
        )


def published_speeds(entry: Entry) -> tuple[PublishedSpeed, ...]:
    """Return the speeds that an entry's page claims, in their order; none takes no time."""
    return tuple(
        _convert(claim)
        for claim in entry.claims
        if claim.metric == "speed" and claim.unit in RATES and claim.value > 0
    )


def _convert(claim: Claim) -> PublishedSpeed:
    return PublishedSpeed(
        RATES[claim.unit](claim.value),
        f"{claim.raw} {claim.unit}",
        claim.hardware or "hardware not stated",
        claim.scope or "scope not stated",
    )
