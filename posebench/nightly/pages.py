"""A night written down: summary, page with histories, JUnit XML, JSON, and the report's site."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posebench.nightly.changes import Check
from posebench.nightly.junit import junit
from posebench.nightly.night import NOT_RUN, REGRESSION, Night
from posebench.nightly.observation import CEILING
from posebench.records.files import write_whole
from posebench.records.store import save_all
from posebench.types.record import Record

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

SITE, SUMMARY, JUNIT, JSON = "site", "summary.md", "junit.xml", "nightly.json"
PAGE = "nightly.html"
DRAWN = 400  # points of a history; more stand on top of each other
TONES = {
    "same": "good",
    "better": "good",
    "new": "other",
    "not judged": "weak",
    "changed": "bad",
    "worse": "bad",
    "failed": "bad",
}
LISTED = 50  # lines of a summary: a CI shows a megabyte at most


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    entry: str
    what: str
    now: str
    before: str
    state: str


@dataclass(frozen=True)
class Group:
    """Numbers of one model that moved alike.

    Attributes:
        reasons: The likeliest first.
        lines: A number each.
    """

    entry: str
    state: str
    reasons: tuple[str, ...]
    lines: tuple[str, ...]


def publish(
    night: Night, output: Path, *, site: Callable[[Sequence[Record], Path], Any] | None = None
) -> None:
    """Write everything into the output folder.

    Args:
        night: To write down.
        output: Folder; what an earlier night left is replaced.
        site: Writes the site of some records; by default ``posebench.report.write_site``.
    """
    records = output / "records"
    shutil.rmtree(records, ignore_errors=True)
    save_all(night.records, records)
    if night.records:
        if site is None:
            from posebench.report import write_site

            site = write_site
        shutil.rmtree(output / SITE, ignore_errors=True)
        site(night.records, output / SITE)
    _link(output / SITE / "index.html")
    write_whole(output / SITE / PAGE, page(night).encode())
    write_whole(output / JUNIT, junit(night))
    write_whole(output / JSON, json.dumps(to_json(night), indent=1).encode() + b"\n")
    write_whole(output / SUMMARY, summary(night).encode())


def _link(index: Path) -> None:
    """Lead from the front page to the night, of which the report knows nothing."""
    if index.is_file():
        link = f'<a href="{PAGE}">Nightly</a>\n</nav>'
        write_whole(index, index.read_text().replace("</nav>", link, 1).encode())


def verdict(night: Night) -> str:
    """Say in one sentence how the night was."""
    bad = [check for check in night.checks if check.bad]
    failed = [check for check in night.checks if check.state == "failed"]
    unjudged = sum(check.state == "not judged" for check in night.checks)
    words = f"{len(night.checks)} numbers"
    if night.status == REGRESSION:
        words = f"{len(bad)} of {words} moved where they must not"
    elif night.status == NOT_RUN:
        words = f"{words}; none moved where it must not"
    else:
        words = f"{words}, and none moved where it must not"
    if failed:
        words += f"; {len(failed)} could not be run"
    if unjudged:
        words += f"; {unjudged} could not be judged"
    return f"{words}."


def summary(night: Night) -> str:
    """Return the summary as Markdown, for a terminal as well."""
    lines = [f"# Nightly {night.suite.name}, {night.id}", "", verdict(night)]
    moved = groups(night)
    for group in moved[:LISTED]:
        lines += ["", f"**{_cell(group.entry)}: {group.state}**", ""]
        lines += [f"- {_cell(line)}" for line in group.lines]
        if group.reasons:
            lines += ["", "Likely reasons:", ""]
            lines += [f"{n}. {_cell(reason)}" for n, reason in enumerate(group.reasons, 1)]
    if len(moved) > LISTED:
        lines += ["", f"... and {len(moved) - LISTED} more; {JUNIT} names all of them."]
    if night.changed:
        lines += ["", "New since the last good night:", ""]
        lines += [f"- {fact}: {_cell(change)}" for fact, change in night.changed]
    lines += ["", "| model | what | now | before | state |", "|---|---|---:|---:|---|"]
    for row in rows(night)[: 4 * LISTED]:
        cells = (row.entry, row.what, row.now, row.before, row.state)
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def to_json(night: Night) -> dict[str, Any]:
    """Return the night as JSON values."""
    return {
        "suite": night.suite.name,
        "night": night.id,
        "status": night.status,
        "verdict": verdict(night),
        "checks": [check.model_dump(mode="json") for check in night.checks],
        "changed": dict(night.changed),
    }


def page(night: Night) -> str:
    """Return the page with what moved and every history."""
    return (
        _environment()
        .get_template(f"{PAGE}.j2")
        .render(
            up="",
            tones=TONES,
            title=f"Nightly {night.suite.name}, {night.id}",
            verdict=verdict(night),
            moved=groups(night),
            changed=night.changed,
            rows=rows(night),
            drawings=list(_drawings(night)),
        )
    )


def rows(night: Night) -> list[Row]:
    """Return a line a number."""
    return [
        Row(
            check.entry,
            check.what or check.kind,
            _number(check, check.now),
            _number(check, check.before),
            check.state,
        )
        for check in night.checks
    ]


def groups(night: Night) -> list[Group]:
    """Return what a reader has to know of, the worst first; what has the same reasons is one."""
    order = ("worse", "changed", "failed", "not judged", "better")
    found: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    moved = [check for check in night.checks if check.state in order]
    for check in sorted(moved, key=lambda check: order.index(check.state)):
        key = (check.entry, check.state, check.reasons)
        found.setdefault(key, []).append(_words(check))
    return [Group(*key, tuple(lines)) for key, lines in found.items()]


def _words(check: Check) -> str:
    """``AP under ...: 59.14 on 2025-01-01 -> 57.84, moved by ...``."""
    parts = [check.words] if check.words else []
    if check.before is not None:
        before, now = _number(check, check.before), _number(check, check.now)
        if check.kind == "speed":
            parts.insert(0, f"usually {before}, now {now}")
        else:
            since = f" on {check.since:%Y-%m-%d}" if check.since else ""
            parts.insert(0, f"{before}{since} -> {now}")
    return f"{check.what or check.kind}: {', '.join(parts)}"


def _number(check: Check, value: float | None) -> str:
    if value is None:
        return "-"
    if check.kind == "speed":  # what was stored before rates had units has none
        return f"{value:,.4g} {check.unit}".rstrip()
    return f"{value:.2f}"


def _cell(text: str) -> str:
    """Text that ends no cell, opens no tag and no link."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(safe.replace("[", "\\[").split())


def _drawings(night: Night) -> Iterator[tuple[str, Markup]]:
    from posebench.report.drawings import history

    for seen in night.observations:
        line = [*night.past.get(seen.key, ()), seen]
        step = -(-len(line) // DRAWN)
        shown = line[::-step][::-1]  # the newest is always among them
        for name in seen.values:
            if name == CEILING:
                continue
            found = [
                (each.created, value.measured)
                for each in shown
                if (value := each.values.get(name)) and value.measured is not None
            ]
            if len(found) > 1:
                yield f"{seen.key}: {name}", history(found, name)


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("posebench.nightly", "templates"),
                jinja2.PackageLoader("posebench.report", "templates"),  # the frame of every page
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
