"""Claims, evaluations and timings as tables for a README or a paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from posebench.site.accuracies import Accuracy, accuracies
from posebench.site.claims import ClaimRow, claim_rows
from posebench.site.points import Point, points
from posebench.site.text import one_line
from posebench.types.record import Record

NOTHING = "-"
EMPTY = "No evaluation, no timing"


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        right: Columns with numbers.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...]


def markdown_tables(records: Sequence[Record]) -> str:
    """Return all tables in GitHub's Markdown."""
    return "\n\n".join(_markdown(table) for table in tables(records)) or f"{EMPTY}."


def latex_tables(records: Sequence[Record]) -> str:
    """Return the same for LaTeX; the lines need the package ``booktabs``."""
    return "\n\n".join(_latex(table) for table in tables(records)) or f"% {EMPTY}"


def tables(records: Sequence[Record]) -> tuple[Table, ...]:
    """Return the tables of claims, of evaluations and of timings, those that have rows."""
    ordered = sorted(records, key=lambda record: record.created)
    rows = claim_rows(ordered)
    found = (
        _claims([row for row in rows if not row.own], "Published claims, measured again"),
        _claims([row for row in rows if row.own], "Claims of posebench's own models"),
        _evaluations(accuracies(ordered)),
        _timings(points(ordered)),
    )
    return tuple(table for table in found if table.rows)


def _claims(rows: Sequence[ClaimRow], caption: str) -> Table:
    return Table(
        caption=f"{caption}; percent, 95 % intervals.",
        head=(
            *("Model", "Dataset", "Metric", "Claimed", "Measured", "Interval", "Difference"),
            *("Verdict", "Protocol", "Computed on"),
        ),
        rows=tuple(
            (
                row.entry,
                row.dataset + (f" ({row.images:,} images of it)" if row.subset else ""),
                row.metric,
                row.claimed,
                _number(row.measured),
                _interval(row.interval),
                _number(row.difference, "+"),
                row.verdict,
                row.protocol,
                row.ran,
            )
            for row in rows
        ),
        right=(3, 4, 5, 6),
    )


def _evaluations(found: Sequence[Accuracy]) -> Table:
    return Table(
        caption="Every evaluation, under whatever protocol; percent, 95 % intervals.",
        head=(
            *("Model", "Dataset", "Protocol", "Metric", "Measured", "Interval"),
            *("Data", "Computed on"),
        ),
        rows=tuple(
            (
                accuracy.entry.key,
                accuracy.dataset,
                accuracy.protocol,
                accuracy.metric or NOTHING,
                _number(accuracy.value) + (f" ({accuracy.doubt})" if accuracy.doubt else ""),
                _interval(accuracy.interval),
                accuracy.data,
                accuracy.ran,
            )
            for accuracy in sorted(found, key=lambda a: (a.dataset, a.entry.key))
        ),
        right=(4, 5),
    )


def _timings(found: Sequence[Point]) -> Table:
    return Table(
        caption="Accuracy and speed.",
        head=(
            *("Model", "Dataset", "Accuracy", "", "Persons/s", "End to end", "ms a batch"),
            *("GFLOP", "M parameters", "Device", "Batch", "Form", "Protocol", "Remark"),
        ),
        rows=tuple(
            (
                point.entry,
                point.dataset,
                f"{point.metric} {point.accuracy:.1f}",
                {"whole": "measured", "claimed": "claimed"}.get(
                    point.kind, f"subset, n={point.persons}"
                ),
                _short(point.speed),
                _short(point.whole),
                _short(point.latency),
                _short(point.gflops),
                _short(point.parameters),
                point.hardware,
                point.batch,
                point.form,
                point.protocol,
                point.note,
            )
            for point in found
        ),
        right=(2, 4, 5, 6, 7, 8),
    )


def _interval(span: tuple[float, float] | None) -> str:
    return "{:.1f} to {:.1f}".format(*span) if span else NOTHING


def _number(value: float | None, sign: str = "") -> str:
    if value is None:
        return NOTHING
    text = f"{value:{sign}.2f}"
    # what rounds to nothing has no sign
    return text.lstrip("+-") if float(text) == 0 else text


def _short(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.4g}"


def _markdown(table: Table) -> str:
    lines = ["---:" if column in table.right else "---" for column in range(len(table.head))]
    rows = (table.head, lines, *([_plain(cell) for cell in row] for row in table.rows))
    text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{table.caption}\n\n{text}"


def _plain(text: str) -> str:
    """Keep a text inside its cell, and from being HTML or a link."""
    return re.sub(r"([\\|*`\[\]<>])", r"\\\1", one_line(text))


def _latex(table: Table) -> str:
    columns = "".join("r" if column in table.right else "l" for column in range(len(table.head)))
    return "\n".join(
        (
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex(table.caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _line(table.head, _tex),
            r"\midrule",
            *(_line(row, _tex) for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        )
    )


def _line(cells: Sequence[str], escape: Callable[[str], str]) -> str:
    return " & ".join(escape(cell) for cell in cells) + r" \\"


_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
}


def _tex(text: str) -> str:
    return "".join(_TEX.get(sign, sign) for sign in one_line(text))
