"""Records of one model -> its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from posebench.keypoints import keypoint_set
from posebench.records.formatting import (
    claimed,
    describe_protocol,
    describe_subset,
    is_joint_metric,
    is_subset,
)
from posebench.records.store import file_name
from posebench.site.accuracies import Accuracy, headline, main_metric
from posebench.site.claims import ClaimRow, describe_run, page_name, record_name
from posebench.site.studies import PredictionAnalysis
from posebench.site.svg import history
from posebench.site.timed import Timed, timed
from posebench.timing.published import published_speeds
from posebench.types.entry import Entry
from posebench.types.errors import UserError
from posebench.types.explanation import Explanation
from posebench.types.record import Record

SIZES = (("all sizes", "AP"), ("medium", "APM"), ("large", "APL"))
Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Cell:
    """A value, percent, and its 95 % interval."""

    value: float | None
    interval: Interval


@dataclass(frozen=True)
class Matrix:
    """Metrics (columns) of the parts of the body (rows); None where a part has no such metric."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]


@dataclass(frozen=True)
class Bars:
    """Horizontal bars from 0 to 100 percent.

    Attributes:
        folded: Whether they are shown only when asked for: the many points of faces and hands.
    """

    title: str
    bars: tuple[tuple[str, Cell], ...]
    folded: bool = False


@dataclass(frozen=True)
class Evaluated:
    """One evaluation, the newest of its kind.

    Attributes:
        facts: (name, words).
        beside: (scorer, its metrics), where the dataset's official one is another.
        past: Drawing of the main metric over earlier records of the same kind; may be empty.
        study: What the saved predictions show.
    """

    dataset: str
    protocol: str
    subset: bool
    data: str
    facts: tuple[tuple[str, str], ...]
    scorer: str
    matrix: Matrix
    sizes: tuple[Bars, ...]
    joints: tuple[Bars, ...]
    joint_metric: str
    beside: tuple[tuple[str, Matrix], ...]
    past: Markup
    study: PredictionAnalysis | None
    record: str
    command: str


@dataclass(frozen=True)
class Model:
    """A model's page.

    Attributes:
        page: Its address from the front page.
        facts: About the row of the registry.
        links: (words, address) of pages elsewhere.
        sentence: What was found, in one sentence.
        published: Speeds that its page claims, in words.
        explanations: Why its numbers are others under another protocol.
    """

    entry: Entry
    page: str
    facts: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    sentence: str
    claims: tuple[ClaimRow, ...]
    evaluations: tuple[Evaluated, ...]
    timings: tuple[Timed, ...]
    published: tuple[str, ...]
    explanations: tuple[Explanation, ...]


def models(
    records: Sequence[Record],
    rows: Sequence[ClaimRow],
    measured: Sequence[Accuracy],
    studies: Mapping[str, PredictionAnalysis] | None = None,
    explanations: Sequence[Explanation] = (),
) -> tuple[Model, ...]:
    """Return one page for each model that a record speaks of.

    Args:
        records: From old to new.
        rows: Of the claims table.
        measured: Every accuracy, of each model the one that speaks for it first.
        studies: Address of a record -> what its predictions show.
        explanations: Of any model.
    """
    by_entry: dict[str, list[Record]] = {}
    for record in records:
        by_entry.setdefault(record.entry.key, []).append(record)
    return tuple(
        _model(
            found,
            tuple(row for row in rows if row.entry == key),
            tuple(accuracy for accuracy in measured if accuracy.entry.key == key),
            studies or {},
            tuple(e for e in explanations if e.entry == key),
        )
        for key, found in sorted(by_entry.items())
    )


def _model(
    records: Sequence[Record],
    rows: tuple[ClaimRow, ...],
    measured: tuple[Accuracy, ...],
    studies: Mapping[str, PredictionAnalysis],
    explanations: tuple[Explanation, ...],
) -> Model:
    kept: dict[Path, list[Record]] = {}
    for record in records:
        kept.setdefault(file_name(record), []).append(record)
    series = list(kept.values())
    series.sort(key=lambda past: (is_subset(past[-1]), str(file_name(past[-1]))))
    # the evaluation that speaks for the model stands first, a timing not to be quoted last
    first = {accuracy.record: -place for place, accuracy in enumerate(reversed(measured))}
    series.sort(key=lambda past: first.get(record_name(past[-1]), 0))
    entry = records[-1].entry
    evaluations = [_evaluated(p, studies) for p in series if p[-1].kind == "eval"]
    timings = [timed(p) for p in series if p[-1].timings or p[-1].failure]
    timings.sort(key=lambda found: not found.quotable)
    sources = {claim.source.page for claim in entry.claims}
    facts = [
        ("published by", entry.zoo),
        ("dataset", entry.dataset),
        ("network", f"{entry.network.name}, input {entry.input.size[0]}x{entry.input.size[1]}"),
        ("keypoints", entry.input.keypoints.replace("_", " ")),
        ("licence", entry.licence),
        ("claims from", ", ".join(sorted(sources))),
        ("note", entry.note),
    ]
    return Model(
        entry=entry,
        page=page_name(entry.key),
        facts=tuple((name, words) for name, words in facts if words),
        links=tuple(
            (words, address)
            for words, address in (("The model's own page", entry.homepage),)
            # a third party's record may hold any text
            if address.startswith(("https://", "http://"))
        ),
        sentence=_sentence(entry, rows, measured, timings),
        claims=rows,
        evaluations=tuple(evaluations),
        timings=tuple(timings),
        published=tuple(speed.words for speed in published_speeds(entry)),
        explanations=explanations,
    )


def _sentence(
    entry: Entry,
    rows: Sequence[ClaimRow],
    measured: Sequence[Accuracy],
    timings: Sequence[Timed],
) -> str:
    """Say what was found: the accuracy that speaks for the model, and how fast it is."""
    rates = [timed.rate for timed in timings if timed.rate and timed.quotable]
    speed = f" Timed at {rates[0]}." if rates else ""
    best, claim = headline(measured), entry.primary
    if best is None or best.value is None:
        wanted = f" Its page claims {claim.metric} {claimed(claim)}." if claim else ""
        return f"Its accuracy has not been measured.{wanted}{speed}"
    low, high = best.interval or (None, None)
    span = "" if low is None else f" ({low:.1f} to {high:.1f} with 95 % confidence)"
    usual = best.own and best.dataset == entry.dataset
    under = "" if usual else f" under {best.protocol} on {best.dataset}"
    found = f"{best.metric} {best.value:.2f} measured{under}{span}"
    # a claim whose protocol could not be met was judged in the same record, under its own name
    judged = next(
        (r for r in rows if r.primary and (r.record, r.measured) == (best.record, best.value)), None
    )
    if judged is not None:
        return f"{found}, {judged.claimed} claimed: {judged.verdict}. {judged.meaning}{speed}"
    part = "" if best.kind == "whole" else f" A part of the dataset: {best.persons:,} persons."
    if claim is None:
        return f"{found}.{part}{speed}"
    theirs = f" under {claim.protocol}" if claim.protocol else ""
    rest = f"The claim, {claim.metric} {claimed(claim)}{theirs}, was not measured."
    return f"{found}.{part} {rest}{speed}"


def _evaluated(past: Sequence[Record], studies: Mapping[str, PredictionAnalysis]) -> Evaluated:
    record = past[-1]
    metric = main_metric(record.entry, record.scores)
    values = [(r.created, value) for r in past if (value := r.scores.get(metric or "")) is not None]
    joint_metric, joints = _joints(record)
    return Evaluated(
        dataset=record.dataset.id if record.dataset else "",
        protocol=record.protocol.label if record.protocol else "",
        subset=is_subset(record),
        data=describe_subset(record),
        facts=_facts(record),
        scorer=record.scorer or "",
        matrix=matrix(record.scores, record.intervals),
        sizes=_sizes(record),
        joints=joints,
        joint_metric=joint_metric,
        beside=tuple((other.scorer, matrix(other.scores, other.intervals))
                     for other in record.official_scores),
        past=history(values, metric or "") if len(values) > 1 else Markup(""),
        study=studies.get(record_name(record)),
        record=record_name(record),
        command=record.command,
    )  # fmt: skip


def matrix(
    scores: Mapping[str, float | None], intervals: Mapping[str, tuple[float, float]]
) -> Matrix:
    """Arrange all metrics but those of single joints: parts of the body below each other."""
    cells: dict[str, dict[str, Cell]] = {}
    for name, value in scores.items():
        if is_joint_metric(name):
            continue
        first, _, second = name.partition("/")
        part, column = (first, second) if second else ("", first)
        if first.startswith("PCKh"):
            part, column = first, second or "all"
        cells.setdefault(part, {})[column] = Cell(value, intervals.get(name))
    columns = tuple(dict.fromkeys(column for row in cells.values() for column in row))
    rows = tuple((part, tuple(row.get(c) for c in columns)) for part, row in cells.items())
    return Matrix(columns, rows)


def _joints(record: Record) -> tuple[str, tuple[Bars, ...]]:
    """Bars of single keypoints; those of faces and hands are folded away."""
    found = {name: value for name, value in record.scores.items() if is_joint_metric(name)}
    if not found or not record.dataset:
        return "", ()
    metric = next(iter(found)).partition("/")[0]
    bars = [
        (name.partition("/")[2].replace("_", " "), Cell(value, record.intervals.get(name)))
        for name, value in found.items()
    ]
    try:
        whole = keypoint_set(record.dataset.keypoint_set).body_and_feet()
    except UserError:
        whole = len(bars)
    groups = [Bars("", tuple(bars[:whole]))]
    if bars[whole:]:
        title = f"Face and hands: {len(bars) - whole} keypoints"
        groups.append(Bars(title, tuple(bars[whole:]), folded=True))
    return metric, tuple(groups)


def _sizes(record: Record) -> tuple[Bars, ...]:
    parts = dict.fromkeys(
        name.rpartition("/")[0] for name in record.scores if name.rpartition("/")[2] == "APM"
    )
    return tuple(
        Bars(
            part,
            tuple(
                (words, Cell(record.scores.get(name), record.intervals.get(name)))
                for words, metric in SIZES
                for name in [f"{part}/{metric}" if part else metric]
            ),
        )
        for part in parts
    )


def _facts(record: Record) -> tuple[tuple[str, str], ...]:
    """The record in words."""
    ran, boxes = record.environment, record.boxes
    of_boxes = ""
    if boxes:
        of_boxes = f"{boxes.source}: {boxes.read:,} read, {boxes.used:,} used, {boxes.kept:,} kept"
        of_boxes += "" if boxes.box_ap is None else f"; box AP {boxes.box_ap:.1f}"
    coverage = "" if record.coverage is None else f"{100 * record.coverage:g} % loaded"
    weights = ", ".join(w for w in (coverage, record.checkpoint_name or "") if w)
    digest = (record.checkpoint_sha256 or "")[:12]
    facts = [
        ("data", describe_subset(record)),
        ("annotations", record.dataset.annotations if record.dataset else ""),
        ("protocol", describe_protocol(record.protocol) if record.protocol else ""),
        ("boxes", of_boxes),
        ("weights", f"{weights} (SHA-256 {digest}…)" if digest else weights),
        ("scored by", record.scorer or ""),
        ("ran on", f"{describe_run(record)}, {ran.platform}, {ran.device}, batch {ran.batch_size}"),
        (
            "versions",
            f"posebench {ran.posebench}, Python {ran.python}, torch {ran.torch}, "
            f"numpy {ran.numpy}, OpenCV {ran.opencv}",
        ),
        ("took", "" if record.seconds is None else f"{record.seconds:,.0f} s"),
        ("measured", f"{record.created:%Y-%m-%d %H:%M} UTC"),
        *(("note", note) for note in record.notes),
    ]
    return tuple((name, words) for name, words in facts if words)
