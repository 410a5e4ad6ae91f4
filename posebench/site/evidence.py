"""How far each row of a registry was proven, counted from what was verified and measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from posebench.records.formatting import claimed
from posebench.site.background import Background
from posebench.site.claims import TONES, ClaimRow, page_name
from posebench.types.dataset import DatasetSpec
from posebench.types.entry import Entry
from posebench.types.record import Record

# Each level with what has to be there for it.
LEVELS = (
    ("listed", "The row is in the registry, with every number that its page prints."),
    (
        "file format read",
        "A file as the zoo publishes it filled every weight of the network.",
    ),
    (
        "network equals the original's",
        "With the same weights and input it computes what the zoo's own code computed.",
    ),
    (
        "whole chain equals the reference",
        "From image file to score it reaches the numbers that the zoo's own code reached.",
    ),
    (
        "real weights on real images",
        "The published weights were evaluated on images of the dataset itself.",
    ),
    (
        "published number reproduced",
        "The whole dataset, under the claim's own protocol, gives the number that was published.",
    ),
)
VERIFIED = "ok"
LOADED = (VERIFIED, "structure only")
UNMEASURED = "not measured"


@dataclass(frozen=True)
class ZooRow:
    """One row of a zoo.

    Attributes:
        name: Its id; ``title`` is the published one.
        status: In the registry; whether the weights are here is not a matter of the page.
        claim: Metric and published number; empty where there is none.
        page: Address of its page from the front page; empty without records.
        levels: Whether each of ``LEVELS`` was shown.
        verdict: Of the primary claim.
    """

    name: str
    title: str
    dataset: str
    status: str
    claim: str
    page: str
    levels: tuple[bool, ...]
    verdict: str
    tone: str
    subset: bool


@dataclass(frozen=True)
class Zoo:
    """One zoo.

    Attributes:
        page: Its address from the front page.
        levels: How many rows show each of ``LEVELS``.
        verdicts: (verdict, tone, number of rows), by primary claim, the best first; a verdict
            that was reached on a subset is not counted.
        verified: Whether anything was verified at all.
    """

    slug: str
    title: str
    page: str
    rows: tuple[ZooRow, ...]
    levels: tuple[int, ...]
    verdicts: tuple[tuple[str, str, int], ...]
    verified: bool


def zoos(
    records: Sequence[Record], rows: Sequence[ClaimRow], background: Background
) -> tuple[Zoo, ...]:
    """Return every zoo of the registry and of the records.

    Args:
        records: From old to new.
        rows: Of the claims table.
        background: Registry, verification and recorded references.
    """
    entries = {entry.key: entry for entry in background.entries}
    # a record of a row that the registry does not have is evidence, too
    entries |= {r.entry.key: r.entry for r in records if r.entry.key not in entries}
    by_entry: dict[str, list[Record]] = {key: [] for key in entries}
    for record in records:
        by_entry[record.entry.key].append(record)
    primary = _primary_verdicts(rows)
    by_zoo: dict[str, list[ZooRow]] = {}
    for entry in entries.values():
        row = _row(entry, by_entry[entry.key], primary.get(entry.key), background)
        by_zoo.setdefault(entry.zoo, []).append(row)
    return tuple(_zoo(slug, found, background) for slug, found in sorted(by_zoo.items()))


def zoo_page_name(slug: str) -> str:
    """Return the address of a zoo's page, from the front page."""
    return f"zoos/{slug}.html"


def _zoo(slug: str, rows: Sequence[ZooRow], background: Background) -> Zoo:
    found = Counter((row.verdict, row.tone) for row in rows if not row.subset)
    order = (*TONES, "none")
    verdicts = sorted(found.items(), key=lambda item: (order.index(item[0][1]), item[0][0]))
    return Zoo(
        slug=slug,
        title=background.titles.get(slug, slug),
        page=zoo_page_name(slug),
        rows=tuple(rows),
        levels=tuple(sum(row.levels[level] for row in rows) for level in range(len(LEVELS))),
        verdicts=tuple((verdict, kind, count) for (verdict, kind), count in verdicts),
        verified=bool(background.verified),
    )


def _primary_verdicts(rows: Sequence[ClaimRow]) -> dict[str, ClaimRow]:
    """The row that speaks for each model: of a whole dataset before a subset, then the newest."""
    found: dict[str, ClaimRow] = {}
    for row in rows:
        if row.primary and (row.entry not in found or found[row.entry].subset or not row.subset):
            found[row.entry] = row
    return found


def _row(
    entry: Entry, records: Sequence[Record], verdict: ClaimRow | None, background: Background
) -> ZooRow:
    claim = entry.primary
    return ZooRow(
        name=entry.id,
        title=entry.title,
        dataset=entry.dataset,
        status=entry.status,
        claim=f"{claim.metric} {claimed(claim)}" if claim else "",
        page=page_name(entry.key) if records else "",
        levels=_levels(entry, records, verdict, background),
        verdict=verdict.verdict if verdict else UNMEASURED,
        tone=verdict.tone if verdict else "none",
        subset=bool(verdict and verdict.subset),
    )


def _levels(
    entry: Entry, records: Sequence[Record], verdict: ClaimRow | None, background: Background
) -> tuple[bool, ...]:
    status = background.verified.get(entry.key)
    loaded = [r for r in records if r.kind == "eval" and r.coverage == 1.0]
    references = background.references.get(entry.key, ())
    return (
        True,
        status in LOADED or bool(loaded),
        status == VERIFIED,
        any(reference.equals(record) for reference in references for record in loaded),
        any(_is_real(record, background.datasets) for record in loaded),
        bool(verdict and verdict.verdict == "reproduced" and not verdict.subset),
    )


def _is_real(record: Record, datasets: Mapping[str, DatasetSpec]) -> bool:
    """Whether its images were taken by somebody, not drawn by posebench itself."""
    spec = datasets.get(record.dataset.id) if record.dataset else None
    # only what posebench draws needs no file
    return record.dataset is not None and (spec is None or bool(spec.files or spec.homepage))
