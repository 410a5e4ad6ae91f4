"""Renders the page and writes it with everything it needs, so that it opens without a network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import jinja2

from posebench.records.files import write_whole
from posebench.records.words import LEEWAY
from posebench.report.data import Page, page
from posebench.report.figures import THEMES, interactive_figure, static_figure
from posebench.types.record import Record

FIGURE = "accuracy_speed"
STATIC_FILES = ("site.css", "figure.js")


def write_site(records: Sequence[Record], output: Path) -> Path:
    """Write ``index.html`` with its figures.

    Args:
        records: Evaluations and timings, in any order.
        output: Folder; files of an earlier page are replaced one by one.

    Returns:
        The page.

    Raises:
        UserError: The folder cannot be written.
    """
    content = page(records)
    for name in STATIC_FILES:
        write_whole(output / name, _template_file(name))
    if content.points:
        _write_figures(content, output)
    index = output / "index.html"
    write_whole(index, render(content).encode())
    return index


def render(content: Page) -> str:
    """Return the page's HTML; every value of a record is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("posebench.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    figure = interactive_figure(content.points) if content.points else None
    template = environment.get_template("index.html.j2")
    return template.render(page=content, figure=figure, figure_name=FIGURE, leeway=LEEWAY)


def _write_figures(content: Page, output: Path) -> None:
    from plotly.offline import get_plotlyjs

    for theme in THEMES:
        for kind in ("svg", "png"):
            drawn = static_figure(content.points, theme, kind)
            write_whole(output / f"{FIGURE}_{theme}.{kind}", drawn)
    write_whole(output / "plotly.min.js", get_plotlyjs().encode())


def _template_file(name: str) -> bytes:
    return (resources.files("posebench.report") / "templates" / name).read_bytes()
