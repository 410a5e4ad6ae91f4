"""Records -> the rows of the claims table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from posebench.records.formatting import (
    claimed,
    describe_protocol,
    describe_subset,
    describe_verdict,
    is_subset,
)
from posebench.records.store import file_name
from posebench.records.verdict import Tone, tone
from posebench.types.entry import Entry
from posebench.types.protocol import Protocol
from posebench.types.record import ClaimResult, Record
from posebench.types.timing import PLAIN

# The tones of verdicts, in the order in which they are counted.
TONES = get_args(Tone)


@dataclass(frozen=True)
class ClaimRow:
    """One line of the claims table.

    Attributes:
        entry: ``zoo/id``; ``name`` is the id alone.
        dataset: That was evaluated.
        own: Whether the model is posebench's own: no one else published the claim.
        primary: Whether it is the claim that speaks for the model.
        claimed: As published, in percent where the page had a fraction.
        measured: Percent; None where it was not measured.
        difference: measured - claimed.
        interval: 95 % interval of ``measured``.
        tone: See ``posebench.records.verdict.tone``.
        meaning: The verdict as a sentence.
        protocol: Key of the protocol.
        describe_protocol: Its choices in words; empty where nothing says them.
        evidence: Whether the page states the protocol, or it was inferred or guessed.
        axes: Choices of the claim's protocol that could not be met.
        persons: Annotated persons that counted.
        data: The part of the dataset in words.
        coverage: Share of the weights that came from the checkpoint, percent.
        ran: Hardware, and the form of the network where it is not the one it was built in.
        page: Address of the model's page, from the front page.
        record: Address of the record.
    """

    entry: str
    zoo: str
    name: str
    title: str
    dataset: str
    metric: str
    own: bool
    primary: bool
    claimed: str
    measured: float | None
    difference: float | None
    interval: tuple[float, float] | None
    verdict: str
    tone: str
    meaning: str
    protocol: str
    describe_protocol: str
    evidence: str
    axes: tuple[str, ...]
    images: int
    persons: int
    data: str
    subset: bool
    coverage: float | None
    ran: str
    page: str
    record: str


def claim_rows(
    records: Sequence[Record], protocols: Mapping[str, Protocol] | None = None
) -> tuple[ClaimRow, ...]:
    """Return one row for each claim and measurement of it, published claims before own ones.

    A later measurement replaces an earlier one of the same claim on the same data, with the same
    weights, computed in the same way on the same hardware.

    Args:
        records: From old to new.
        protocols: Key -> protocol, beside those that the records carry.
    """
    known = dict(protocols or {}) | known_protocols(records)
    latest: dict[tuple[object, ...], ClaimRow] = {}
    for record in records:
        for result in record.claims:
            key = (record.entry.key, result.claim, *_measurement(record))
            # the newest stands where it was measured, not where the oldest was
            latest.pop(key, None)
            latest[key] = _row(record, result, known)
    return tuple(
        sorted(latest.values(), key=lambda row: (row.own, row.dataset, row.entry, row.subset))
    )


def known_protocols(records: Sequence[Record]) -> dict[str, Protocol]:
    """Return the named protocols that records carry, by key."""
    carried = [r.protocol for r in records if r.protocol] + [
        other.protocol for r in records for other in r.official_scores
    ]
    return {protocol.key: protocol for protocol in carried if protocol.name != "custom"}


def is_own(entry: Entry) -> bool:
    """Whether posebench ships the model: its claims are what posebench itself measured."""
    return bool(entry.checkpoint.shipped)


def counts(rows: Sequence[ClaimRow]) -> tuple[tuple[str, str, int], ...]:
    """Count claims by verdict; what was measured on a subset is not counted.

    Returns:
        (verdict, tone, number of claims), the best first. A claim that was measured several times
        counts once for each verdict.
    """
    judged = {(*_claim_key(row), row.verdict, row.tone) for row in rows if not row.subset}
    found = Counter((verdict, kind) for *_, verdict, kind in judged)
    best_first = sorted(found.items(), key=lambda item: (TONES.index(item[0][1]), item[0][0]))
    return tuple((verdict, kind, count) for (verdict, kind), count in best_first)


def number_of_claims(rows: Sequence[ClaimRow]) -> int:
    """Return how many claims rows speak about, however often each was measured."""
    return len({_claim_key(row) for row in rows})


def page_name(key: str) -> str:
    """Return the address of a model's page, from the front page, for its ``zoo/id``."""
    return f"models/{key.replace('/', '-')}.html"


def record_name(record: Record) -> str:
    """Return the address of a record's copy, from the front page."""
    return f"records/{file_name(record).as_posix()}"


def _claim_key(row: ClaimRow) -> tuple[str, ...]:
    return row.entry, row.dataset, row.protocol, row.metric, row.claimed


def hardware_of(record: Record) -> str:
    """Return the processor or accelerator, or where that is not known, its kind."""
    if record.cell:
        return record.cell.hardware
    return record.hardware or (record.timings or record.environment).device


def describe_run(record: Record) -> str:
    """Say on what a record was computed, and how where not as the network was built."""
    form = record.execution.words if record.execution else PLAIN.words
    return hardware_of(record) + ("" if form == PLAIN.words else f", {form} network")


def _measurement(record: Record) -> tuple[object, ...]:
    """What was measured, apart from the model and the protocol: equal ones replace each other."""
    data, skipped = record.dataset, record.skipped
    execution = record.execution
    return (
        (data.id, data.annotations_sha256, data.images, data.images_sha256, data.sample)
        if data
        else (),
        (skipped.images, skipped.annotations, skipped.persons) if skipped else (),
        record.checkpoint_sha256,
        record.artifact_sha256,
        tuple(execution.configuration.items()) if execution else None,
        record.environment.device,
        record.hardware,
        record.submitter,
    )


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
        own=is_own(entry),
        primary=claim == entry.primary,
        claimed=claimed(claim),
        measured=result.measured,
        difference=result.difference,
        interval=result.interval,
        verdict=result.verdict,
        tone="neutral" if is_subset(record) else tone(result.verdict),
        meaning=describe_verdict(result, record),
        protocol=claim.protocol or "",
        describe_protocol=describe_protocol(protocol) if protocol else "",
        evidence=claim.evidence,
        axes=result.axes,
        images=data.images if data else 0,
        persons=data.persons if data else 0,
        data=describe_subset(record),
        subset=is_subset(record),
        coverage=None if record.coverage is None else 100 * record.coverage,
        ran=describe_run(record),
        page=page_name(entry.key),
        record=record_name(record),
    )
