"""Records -> the rows of the claims table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from posebench.records.store import file_name
from posebench.records.verdict import Tone, tone
from posebench.records.words import claimed, is_subset, protocol_words, subset_words, verdict_words
from posebench.types.protocol import Protocol
from posebench.types.record import ClaimResult, Record

# The tones of verdicts, in the order in which they are counted.
TONES = get_args(Tone)


@dataclass(frozen=True)
class ClaimRow:
    """One line of the claims table.

    Attributes:
        entry: ``zoo/id``; ``name`` is the id alone.
        dataset: That was evaluated.
        primary: Whether it is the claim that speaks for the model.
        claimed: As published, in percent where the page had a fraction.
        measured: Percent; None where it was not measured.
        difference: measured - claimed.
        interval: 95 % interval of ``measured``.
        tone: See ``posebench.records.verdict.tone``.
        meaning: The verdict as a sentence.
        protocol: Key of the protocol.
        protocol_words: Its choices in words; empty where nothing says them.
        evidence: Whether the page states the protocol, or it was inferred or guessed.
        axes: Choices of the claim's protocol that could not be met.
        persons: Annotated persons that counted.
        data: The part of the dataset in words.
        coverage: Share of the weights that came from the checkpoint, percent.
        page: Address of the model's page, from the front page.
        record: Address of the record.
    """

    entry: str
    zoo: str
    name: str
    title: str
    dataset: str
    metric: str
    primary: bool
    claimed: str
    measured: float | None
    difference: float | None
    interval: tuple[float, float] | None
    verdict: str
    tone: str
    meaning: str
    protocol: str
    protocol_words: str
    evidence: str
    axes: tuple[str, ...]
    images: int
    persons: int
    data: str
    subset: bool
    coverage: float | None
    page: str
    record: str


def claim_rows(
    records: Sequence[Record], protocols: Mapping[str, Protocol] | None = None
) -> tuple[ClaimRow, ...]:
    """Return one row for each claim, measured last under its protocol on its data.

    Args:
        records: From old to new.
        protocols: Key -> protocol, beside those that the records carry.
    """
    known = dict(protocols or {}) | known_protocols(records)
    latest: dict[tuple[object, ...], ClaimRow] = {}
    for record in records:
        for result in record.claims:
            key = (record.entry.key, record.environment.device, result.claim, _data_key(record))
            # the newest stands where it was measured, not where the oldest was
            latest.pop(key, None)
            latest[key] = _row(record, result, known)
    return tuple(sorted(latest.values(), key=lambda row: (row.dataset, row.entry, row.subset)))


def known_protocols(records: Sequence[Record]) -> dict[str, Protocol]:
    """Return the named protocols that records carry, by key."""
    carried = [r.protocol for r in records if r.protocol] + [
        other.protocol for r in records for other in r.official_scores
    ]
    return {protocol.key: protocol for protocol in carried if protocol.name != "custom"}


def counts(rows: Sequence[ClaimRow]) -> tuple[tuple[str, str, int], ...]:
    """Count verdicts; what a subset shows stays apart from what the whole dataset shows.

    Returns:
        (verdict, tone, number of claims), ``TONES`` in their order.
    """
    found = Counter(
        (row.verdict.partition(" (n=")[0] + (" (subset)" if row.subset else ""), row.tone)
        for row in rows
    )
    by_tone = sorted(found.items(), key=lambda item: (TONES.index(item[0][1]), item[0][0]))
    return tuple((verdict, kind, count) for (verdict, kind), count in by_tone)


def page_name(key: str) -> str:
    """Return the address of a model's page, from the front page, for its ``zoo/id``."""
    return f"models/{key.replace('/', '-')}.html"


def record_name(record: Record) -> str:
    """Return the address of a record's copy, from the front page."""
    return f"records/{file_name(record).as_posix()}"


def _data_key(record: Record) -> tuple[object, ...]:
    data = record.dataset
    return (data.annotations_sha256, data.images, data.sample) if data else ()


def _row(record: Record, result: ClaimResult, known: Mapping[str, Protocol]) -> ClaimRow:
    claim, entry, data = result.claim, record.entry, record.dataset
    protocol = known.get(claim.protocol or "")
    return ClaimRow(
        entry=entry.key,
        zoo=entry.zoo,
        name=entry.id,
        title=entry.title,
        dataset=data.id if data else entry.dataset,
        metric=claim.metric,
        primary=claim == entry.primary,
        claimed=claimed(claim),
        measured=result.measured,
        difference=result.difference,
        interval=result.interval,
        verdict=result.verdict,
        tone=tone(result.verdict),
        meaning=verdict_words(result, record),
        protocol=claim.protocol or "",
        protocol_words=protocol_words(protocol) if protocol else "",
        evidence=claim.evidence,
        axes=result.axes,
        images=data.images if data else 0,
        persons=data.persons if data else 0,
        data=subset_words(record),
        subset=is_subset(record),
        coverage=None if record.coverage is None else 100 * record.coverage,
        page=page_name(entry.key),
        record=record_name(record),
    )
