"""Records as text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from posebench.cli.common import facts, number, span, table
from posebench.records.formatting import (
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
    return table(
        head,
        rows,
        right=("claim", "measured", "diff"),
        drop=("protocol", "95 % interval", "model"),
        cut=("verdict", "protocol"),
    )


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
    head = ("model", "a second", "spread", "batch", "threads", "device", "parameters", "scope")
    rows = [
        (
            record.entry.id,
            f"{t.persons_per_second:,.0f} {t.counted}",
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
    right = (*head[1:5], "parameters")
    return table(head, rows, right=right, drop=("parameters", "device", "threads", "batch"))


def evaluation_text(record: Record) -> str:
    """Everything a reader needs to judge one evaluation."""
    parts = [_what(record)]
    if record.claims:
        parts.append(claims_table([record]))
    parts.append(scores_text(record.scorer or "", record.scores))
    parts += [
        scores_text(f"{o.scorer}, the official one", o.scores) for o in record.official_scores
    ]
    meaning = "no claim: nothing was published under this protocol on this dataset."
    for first in record.claims[:1]:
        meaning = f"{first.verdict}. {verdict_words(first, record)}"
    parts.append(facts([("verdict", meaning)]))
    return "\n\n".join(parts)


def scores_text(scorer: str, values: Mapping[str, float | None]) -> str:
    """A line a part of the body, a column a metric; single joints stand in the record."""
    rows: dict[str, dict[str, str]] = {}
    for name, value in values.items():
        if not is_joint_metric(name):
            part, metric = _part_and_metric(name)
            rows.setdefault(part, {})[metric] = number(value)
    columns = list(dict.fromkeys(metric for row in rows.values() for metric in row))
    cells = [(part, *(row.get(column, "") for column in columns)) for part, row in rows.items()]
    if list(rows) == [""]:  # nothing but the whole person: no column for parts
        return f"scored by {scorer}\n" + table(columns, [row[1:] for row in cells], right=columns)
    return f"scored by {scorer}\n" + table(("part", *columns), cells, right=columns)


def _part_and_metric(name: str) -> tuple[str, str]:
    """``body/AP`` -> body, AP; ``PCKh@0.5/head`` -> PCKh@0.5, head; ``AP`` -> nothing, AP."""
    first, _, second = name.partition("/")
    if first.startswith("PCKh"):
        return first, second or "mean"
    return (first, second) if second else ("", first)


def _what(record: Record) -> str:
    protocol, boxes = record.protocol, record.boxes
    pairs = [("model", f"{record.entry.key} on {record.entry.dataset}")]
    if record.dataset:
        pairs.append(("data", subset_words(record)))
    if protocol:
        pairs.append(("protocol", f"{protocol.label}: {protocol_words(protocol)}"))
    if boxes and boxes.source == "none":
        pairs.append(("persons", f"{boxes.used} found in whole images, {boxes.kept} kept"))
    elif boxes:
        proof = "" if boxes.box_ap is None else f", box AP {boxes.box_ap:.2f}"
        counts = f"{boxes.read} read, {boxes.used} used, {boxes.kept} kept"
        pairs.append(("boxes", f"{boxes.source}: {counts}{proof}"))
    if record.coverage is not None:
        source = record.checkpoint_name or "the shipped file"
        pairs.append(("weights", f"{100 * record.coverage:g} % from {source}"))
    pairs += [("note", note) for note in record.notes]
    return facts(pairs)
