"""Text for the terminal: tables, ``name  value`` lines, and what a record says."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from posebench.cli.terminal import width
from posebench.progress import printable
from posebench.records.formatting import (
    claimed,
    describe_protocol,
    describe_subset,
    describe_verdict,
    is_joint_metric,
)
from posebench.types.record import ClaimResult, Record

SHORTEST = 16  # columns that a cell keeps


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Sequence[str] = (),
    *,
    drop: Sequence[str] = (),
    cut: Sequence[str] = (),
) -> str:
    """Lay out a text table: complete where it is piped, as wide as the terminal at most.

    On a terminal that is too narrow, columns of ``cut`` are shortened first; then columns of
    ``drop`` are left out, the least important first, and a last line says so.

    Args:
        head: Column titles.
        rows: Cells, as many a row as there are titles.
        right: Titles of the columns that are aligned to the right.
        drop: Titles of columns that may be left out, the least important first.
        cut: Titles of columns whose cells may be shortened.
    """
    lines = [[printable(cell) for cell in line] for line in (head, *rows)]
    columns = {title: [line[at] for line in lines] for at, title in enumerate(head)}
    room, gone = width(), []
    for title in (*drop, None):
        shown = _shortened(columns, cut, room)
        if title is None or _fits(shown, room):
            break
        gone.append(title)
        del columns[title]
    text = _laid_out(shown, right)
    if gone:
        words = f"left out on this terminal: {', '.join(gone)}; a pipe or --json shows all."
        text += "\n\n" + textwrap.fill(words, room or len(words))
    return text


def _fits(columns: Mapping[str, Sequence[str]], room: int | None) -> bool:
    return room is None or sum(_widest(cells) + 2 for cells in columns.values()) - 2 <= room


def _widest(cells: Iterable[str]) -> int:
    return max(map(len, cells))


def _shortened(
    columns: Mapping[str, Sequence[str]], cut: Sequence[str], room: int | None
) -> dict[str, Sequence[str]]:
    """Cut cells, the widest column first, until everything fits or nothing more may go."""
    shown = dict(columns)
    while not _fits(shown, room):
        title = max((t for t in cut if t in shown), key=lambda t: _widest(shown[t]), default=None)
        if title is None or (most := _widest(shown[title]) - 1) < SHORTEST:
            break
        shown[title] = [c if len(c) <= most else f"{c[: most - 3]}..." for c in columns[title]]
    return shown


def _laid_out(columns: Mapping[str, Sequence[str]], right: Sequence[str]) -> str:
    aligned = [
        [cell.rjust(wide) if title in right else cell.ljust(wide) for cell in cells]
        for title, cells in columns.items()
        for wide in (_widest(cells),)
    ]
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*aligned, strict=True))


def key_value_table(pairs: Sequence[tuple[str, str]]) -> str:
    """Lay out ``name  value`` lines; empty values are left out."""
    wide = max((len(name) for name, _ in pairs), default=0)
    return "\n".join(f"{name:{wide}}  {wrapped(value, wide + 2)}" for name, value in pairs if value)


def wrapped(text: str, indent: int) -> str:
    """Break a text between words where the terminal ends; whole where it is piped.

    Args:
        text: One line.
        indent: Columns before it, and before each further line.
    """
    text, room = printable(text), width()
    if room is None or indent + len(text) <= room or room - indent < SHORTEST:
        return text
    lines = textwrap.wrap(text, room - indent, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def number(value: float | None, sign: str = "") -> str:
    """Two decimals, or a dash where nothing was measured."""
    return "-" if value is None else f"{value:{sign}.2f}"


def span(interval: tuple[float, float] | None) -> str:
    """``low to high``, or a dash."""
    return "-" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"


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
    head = ("model", "rate", "spread", "batch", "threads", "device", "parameters", "scope")
    rows = [
        (
            record.entry.id,
            f"{t.persons_per_second:,.0f} {t.counted}/s",
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
        meaning = f"{first.verdict}. {describe_verdict(first, record)}"
    parts.append(key_value_table([("verdict", meaning)]))
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
        pairs.append(("data", describe_subset(record)))
    if protocol:
        pairs.append(("protocol", f"{protocol.label}: {describe_protocol(protocol)}"))
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
    return key_value_table(pairs)
