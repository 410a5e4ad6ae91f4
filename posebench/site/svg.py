"""Small pictures inside a page: SVG that takes its colours from the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from markupsafe import Markup, escape

BINS = 28
STRIP = (224.0, 40.0)  # width and height, px
PLOT = (520.0, 300.0)
MARGIN = (44.0, 12.0, 40.0, 12.0)  # left, top, bottom, right


@dataclass(frozen=True)
class Line:
    """One line of a plot.

    Attributes:
        name: Said in words beside the picture.
        points: (x, y), both in the plot's units.
        kind: Class in the style sheet.
    """

    name: str
    points: Sequence[tuple[float, float]]
    kind: str = "line"


def strip(samples: Sequence[float], marks: Sequence[tuple[str, float]] = ()) -> Markup:
    """Draw how samples are spread, as a histogram from the least to the greatest.

    Args:
        samples: In any unit, one or more.
        marks: Name and value of what gets a vertical line.
    """
    width, height = STRIP
    low, high = min(samples), max(samples)
    counts, _ = np.histogram(samples, bins=BINS, range=(low, high) if high > low else None)
    step, top = width / BINS, max(1, int(counts.max()))
    bars = "".join(
        f'<rect x="{index * step:.1f}" y="{height - (height - 4) * count / top:.1f}" '
        f'width="{step - 1:.1f}" height="{(height - 4) * count / top:.1f}"/>'
        for index, count in enumerate(counts)
        if count
    )
    lines = "".join(
        f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height:g}">'
        f"<title>{escape(name)}</title></line>"
        for name, value in marks
        for x in [width * (value - low) / (high - low) if high > low else width / 2]
        if 0 <= x <= width
    )
    words = f"{len(samples)} samples from {low:.3g} to {high:.3g}"
    return _svg("strip", width, height, words, bars + lines)


def curves(lines: Sequence[Line], across: str, up: str) -> Markup:
    """Draw lines in the unit square, both axes from 0 to 1."""
    width, height = PLOT
    ticks = [(share, f"{share:g}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    body = _frame(ticks, ticks, across, up)
    for line in lines:
        body += _polyline(line.kind, [_place(x, y) for x, y in line.points], line.name)
    return _svg("plot", width, height, f"{up} over {across}", body)


def history(moments: Sequence[tuple[datetime, float]], up: str) -> Markup:
    """Draw values over time.

    Args:
        moments: When and how much, from old to new, two or more.
        up: What the values are.
    """
    start, end = moments[0][0], moments[-1][0]
    seconds = max((end - start).total_seconds(), 1.0)
    values = [value for _, value in moments]
    room = (max(values) - min(values)) * 0.1 or max(abs(values[0]) * 0.01, 0.01)
    low, high = min(values) - room, max(values) + room
    shares = [
        ((moment - start).total_seconds() / seconds, (value - low) / (high - low))
        for moment, value in moments
    ]
    across = [(0.0, f"{start:%Y-%m-%d}"), (1.0, f"{end:%Y-%m-%d}")]
    upward = [(share, f"{low + share * (high - low):.4g}") for share in (0.0, 0.5, 1.0)]
    places = [_place(x, y) for x, y in shares]
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>'
        f"{moment:%Y-%m-%d %H:%M}: {value:.4g}</title></circle>"
        for (x, y), (moment, value) in zip(places, moments, strict=True)
    )
    words = f"{up}: {len(values)} measurements, {values[0]:.4g} first, {values[-1]:.4g} last"
    body = _frame(across, upward, "", up) + _polyline("line", places, up) + dots
    return _svg("plot", *PLOT, words, body)


def _place(across: float, up: float) -> tuple[float, float]:
    """Shares of the plot -> px."""
    (width, height), (left, top, bottom, right) = PLOT, MARGIN
    return left + across * (width - left - right), height - bottom - up * (height - top - bottom)


def _frame(
    across: Sequence[tuple[float, str]], upward: Sequence[tuple[float, str]], title: str, up: str
) -> str:
    (width, height), (left, _, bottom, right) = PLOT, MARGIN
    parts = []
    for share, text in across:
        x, anchor = _place(share, 0)[0], ("start", "middle", "end")[round(2 * share)]
        anchor = "middle" if 0 < share < 1 else anchor
        parts.append(
            f'<text x="{x:.1f}" y="{height - bottom + 16:g}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )
    for share, text in upward:
        y = _place(0, share)[1]
        parts.append(
            f'<line class="grid" x1="{left:g}" x2="{width - right:g}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{left - 6:g}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>'
        )
    middle = (left + width - right) / 2
    parts.append(
        f'<text x="{middle:g}" y="{height - 6:g}" text-anchor="middle">{escape(title)}</text>'
        f'<text transform="translate(10 {height / 2 - 12:g}) rotate(-90)" text-anchor="middle">'
        f"{escape(up)}</text>"
    )
    return "".join(parts)


def _polyline(kind: str, places: Sequence[tuple[float, float]], name: str) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return (
        f'<polyline class="{escape(kind)}" points="{points}">'
        f"<title>{escape(name)}</title></polyline>"
    )


def _svg(kind: str, width: float, height: float, words: str, body: str) -> Markup:
    # every text inside was escaped where it was put in
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-label="{escape(words)}">{body}</svg>'
    )
