"""The accuracy-speed figure twice: matplotlib for paper, plotly to explore."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

from posebench.report.data import Point

# Middle tones near Okabe and Ito's hues: readable on white and on near-black alike.
PALETTE = ("#2b84c6", "#d9631e", "#16a37b", "#c2709f", "#c98a00", "#7a6ff0")
THEMES = {
    "light": {"ink": "#1c2024", "quiet": "#60646c", "line": "#d9d9e0", "paper": "#ffffff"},
    "dark": {"ink": "#edeef0", "quiet": "#b0b4ba", "line": "#363a3f", "paper": "#18191b"},
}
SPEED_TITLE = "Persons per second"
ACCURACY_TITLE = "AP, percent, with 95 % interval"


def colours(points: Sequence[Point]) -> dict[str, str]:
    """Give each zoo a colour, in alphabetical order."""
    zoos = sorted({_zoo(point) for point in points})
    return {zoo: PALETTE[number % len(PALETTE)] for number, zoo in enumerate(zoos)}


def static_figure(points: Sequence[Point], theme: str, kind: str) -> bytes:
    """Draw the figure with matplotlib.

    Args:
        points: At least one.
        theme: ``light`` or ``dark``.
        kind: ``svg`` or ``png``.

    Returns:
        The file's bytes, the same for the same points.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    look = THEMES[theme]
    settings: Any = {
        "font.family": "sans-serif",
        "font.size": 11,
        "svg.hashsalt": "posebench",
        "svg.fonttype": "none",
        "text.color": look["ink"],
        "axes.labelcolor": look["quiet"],
        "axes.edgecolor": look["line"],
        "xtick.color": look["quiet"],
        "ytick.color": look["quiet"],
        "grid.color": look["line"],
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(8, 4.5), layout="constrained", facecolor=look["paper"])
        _draw(figure, points, look)
        file = io.BytesIO()
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(file, format=kind, dpi=160, metadata=metadata)
    return file.getvalue()


def _draw(figure: Any, points: Sequence[Point], look: dict[str, str]) -> None:
    axes = figure.add_subplot(facecolor=look["paper"])
    axes.grid(visible=True, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    zoo_colours = colours(points)
    for point in points:
        colour = zoo_colours[_zoo(point)]
        low, high = point.interval or (point.accuracy, point.accuracy)
        axes.errorbar(
            point.speed,
            point.accuracy,
            yerr=[[max(0.0, point.accuracy - low)], [max(0.0, high - point.accuracy)]],
            fmt="o",
            markersize=9,
            color=colour,
            # a hollow marker: only a part of the dataset was evaluated
            markerfacecolor=look["paper"] if point.subset else colour,
            capsize=3,
            elinewidth=1.2,
        )
        axes.annotate(
            _label(point),
            (point.speed, point.accuracy),
            xytext=(9, 7),
            textcoords="offset points",
        )
    axes.margins(x=0.18, y=0.15)
    if _wide(points):
        axes.set_xscale("log")
        _plain_ticks(axes)
    axes.set_xlabel(SPEED_TITLE)
    axes.set_ylabel(ACCURACY_TITLE)


def _plain_ticks(axes: Any) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def interactive_figure(points: Sequence[Point]) -> dict[str, Any]:
    """Describe the figure for plotly: ``{"data": [...], "layout": {...}}``.

    Colours of text and grid are left to the page, which follows the reader's scheme.
    """
    zoo_colours = colours(points)
    traces = [
        _trace(zoo, [point for point in points if _zoo(point) == zoo], colour)
        for zoo, colour in zoo_colours.items()
    ]
    layout = {
        "margin": {"l": 56, "r": 16, "t": 16, "b": 48},
        "hovermode": "closest",
        "showlegend": len(traces) > 1,
        "legend": {"orientation": "h", "y": 1.08},
        "xaxis": {"title": {"text": SPEED_TITLE}, **_speed_axis(points)},
        "yaxis": {"title": {"text": ACCURACY_TITLE}},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
    }
    return {"data": traces, "layout": layout}


def _speed_axis(points: Sequence[Point]) -> dict[str, Any]:
    """Scale and range of the speeds, with room for the labels at the right of the markers."""
    speeds = [point.speed for point in points]
    slow, fast = min(speeds), max(speeds)
    if _wide(points):
        low, high = math.log10(slow), math.log10(fast)
        room = high - low
        return {"type": "log", "dtick": "D2", "range": [low - 0.1 * room, high + 0.25 * room]}
    room = fast - slow or fast
    return {"type": "linear", "range": [max(0.0, slow - 0.2 * room), fast + 0.3 * room]}


def _trace(zoo: str, points: Sequence[Point], colour: str) -> dict[str, Any]:
    spans = [point.interval or (point.accuracy, point.accuracy) for point in points]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "name": zoo,
        "x": [point.speed for point in points],
        "y": [point.accuracy for point in points],
        "text": [_label(point) for point in points],
        "textposition": "top right",
        "cliponaxis": False,
        "customdata": [[_details(point)] for point in points],
        "hovertemplate": "<b>%{text}</b><br>AP %{y:.2f}, %{x:,.0f} persons/s<br>"
        "%{customdata[0]}<extra></extra>",
        "marker": {
            "size": 13,
            "color": colour,
            "line": {"color": colour, "width": 2},
            "symbol": ["circle-open" if point.subset else "circle" for point in points],
        },
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [high - p.accuracy for (_, high), p in zip(spans, points, strict=True)],
            "arrayminus": [p.accuracy - low for (low, _), p in zip(spans, points, strict=True)],
            "color": colour,
            "thickness": 1.2,
        },
    }


def _details(point: Point) -> str:
    what = f"{point.parameters:,} parameters, {point.hardware}"
    return f"{what}, subset of {point.persons} persons" if point.subset else what


def _label(point: Point) -> str:
    return f"{point.name} (subset, n={point.persons})" if point.subset else point.name


def _zoo(point: Point) -> str:
    return point.entry.partition("/")[0]


def _wide(points: Sequence[Point]) -> bool:
    """Whether speeds differ so much that a linear axis would squeeze the slow models."""
    speeds = [point.speed for point in points]
    return max(speeds) > 8 * min(speeds) > 0
