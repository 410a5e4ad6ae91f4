"""Records -> the points of the accuracy-speed figure: each timing beside an accuracy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from posebench.records.words import claimed, is_subset
from posebench.report.claims import page_name
from posebench.types.entry import Claim, Entry
from posebench.types.record import Record
from posebench.types.timing import Timings

Kind = Literal["whole", "subset", "claimed"]
MILLI, MEGA = 1e-3, 1e6
MEASURED_WEIGHT = 3  # of a measured point beside a claimed one, for what is shown first
# What a model's accuracy is called where its claims do not say: the first that a record has.
MAIN_METRICS = ("AP", "fullbody/AP", "wholebody/AP", "PCKh@0.5")


@dataclass(frozen=True)
class Accuracy:
    """What one model reaches on one dataset under one protocol.

    Attributes:
        kind: Measured on the ``whole`` dataset or a ``subset`` of it, or ``claimed`` alone.
        value: Percent; ``claim`` is the published one, where there is one.
        own: Whether the protocol is that of the model's primary claim.
    """

    entry: Entry
    dataset: str
    metric: str
    protocol: str
    own: bool
    kind: Kind
    value: float
    interval: tuple[float, float] | None
    claim: str | None
    images: int = 0
    persons: int = 0
    each: float | None = None
    command: str = ""


@dataclass(frozen=True)
class Point:
    """One model in the figure; lengths of time in ms, accuracy in percent.

    Attributes:
        speed: Persons a second, the network alone; of a bottom-up model its images a second times
            the persons it found in each; None where those are not known.
        speed_span: The same at the quartiles of the samples.
        whole: Persons a second from image file to keypoints.
        latency: Of one batch, the median; ``latency_span`` its quartiles.
        gflops: Of one person, without its mirror image: two for each multiply-accumulate.
        parameters: Millions.
        joules: For 1,000 persons.
        hardware: Processor or accelerator, or where that is not known, its kind.
        form: Of the network: precision, layout, compiler, runtime.
        size: Of the input, height x width.
        note: What else to know before quoting it.
        command: Times it again.
    """

    entry: str
    name: str
    zoo: str
    page: str
    dataset: str
    metric: str
    protocol: str
    own: bool
    kind: Kind
    accuracy: float
    interval: tuple[float, float] | None
    claimed: float | None
    images: int
    persons: int
    speed: float | None
    speed_span: tuple[float, float] | None
    whole: float | None
    latency: float
    latency_span: tuple[float, float]
    gflops: float | None
    parameters: float
    joules: float | None
    hardware: str
    form: str
    batch: str
    size: str
    note: str
    command: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the page's script."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Axis:
    """One choice of the horizontal axis.

    Attributes:
        key: Field of ``Point``.
        title: With its unit.
        rising: Whether more is better.
    """

    key: str
    title: str
    rising: bool
    span: str | None = None


AXES = (
    Axis("speed", "Persons per second, network alone", True, "speed_span"),
    Axis("whole", "Persons per second, image file to keypoints", True),
    Axis("latency", "Milliseconds a batch, network alone", False, "latency_span"),
    Axis("gflops", "GFLOP per person", False),
    Axis("parameters", "Parameters, millions", False),
    Axis("joules", "Joules per 1,000 persons", False),
)


def points(records: Sequence[Record]) -> tuple[Point, ...]:
    """Join every timing with every accuracy of the same model.

    Where nothing was measured, the primary claim stands in, and its ``kind`` says so.

    Args:
        records: From old to new; the newest of equal measurements counts.
    """
    measured = accuracies(records)
    found: dict[tuple[object, ...], Point] = {}
    for record in records:
        timing = record.timings
        if timing is None:
            continue
        for accuracy in measured.get(record.entry.key) or _claimed_alone(record.entry):
            point = _point(record, timing, accuracy)
            cell = (point.hardware, point.form, point.batch, timing.threads)
            key = (point.entry, point.dataset, point.protocol, *cell)
            found[key] = point
    return tuple(sorted(found.values(), key=lambda p: (p.dataset, p.speed or 0.0, p.entry)))


def accuracies(records: Sequence[Record]) -> dict[str, tuple[Accuracy, ...]]:
    """Return what each model reaches: one a dataset and protocol.

    A whole dataset stands before a subset of it, and the newest before earlier ones.

    Args:
        records: From old to new.
    """
    found: dict[tuple[str, str, str], Accuracy] = {}
    for record in sorted(records, key=lambda r: not is_subset(r)):
        if record.kind != "eval":
            continue
        for accuracy in _of_record(record):
            found[record.entry.key, accuracy.dataset, accuracy.protocol] = accuracy
    by_entry: dict[str, tuple[Accuracy, ...]] = {}
    for (entry, _, _), accuracy in found.items():
        by_entry[entry] = (*by_entry.get(entry, ()), accuracy)
    return by_entry


def _of_record(record: Record) -> list[Accuracy]:
    entry = record.entry
    metric = main_metric(entry, record.scores)
    if metric is None or not record.dataset:
        return []
    own = entry.primary.protocol if entry.primary else entry.protocol
    kind: Kind = "subset" if is_subset(record) else "whole"
    boxes, images = record.boxes, record.dataset.images

    def accuracy(key: str, value: float, interval: tuple[float, float] | None) -> Accuracy:
        claim = _claim_under(entry, metric, key)
        return Accuracy(
            entry, record.dataset.id if record.dataset else "", metric, key, key == own, kind,
            value, interval, claimed(claim) if claim else None,
            images, record.dataset.persons if record.dataset else 0,
            boxes.kept / images if boxes and images else None, record.command,
        )  # fmt: skip

    found = []
    for result in record.claims:
        key, value = result.claim.protocol, result.scores.get(metric)
        # a claim whose protocol was not met says nothing under that name
        if key and value is not None and not result.axes:
            interval = result.interval if result.claim.metric == metric else None
            found.append(accuracy(key, value, interval))
    value = record.scores[metric]
    if record.protocol and value is not None:
        key = record.protocol.label
        found = [other for other in found if other.protocol != key]
        found.append(accuracy(key, value, record.intervals.get(metric)))
    return found


def main_metric(entry: Entry, scores: Mapping[str, float | None]) -> str | None:
    """Return the metric that speaks for a model: that of its primary claim, else a usual one."""
    wanted = (entry.primary.metric,) if entry.primary else ()
    return next((name for name in (*wanted, *MAIN_METRICS) if scores.get(name) is not None), None)


def _claim_under(entry: Entry, metric: str, protocol: str) -> Claim | None:
    return next((c for c in entry.claims if (c.metric, c.protocol) == (metric, protocol)), None)


def _claimed_alone(entry: Entry) -> tuple[Accuracy, ...]:
    claim = entry.primary
    if claim is None:
        return ()
    return (
        Accuracy(
            entry, entry.dataset, claim.metric, claim.protocol or "", True, "claimed",
            claim.value, None, claimed(claim),
        ),
    )  # fmt: skip


def _point(record: Record, timing: Timings, accuracy: Accuracy) -> Point:
    entry, cell = record.entry, record.cell
    each = 1.0 if timing.counted == "persons" else accuracy.each
    low, middle, high = (float(q) for q in np.percentile(timing.seconds, (25, 50, 75)))
    rate = timing.persons_per_second
    span = (rate * middle / high, rate * middle / low) if low > 0 else (rate, rate)
    whole = record.end_to_end
    plural = "" if timing.threads == 1 else "s"
    threads = f", {timing.threads} thread{plural}" if timing.device == "cpu" else ""
    return Point(
        entry=entry.key,
        name=entry.id,
        zoo=entry.zoo,
        page=page_name(entry.key),
        dataset=accuracy.dataset,
        metric=accuracy.metric,
        protocol=accuracy.protocol,
        own=accuracy.own,
        kind=accuracy.kind,
        accuracy=accuracy.value,
        interval=accuracy.interval,
        claimed=None if accuracy.claim is None else float(accuracy.claim),
        images=accuracy.images,
        persons=accuracy.persons,
        speed=None if each is None else rate * each,
        speed_span=None if each is None else (span[0] * each, span[1] * each),
        whole=whole.persons_per_second if whole else None,
        latency=middle / MILLI,
        latency_span=(low / MILLI, high / MILLI),
        gflops=None if timing.gmacs is None else 2 * timing.gmacs,
        parameters=timing.parameters / MEGA,
        joules=timing.joules_per_1000,
        hardware=f"{cell.hardware if cell else timing.device}{threads}",
        form=timing.form,
        batch=f"{timing.batch_size}{' with flip' if timing.flip else ''}",
        size="{}x{}".format(*entry.input.size),
        note=_note(timing, each),
        command=rerun(record),
    )


def rerun(record: Record) -> str:
    """Return the command that measures one record again, where its own one measures many."""
    words = record.command.split(" ")
    if words[:2] != ["posebench", "speed"] or record.entry.key in words:
        return record.command
    if "--all" not in words and len(words) > 2 and not words[2].startswith("-"):
        return record.command
    options = " ".join(word for word in words[2:] if word != "--all")
    return f"posebench speed {record.entry.key} {options}".rstrip()


def _note(timing: Timings, each: float | None) -> str:
    words = [f"not to be quoted: {flag}" for flag in timing.flags]
    if timing.counted == "images":
        rate = f"{timing.persons_per_second:,.4g} images/s"
        words.append(rate if each is None else f"{rate} with {each:.1f} persons found in each")
    return "; ".join(words)


def frontier(
    shown: Iterable[Point], axis: Axis
) -> tuple[Literal["measured", "claimed"], list[Point]]:
    """Return the points that no other one beats in both accuracy and the axis.

    Only accuracies of whole datasets take part; where fewer than two were measured, the claimed
    ones do.

    Args:
        shown: Points of one dataset.
        axis: Of the figure.

    Returns:
        Which accuracies took part, and the frontier by rising axis.
    """
    known = [point for point in shown if getattr(point, axis.key) is not None]
    measured = [point for point in known if point.kind == "whole"]
    kind: Literal["measured", "claimed"] = "measured" if len(measured) > 1 else "claimed"
    entrants = measured if kind == "measured" else [p for p in known if p.kind == "claimed"]
    position: Callable[[Point], float] = lambda p: getattr(p, axis.key)  # noqa: E731
    best_first = sorted(
        entrants, key=lambda p: (position(p) * (-1 if axis.rising else 1), -p.accuracy)
    )
    found: list[Point] = []
    for point in best_first:
        if not found or point.accuracy > found[-1].accuracy:
            found.append(point)
    return kind, sorted(found, key=position)


def usual_dataset(all_points: Sequence[Point]) -> str:
    """Return the dataset of most models, a measured one counting as several claimed ones."""
    weight = Counter[str]()
    for dataset, _, kind in {(p.dataset, p.entry, p.kind) for p in all_points}:
        weight[dataset] += 1 if kind == "claimed" else MEASURED_WEIGHT
    return max(sorted(weight), key=lambda name: weight[name], default="")


def first_view(all_points: Sequence[Point]) -> tuple[Point, ...]:
    """Return what the figure shows before anything is chosen: own protocols, usual dataset."""
    dataset = usual_dataset(all_points)
    return tuple(
        p for p in all_points if p.dataset == dataset and p.own and p.speed is not None
    ) or tuple(p for p in all_points if p.dataset == dataset and p.speed is not None)
