"""A nightly run written down: summary, page with histories, JUnit XML, JSON, the report's site."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posebench.files import write_whole
from posebench.nightly.changes import Check
from posebench.nightly.junit import junit
from posebench.nightly.nightly_run import NightlyRun
from posebench.nightly.observation import CEILING
from posebench.records.store import save_all
from posebench.types.record import Record

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

SITE, SUMMARY, JUNIT, JSON = "site", "summary.md", "junit.xml", "nightly.json"
PAGE = "nightly.html"
DRAWN = 400  # points of a history; more stand on top of each other
LISTED = 50  # groups of a summary: a CI shows a megabyte at most
TONES = {
    "same": "good",
    "better": "good",
    "new": "other",
    "not judged": "weak",
    "changed": "bad",
    "worse": "bad",
    "failed": "bad",
}
# What a reader has to know of, the worst first.
TOLD = ("worse", "changed", "failed", "not judged", "better")


def publish(
    run: NightlyRun, output: Path, *, site: Callable[[Sequence[Record], Path], Any] | None = None
) -> None:
    """Write everything into the output folder.

    Args:
        run: To write down.
        output: Folder; what an earlier run left is replaced.
        site: Writes the site of some records; by default ``posebench.site.pages.write_site``.
    """
    records, pages = output / "records", output / SITE
    shutil.rmtree(records, ignore_errors=True)
    save_all(run.records, records)
    if run.records:
        if site is None:
            from posebench.site.pages import write_site

            site = write_site
        shutil.rmtree(pages, ignore_errors=True)
        site(run.records, pages)
    if (index := pages / "index.html").is_file():  # the report knows nothing of the night
        link = f'<a href="{PAGE}">Nightly</a>\n</nav>'
        write_whole(index, index.read_text().replace("</nav>", link, 1).encode())
    write_whole(pages / PAGE, page(run).encode())
    write_whole(output / JUNIT, junit(run))
    write_whole(output / JSON, json.dumps(to_json(run), indent=1).encode() + b"\n")
    write_whole(output / SUMMARY, summary(run).encode())


def verdict(run: NightlyRun) -> str:
    """Say in one sentence how the night was."""
    states = [check.state for check in run.checks]
    bad = sum(check.bad for check in run.checks)
    words = f"{bad or 'None'} of {len(states)} numbers moved where they must not"
    if failed := states.count("failed"):
        words += f"; {failed} could not be run"
    if unjudged := states.count("not judged"):
        words += f"; {unjudged} could not be judged"
    return f"{words}."


def summary(run: NightlyRun) -> str:
    """Return the summary as Markdown, for a terminal as well."""
    lines = [f"# Nightly {run.suite.name}, {run.id}", "", verdict(run)]
    moved = groups(run)
    for entry, state, reasons, told in moved[:LISTED]:
        lines += ["", f"**{_cell(entry)}: {state}**", "", *(f"- {_cell(line)}" for line in told)]
        if reasons:
            lines += ["", "Likely reasons:", ""]
            lines += [f"{n}. {_cell(reason)}" for n, reason in enumerate(reasons, 1)]
    if len(moved) > LISTED:
        lines += ["", f"... and {len(moved) - LISTED} more; {JUNIT} names all of them."]
    if run.changed:
        lines += ["", "New since the last good night:", ""]
        lines += [f"- {fact}: {_cell(change)}" for fact, change in run.changed]
    lines += ["", "| model | what | now | before | state |", "|---|---|---:|---:|---|"]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in rows(run)[: 4 * LISTED]]
    return "\n".join(lines) + "\n"


def to_json(run: NightlyRun) -> dict[str, Any]:
    """Return the run as JSON values."""
    return {
        "suite": run.suite.name,
        "night": run.id,
        "status": run.status,
        "verdict": verdict(run),
        "checks": [check.model_dump(mode="json") for check in run.checks],
        "changed": dict(run.changed),
    }


def page(run: NightlyRun) -> str:
    """Return the page with what moved and every history."""
    return _template().render(
        up="",
        tones=TONES,
        title=f"Nightly {run.suite.name}, {run.id}",
        verdict=verdict(run),
        moved=groups(run),
        changed=run.changed,
        rows=rows(run),
        drawings=list(_drawings(run)),
    )


def rows(run: NightlyRun) -> list[tuple[str, str, str, str, str]]:
    """Return (entry, what, now, before, state) of each number."""
    return [
        (c.entry, c.what or c.kind, _number(c, c.now), _number(c, c.before), c.state)
        for c in run.checks
    ]


def groups(run: NightlyRun) -> list[tuple[str, str, tuple[str, ...], list[str]]]:
    """Return (entry, state, reasons, a line a number) of what moved alike, the worst first."""
    found: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    moved = [check for check in run.checks if check.state in TOLD]
    for check in sorted(moved, key=lambda check: TOLD.index(check.state)):
        found.setdefault((check.entry, check.state, check.reasons), []).append(_words(check))
    return [(*key, lines) for key, lines in found.items()]


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


def _drawings(run: NightlyRun) -> Iterator[tuple[str, Markup]]:
    from posebench.site.svg import history

    for seen in run.observations:
        line = [*run.past.get(seen.key, ()), seen]
        step = -(-len(line) // DRAWN)
        shown = line[::-step][::-1]  # the newest is always among them
        for name in [name for name in seen.values if name != CEILING]:
            found = [
                (each.created, value.measured)
                for each in shown
                if (value := each.values.get(name)) and value.measured is not None
            ]
            if len(found) > 1:
                yield f"{seen.key}: {name}", history(found, name)


@cache
def _template() -> jinja2.Template:
    import jinja2

    # beside this page, the frame of every page
    folders = [jinja2.PackageLoader(f"posebench.{n}", "templates") for n in ("nightly", "site")]
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(folders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template(f"{PAGE}.j2")
