"""Records -> the rows and points of a page; no drawing and no HTML here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from posebench.records.words import claimed, is_subset, protocol_words, subset_words, verdict_words
from posebench.types.protocol import Protocol
from posebench.types.record import ClaimResult, Record, Timings

# Verdict -> the class of its badge; the beginning of the verdict decides.
TONES = (
    ("reproduced", "good"),
    ("not contradicted", "weak"),
    ("contradicted", "bad"),
    ("differs", "bad"),
    ("not comparable", "other"),
    ("no claim", "other"),
)


@dataclass(frozen=True)
class ClaimRow:
    """One line of the claims table.

    Attributes:
        claimed: As published, in percent where the page had a fraction.
        measured: Percent; None where it was not measured.
        difference: measured - claimed.
        interval: 95 % interval of ``measured``.
        tone: ``good``, ``weak``, ``bad`` or ``other``.
        meaning: The verdict as a sentence.
        protocol: Key of the protocol.
        protocol_words: Its choices in words; empty where the record does not carry them.
        persons: Annotated persons that counted.
        coverage: Share of the weights that came from the checkpoint, percent.
    """

    entry: str
    title: str
    dataset: str
    metric: str
    claimed: str
    measured: float | None
    difference: float | None
    interval: tuple[float, float] | None
    verdict: str
    tone: str
    meaning: str
    protocol: str
    protocol_words: str
    evidence: str
    persons: int
    data: str
    subset: bool
    coverage: float | None


@dataclass(frozen=True)
class Point:
    """One model in the accuracy-speed figure.

    Attributes:
        speed: Persons a second; of a bottom-up model its images a second times the persons it
            found in each.
        spread: Interquartile range of the timing over its median.
        accuracy: AP, percent.
        interval: 95 % interval of the AP.
        parameters: Elements of the network's weights.
        hardware: Device, threads and batch, in words.
    """

    entry: str
    name: str
    dataset: str
    speed: float
    spread: float
    accuracy: float
    interval: tuple[float, float] | None
    parameters: int
    hardware: str
    subset: bool
    persons: int


@dataclass(frozen=True)
class Page:
    """Everything the template shows.

    Attributes:
        counts: (verdict, tone, number of claims).
    """

    rows: tuple[ClaimRow, ...]
    points: tuple[Point, ...]
    counts: tuple[tuple[str, str, int], ...]
    models: int
    versions: tuple[str, ...]
    commands: tuple[str, ...]
    newest: str


def page(records: Sequence[Record]) -> Page:
    """Collect what a page of these records shows.

    Args:
        records: Evaluations and timings in any order; a later measurement of the same claim
            under the same protocol on the same data replaces an earlier one.
    """
    ordered = sorted(records, key=lambda record: record.created)
    known = {
        r.protocol.key: r.protocol for r in ordered if r.protocol and r.protocol.name != "custom"
    }
    latest: dict[tuple[object, ...], ClaimRow] = {}
    for record in ordered:
        for result in record.claims:
            key = (record.entry.key, record.environment.device, result.claim, _data_key(record))
            latest[key] = _row(record, result, known)
    rows = tuple(sorted(latest.values(), key=lambda row: (row.dataset, row.entry)))
    return Page(
        rows=rows,
        points=_points(ordered),
        counts=_counts(rows),
        models=len({record.entry.key for record in ordered}),
        versions=tuple(sorted({_versions(record) for record in ordered})),
        commands=tuple(dict.fromkeys(record.command for record in ordered if record.command)),
        newest=ordered[-1].created.strftime("%Y-%m-%d %H:%M UTC") if ordered else "",
    )


def tone(verdict: str) -> str:
    """Return the class of a verdict: ``good``, ``weak``, ``bad`` or ``other``."""
    return next((kind for start, kind in TONES if verdict.startswith(start)), "other")


def _data_key(record: Record) -> tuple[object, ...]:
    data = record.dataset
    return (data.annotations_sha256, data.images, data.limit) if data else ()


def _row(record: Record, result: ClaimResult, known: dict[str, Protocol]) -> ClaimRow:
    claim = result.claim
    protocol = known.get(claim.protocol or "")
    return ClaimRow(
        entry=record.entry.key,
        title=record.entry.title,
        dataset=record.entry.dataset,
        metric=claim.metric,
        claimed=claimed(claim),
        measured=result.measured,
        difference=result.difference,
        interval=result.interval,
        verdict=result.verdict,
        tone=tone(result.verdict),
        meaning=verdict_words(result, record),
        protocol=claim.protocol or "",
        protocol_words=protocol_words(protocol) if protocol else "",
        evidence=claim.evidence,
        persons=record.dataset.persons if record.dataset else 0,
        data=subset_words(record),
        subset=is_subset(record),
        coverage=None if record.coverage is None else 100 * record.coverage,
    )


def _points(records: Sequence[Record]) -> tuple[Point, ...]:
    """Join each timing with an AP of the same model; ``records`` from old to new.

    The last one in order wins: whole datasets over subsets, then the protocol of the model's
    primary claim over others, then the newest.
    """
    evaluations = [r for r in records if r.kind == "eval" and r.scores.get("AP") is not None]
    evaluations.sort(key=lambda r: (not is_subset(r), _under_primary(r)))
    accuracy = {record.entry.key: record for record in evaluations}
    points: dict[tuple[object, ...], Point] = {}
    for record in records:
        timing, found = record.timings, accuracy.get(record.entry.key)
        if timing is None or found is None:
            continue
        points[record.entry.key, timing.device, timing.threads, timing.batch_size] = Point(
            entry=record.entry.key,
            name=record.entry.id,
            dataset=record.entry.dataset,
            speed=timing.persons_per_second * _persons_an_image(found, timing),
            spread=timing.relative_iqr,
            accuracy=found.scores["AP"] or 0.0,
            interval=found.intervals.get("AP"),
            parameters=timing.parameters,
            hardware=_hardware(found, timing),
            subset=is_subset(found),
            persons=found.dataset.persons if found.dataset else 0,
        )
    return tuple(sorted(points.values(), key=lambda point: point.speed))


def _persons_an_image(record: Record, timing: Timings) -> float:
    """Persons that one row of a batch gave: 1 where each is cut out."""
    if timing.counted == "persons" or record.boxes is None or record.dataset is None:
        return 1.0
    return record.boxes.kept / max(record.dataset.images, 1)


def _hardware(record: Record, timing: Timings) -> str:
    words = f"{timing.device}, {timing.threads} threads, batch {timing.batch_size}"
    if timing.counted == "images":
        each = _persons_an_image(record, timing)
        rate = f"{timing.persons_per_second:,.0f} images/s"
        words += f"; {rate} with {each:.1f} persons found in each"
    return words


def _under_primary(record: Record) -> bool:
    claim = record.entry.primary
    return (
        claim is not None and record.protocol is not None and claim.protocol == record.protocol.key
    )


def _counts(rows: Sequence[ClaimRow]) -> tuple[tuple[str, str, int], ...]:
    """Count verdicts; what a subset shows stays apart from what the whole dataset shows."""
    found = Counter(row.verdict.partition(" (n=")[0] + _where(row) for row in rows)
    order = [kind for _, kind in TONES]
    best_first = sorted(found.items(), key=lambda item: (order.index(tone(item[0])), item[0]))
    return tuple((verdict, tone(verdict), count) for verdict, count in best_first)


def _where(row: ClaimRow) -> str:
    return " (subset)" if row.subset else ""


def _versions(record: Record) -> str:
    ran = record.environment
    return (
        f"posebench {ran.posebench}, Python {ran.python}, torch {ran.torch}, numpy {ran.numpy}, "
        f"OpenCV {ran.opencv}, {ran.platform}"
    )
