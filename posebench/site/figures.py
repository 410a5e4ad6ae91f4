"""The accuracy-speed figure for paper, and how both it and the page tell models apart."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from posebench.site.points import AXES, Axis, Point, frontier

# Middle tones near Okabe and Ito's hues: readable on white and on near-black alike.
PALETTE = ("#2b84c6", "#d9631e", "#16a37b", "#c2609f", "#b88700", "#7a6ff0", "#5d7a8c")
# The same shapes in matplotlib's, plotly's and the page's own words.
SHAPES = (
    ("o", "circle"),
    ("s", "square"),
    ("D", "diamond"),
    ("^", "triangle-up"),
    ("v", "triangle-down"),
    ("p", "pentagon"),
    ("h", "hexagon"),
)
DOUBTFUL = "x"  # a timing that is not to be quoted, on whatever machine
THEMES = {
    "light": {"ink": "#1b1f24", "quiet": "#5b626c", "line": "#dfe2e7", "paper": "#ffffff"},
    "dark": {"ink": "#eceef1", "quiet": "#a9b0ba", "line": "#343940", "paper": "#16181b"},
}
KINDS = ("svg", "png", "pdf")
# Diameter in px: the area grows with the number of parameters.
SMALLEST, LARGEST = 7.0, 22.0
LABELLED = 14  # up to so many points every one gets its name


@dataclass(frozen=True)
class Legend:
    """How models are told apart, the same in every view of the points.

    Attributes:
        colours: Zoo -> colour.
        shapes: Hardware -> (matplotlib's marker, plotly's symbol).
        most: Parameters of the largest model, millions.
    """

    colours: dict[str, str]
    shapes: dict[str, tuple[str, str]]
    most: float

    def diameter(self, point: Point) -> float:
        """Return a marker's diameter, px."""
        share = math.sqrt(point.parameters / self.most) if self.most > 0 else 0.0
        return SMALLEST + (LARGEST - SMALLEST) * share


def legend(points: Sequence[Point]) -> Legend:
    """Give each zoo a colour and each machine a shape, in alphabetical order."""
    zoos = sorted({point.zoo for point in points})
    machines = sorted({point.hardware for point in points})
    return Legend(
        {zoo: PALETTE[number % len(PALETTE)] for number, zoo in enumerate(zoos)},
        {name: SHAPES[number % len(SHAPES)] for number, name in enumerate(machines)},
        max((point.parameters for point in points), default=0.0),
    )


def static_figure(
    points: Sequence[Point],
    theme: str,
    kinds: Sequence[str] = KINDS,
    signs: Legend | None = None,
) -> dict[str, bytes]:
    """Draw accuracy over throughput with matplotlib.

    Args:
        points: Of one dataset, with a throughput; one or more.
        theme: ``light`` or ``dark``.
        kinds: Of ``KINDS``.
        signs: Of all points; by default of these.

    Returns:
        Kind -> the file's bytes, the same for the same points.
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
        # a model may be called $x$
        "text.parse_math": False,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(9, 5), layout="constrained", facecolor=look["paper"])
        axes = figure.add_subplot(facecolor=look["paper"])
        _draw(axes, points, signs or legend(points), look)
        return {kind: _saved(figure, kind) for kind in kinds}


def _saved(figure: Any, kind: str) -> bytes:
    file = io.BytesIO()
    # no dates: drawing again must give the same bytes
    metadata = {"svg": {"Date": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}
    figure.savefig(file, format=kind, dpi=160, metadata=metadata[kind])
    return file.getvalue()


def _draw(axes: Any, points: Sequence[Point], signs: Legend, look: dict[str, str]) -> None:
    axis = AXES[0]
    axes.grid(visible=True, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if is_wide(points, axis):
        axes.set_xscale("log")
        _plain_ticks(axes)
    which, best = frontier(points, axis)
    if len(best) > 1:
        axes.plot(
            [p.speed for p in best], [p.accuracy for p in best],
            color=look["quiet"], linewidth=1.2, linestyle=(0, (4, 3)), zorder=1.5,
        )  # fmt: skip
    _draw_spans(axes, points, signs)
    _draw_markers(axes, points, signs, look)
    axes.margins(x=0.12, y=0.14)
    axes.set_xlabel(axis.title)
    axes.set_ylabel(accuracy_title(points))
    _name_points(axes, points if len(points) <= LABELLED else best, signs)
    _draw_legend(axes, points, signs, look, which if len(best) > 1 else "")


def _name_points(axes: Any, named: Sequence[Point], signs: Legend) -> None:
    """Write names where there is room: each takes the first of six places that is free."""
    axes.figure.draw_without_rendering()
    inside = axes.get_window_extent()
    taken: list[Any] = []
    renderer = axes.figure._get_renderer()
    for point in named:
        away = 0.375 * signs.diameter(point) + 1
        # nothing better stands above and to the right of the best
        for up, across in product((1, -1), (1, 0, -1)):
            text = axes.annotate(
                label(point),
                (point.speed, point.accuracy),
                xytext=(3 * across, away * up),
                textcoords="offset points",
                ha=("center", "left", "right")[across],
                va="bottom" if up > 0 else "top",
                fontsize=9,
            )
            box = text.get_window_extent(renderer)
            free = not any(box.overlaps(other) for other in taken)
            if free and inside.x0 <= box.x0 and box.x1 <= inside.x1:
                taken.append(box)
                break
            text.remove()


def _draw_spans(axes: Any, points: Sequence[Point], signs: Legend) -> None:
    """Intervals, quartiles, and broad lines from what was measured to what was claimed."""
    colour = [signs.colours[point.zoo] for point in points]
    speed, accuracy = [p.speed for p in points], [p.accuracy for p in points]
    low, high = zip(*(p.interval or (p.accuracy, p.accuracy) for p in points), strict=True)
    axes.vlines(speed, low, high, colors=colour, linewidth=1.0)
    low, high = zip(*(p.speed_span or (p.speed, p.speed) for p in points), strict=True)
    axes.hlines(accuracy, low, high, colors=colour, linewidth=1.0)
    judged = [p for p in points if p.kind != "claimed" and p.claimed is not None]
    if judged:
        colour = [signs.colours[point.zoo] for point in judged]
        claimed, speed = [p.claimed for p in judged], [p.speed for p in judged]
        accuracy = [p.accuracy for p in judged]
        axes.vlines(speed, accuracy, claimed, colors=colour, linewidth=3, alpha=0.45)
        axes.scatter(speed, claimed, marker="_", s=81, c=colour)


def _draw_markers(axes: Any, points: Sequence[Point], signs: Legend, look: dict[str, str]) -> None:
    doubtful = [point for point in points if AXES[0].key in point.flagged]
    sound = [point for point in points if AXES[0].key not in point.flagged]
    if doubtful:
        colour = [signs.colours[point.zoo] for point in doubtful]
        place = [p.speed for p in doubtful], [p.accuracy for p in doubtful]
        axes.scatter(*place, marker=DOUBTFUL, s=36, c=colour, linewidths=1.4, zorder=3)
    for kind, hardware in sorted({(point.kind, point.hardware) for point in sound}):
        # the largest first, so that small ones stay visible
        some = sorted(
            (p for p in sound if (p.kind, p.hardware) == (kind, hardware)),
            key=lambda p: -p.parameters,
        )
        colour = [signs.colours[point.zoo] for point in some]
        place = [p.speed for p in some], [p.accuracy for p in some]
        axes.scatter(
            *place,
            marker=signs.shapes[hardware][0],
            # px at 96 to the inch -> points, squared
            s=[(0.75 * signs.diameter(point)) ** 2 for point in some],
            # hollow: only a part of the dataset was evaluated, or nothing was
            c=colour if kind == "whole" else [look["paper"]] * len(some),
            edgecolors=colour,
            linewidths=1.4,
            alpha=0.6 if kind == "claimed" else 1.0,
            zorder=3,
        )
        if kind == "subset":
            axes.scatter(*place, marker=".", s=20, c=colour, zorder=4)


def _draw_legend(
    axes: Any, points: Sequence[Point], signs: Legend, look: dict[str, str], drawn: str
) -> None:
    from matplotlib.lines import Line2D

    def sign(name: str, **style: Any) -> Any:
        plain: dict[str, Any] = {
            "linestyle": "none",
            "marker": "o",
            "color": look["quiet"],
            "markersize": 6,
        }
        return Line2D([], [], label=name, **(plain | style))

    zoos = sorted({point.zoo for point in points})
    machines = sorted({point.hardware for point in points})
    handles = [sign(zoo, color=signs.colours[zoo]) for zoo in zoos]
    if len(machines) > 1:
        handles += [sign(name, marker=signs.shapes[name][0]) for name in machines]
    kinds = {point.kind for point in points}
    if "subset" in kinds:
        handles.append(sign("a part of the dataset", markerfacecolor=look["paper"]))
    if "claimed" in kinds:
        handles.append(sign("as claimed, not measured", markerfacecolor=look["paper"], alpha=0.6))
    if any(AXES[0].key in point.flagged for point in points):
        handles.append(sign("timing not to be quoted", marker=DOUBTFUL))
    if drawn:
        handles.append(
            sign(f"best of the {drawn}", marker="", linestyle=(0, (4, 3)), linewidth=1.2)
        )
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=4,
        frameon=False, fontsize=9, labelcolor=look["quiet"], columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip


def _plain_ticks(axes: Any) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def accuracy_title(points: Sequence[Point]) -> str:
    """Return the title of the vertical axis."""
    metrics = " or ".join(sorted({point.metric for point in points}))
    datasets = " and ".join(sorted({point.dataset for point in points}))
    return f"{metrics} on {datasets}, percent"


def label(point: Point) -> str:
    """Return a point's name; a subset says so."""
    return f"{point.name} (subset, n={point.persons})" if point.kind == "subset" else point.name


def is_wide(points: Sequence[Point], axis: Axis) -> bool:
    """Whether values differ so much that a linear axis would squeeze the smallest."""
    values = [value for p in points if (value := getattr(p, axis.key)) is not None]
    return bool(values) and max(values) > 4 * min(values) > 0
