"""Records as text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from posebench.cli.common import facts, number, span, table
from posebench.records.words import (
    claimed,
    is_joint_metric,
    protocol_words,
    subset_words,
    verdict_words,
)
from posebench.types.record import ClaimResult, Record


def claims_table(records: Sequence[Record], metrics: Sequence[str] = ()) -> str:
    """One line a claim: published, measured, interval, difference, verdict.

    Args:
        records: Evaluations.
        metrics: Only claims of these metrics; all if empty.
    """
    head = ("model", "protocol", "metric", "claim", "measured", "95 % interval", "diff", "verdict")
    rows = [
        (record.entry.id, *_claim_cells(result))
        for record in records
        for result in record.claims
        if not metrics or result.claim.metric in metrics
    ]
    return table(head, rows, right=("claim", "measured", "diff"))


def _claim_cells(result: ClaimResult) -> tuple[str, ...]:
    claim = result.claim
    return (
        claim.protocol or "-",
        claim.metric,
        claimed(claim),
        number(result.measured),
        span(result.interval),
        number(result.difference, "+"),
        result.verdict,
    )


def speed_table(records: Sequence[Record]) -> str:
    """One line a timing."""
    head = ("model", "persons/s", "spread", "batch", "threads", "device", "parameters", "scope")
    rows = [
        (
            record.entry.id,
            f"{t.persons_per_second:,.0f}",
            f"{100 * t.relative_iqr:.0f} %",
            str(t.batch_size),
            str(t.threads),
            t.device,
            f"{t.parameters:,}",
            t.scope,
        )
        for record in records
        if (t := record.timings)
    ]
    return table(head, rows, right=head[1:5] + head[6:7])


def evaluation_text(record: Record) -> str:
    """Everything a reader needs to judge one evaluation."""
    parts = [_what(record)]
    if record.claims:
        parts.append(claims_table([record]))
    scores = _scores(record.scores)
    meaning = "no claim: nothing was published under this protocol on this dataset."
    for first in record.claims[:1]:
        meaning = f"{first.verdict}. {verdict_words(first, record)}"
    official = [(f"by {other.scorer}", _scores(other.scores)) for other in record.beside]
    parts.append(facts([("scores", scores), *official, ("verdict", meaning)]))
    return "\n\n".join(parts)


def _scores(values: Mapping[str, float | None]) -> str:
    """Metric and value, without the single joints: those stand in the record."""
    shown = {name: value for name, value in values.items() if not is_joint_metric(name)}
    return "  ".join(f"{name} {number(value)}" for name, value in shown.items())


def _what(record: Record) -> str:
    protocol, boxes = record.protocol, record.boxes
    pairs = [("model", f"{record.entry.key} on {record.entry.dataset}")]
    if record.dataset:
        pairs.append(("data", subset_words(record)))
    if protocol:
        name = protocol.summary if protocol.name == "custom" else protocol.key
        pairs.append(("protocol", f"{name}: {protocol_words(protocol)}"))
    if boxes:
        proof = "" if boxes.box_ap is None else f", box AP {boxes.box_ap:.2f}"
        counts = f"{boxes.read} read, {boxes.used} used, {boxes.kept} kept"
        pairs.append(("boxes", f"{boxes.source}: {counts}{proof}"))
    if record.coverage is not None:
        source = record.checkpoint_name or "the shipped file"
        pairs.append(("weights", f"{100 * record.coverage:g} % from {source}"))
    pairs += [("note", note) for note in record.notes]
    return facts(pairs)
