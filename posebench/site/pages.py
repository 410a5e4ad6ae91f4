"""Renders all pages and writes them with everything they need, so that they open offline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from posebench.records.formatting import LEEWAY
from posebench.records.store import LeftOut, to_json
from posebench.site.accuracies import Accuracy, accuracies
from posebench.site.background import Background, shipped_background
from posebench.site.claims import (
    ClaimRow,
    claim_rows,
    counts,
    hardware_of,
    number_of_claims,
    record_name,
)
from posebench.site.evidence import LEVELS, Zoo, zoos
from posebench.site.figures import KINDS, Legend, accuracy_title, legend, static_figure
from posebench.site.models import Model, models
from posebench.site.points import AXES, Point, first_view, points
from posebench.site.studies import PredictionAnalysis
from posebench.site.text import one_line, valid_html
from posebench.types.errors import UserError
from posebench.types.explanation import Explanation
from posebench.types.record import Record

FIGURE = "accuracy_speed"
STATIC_FILES = ("site.css", "site.js", "figure.js")


@dataclass(frozen=True)
class Site:
    """Everything the pages show.

    Attributes:
        published: Number of claims that others than posebench published.
        verdicts: (verdict, tone, number of published claims), without subsets.
        own_verdicts: The same of posebench's own models, whose claims no one else published.
        accuracies: Every evaluation under every protocol.
        left_out: Files that could not be read as records.
        shown: What the figure shows before anything is chosen.
        timed: Number of timings; ``machines`` they were made on.
        newest: When the last record was made, in words.
    """

    rows: tuple[ClaimRow, ...]
    published: int
    verdicts: tuple[tuple[str, str, int], ...]
    own_verdicts: tuple[tuple[str, str, int], ...]
    accuracies: tuple[Accuracy, ...]
    left_out: tuple[LeftOut, ...]
    points: tuple[Point, ...]
    shown: tuple[Point, ...]
    signs: Legend
    models: tuple[Model, ...]
    zoos: tuple[Zoo, ...]
    timed: int
    machines: tuple[str, ...]
    versions: tuple[str, ...]
    newest: str


def collect(
    records: Sequence[Record],
    background: Background | None = None,
    studies: Mapping[str, PredictionAnalysis] | None = None,
    explanations: Sequence[Explanation] = (),
    left_out: Sequence[LeftOut] = (),
) -> Site:
    """Collect what the pages of some records show.

    Args:
        records: Evaluations and timings in any order; a later measurement of the same replaces
            an earlier one, which is shown as history.
        background: The registry's rows; by default the shipped ones of the records' zoos.
        studies: Address of a record -> what its saved predictions show.
        explanations: Why numbers are others under another protocol.
        left_out: Files that could not be read as records.
    """
    known = background or shipped_background(records)
    # a folder may hold copies of a record, an earlier site for instance
    once = {(record_name(record), record.created): record for record in records}
    ordered = sorted(once.values(), key=lambda record: record.created)
    rows = claim_rows(ordered, known.protocols)
    found, measured = points(ordered), accuracies(ordered)
    timed = [record for record in ordered if record.timings]
    published = [row for row in rows if not row.own]
    return Site(
        rows=rows,
        published=number_of_claims(published),
        verdicts=counts(published),
        own_verdicts=counts([row for row in rows if row.own]),
        accuracies=tuple(sorted(measured, key=lambda a: (a.dataset, a.entry.key))),
        left_out=tuple(left_out),
        points=found,
        shown=first_view(found),
        signs=legend(found),
        models=models(ordered, rows, measured, studies, explanations),
        zoos=zoos(ordered, rows, known),
        timed=len(timed),
        machines=tuple(sorted({hardware_of(record) for record in timed})),
        versions=tuple(sorted({_versions(record) for record in ordered})),
        newest=ordered[-1].created.strftime("%Y-%m-%d %H:%M UTC") if ordered else "",
    )


def write_site(
    records: Sequence[Record],
    output: Path,
    background: Background | None = None,
    studies: Mapping[str, PredictionAnalysis] | None = None,
    explanations: Sequence[Explanation] = (),
    left_out: Sequence[LeftOut] = (),
) -> Path:
    """Write ``index.html`` and the pages, figures and records it leads to.

    Args:
        records: See ``collect``, as for the others.
        output: Folder; files of an earlier site are replaced one by one.
        background: The registry's rows.
        studies: What saved predictions show.
        explanations: Why numbers are others under another protocol.
        left_out: Files that could not be read, named on the front page.

    Returns:
        The front page.

    Raises:
        UserError: The folder cannot be written.
    """
    site = collect(records, background, studies, explanations, left_out)
    for name in STATIC_FILES:
        data = (resources.files("posebench.site") / "templates" / name).read_bytes()
        _write(output / name, data)
    if site.shown:
        _write_figures(site, output)
    for record in sorted(records, key=lambda record: record.created):
        text = json.dumps(to_json(record), indent=1, allow_nan=False, ensure_ascii=False)
        _write(output / record_name(record), f"{text}\n")
    for model in site.models:
        _write_pictures(model, output)
        _write(output / model.page, page("model.html.j2", model=model, up="../"))
    for zoo in site.zoos:
        _write(output / zoo.page, page("zoo.html.j2", zoo=zoo, up="../", levels=LEVELS))
    index = output / "index.html"
    _write(index, front_page(site))
    return index


def front_page(site: Site) -> str:
    """Return the HTML of the front page."""
    return page(
        "index.html.j2",
        site=site,
        up="",
        levels=LEVELS,
        axes=AXES,
        figure=_figure(site) if site.points else None,
        figure_name=FIGURE,
        leeway=LEEWAY,
    )


def page(template: str, **content: Any) -> str:
    """Render a template; every value of a record is escaped."""
    return valid_html(_environment().get_template(template).render(**content))


def _figure(site: Site) -> dict[str, Any]:
    """What the script of the figure reads."""
    signs = site.signs
    return {
        "points": [
            {name: _short(value) for name, value in point.to_json().items()}
            | {"diameter": round(signs.diameter(point), 1)}
            for point in site.points
        ],
        "axes": [
            {"key": a.key, "title": a.title, "rising": a.rising, "span": a.span} for a in AXES
        ],
        "colours": signs.colours,
        "shapes": {name: plotly for name, (_, plotly) in signs.shapes.items()},
        "dataset": site.shown[0].dataset if site.shown else site.points[0].dataset,
    }


def _short(value: Any) -> Any:
    """Six digits are more than any marker shows."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    return [_short(part) for part in value] if isinstance(value, tuple) else value


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("posebench.site", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["one_line"] = one_line
    environment.globals |= {"accuracy_title": accuracy_title, "picture_name": picture_name}
    return environment


def _write(path: Path, content: str | bytes) -> None:
    """Write one file; a site can be made again, so that nothing waits for the disk."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror}.", "Give another folder with --output."
        ) from error


def _write_figures(site: Site, output: Path) -> None:
    from plotly.offline import get_plotlyjs

    # papers are light; the page needs both
    for theme, kinds in (("light", KINDS), ("dark", KINDS[:1])):
        for kind, drawn in static_figure(site.shown, theme, kinds, site.signs).items():
            _write(output / f"{FIGURE}_{theme}.{kind}", drawn)
    _write(output / "plotly.min.js", get_plotlyjs())


def _write_pictures(model: Model, output: Path) -> None:
    for evaluated in model.evaluations:
        for number, shown in enumerate(evaluated.study.people if evaluated.study else ()):
            if shown.image is not None:
                _write(output / picture_name(evaluated.record, number), shown.image)


def picture_name(record: str, number: int) -> str:
    """Return the address of a gallery's picture, from the front page."""
    return f"{record.removesuffix('.json').replace('records/', 'pictures/', 1)}-{number}.jpg"


def _versions(record: Record) -> str:
    ran = record.environment
    return (
        f"posebench {ran.posebench}, Python {ran.python}, torch {ran.torch}, numpy {ran.numpy}, "
        f"OpenCV {ran.opencv}, {ran.platform}"
    )
