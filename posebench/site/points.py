"""Records -> the points of the accuracy-speed figure: each timing beside an accuracy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from posebench.records.consistency import impossible_timings
from posebench.site.accuracies import (
    Accuracy,
    Kind,
    accuracies,
    artifact_of,
    claimed_alone,
)
from posebench.site.claims import hardware_of, page_name, record_name
from posebench.types.record import Record
from posebench.types.timing import Timings

MILLI, MEGA = 1e-3, 1e6
ALONE, CHAIN, BOTH = "the network alone", "image file to keypoints", "both timings"
# Fields of ``Point`` that come from the timing of the network, and of the whole chain.
OF_NETWORK, OF_CHAIN = ("speed", "latency", "joules"), ("whole",)
MEASURED_WEIGHT = 3  # of a measured point beside a claimed one, for what is shown first


@dataclass(frozen=True)
class Point:
    """One model in the figure; lengths of time in ms, accuracy in percent.

    Attributes:
        speed: Persons a second, the network alone; of a bottom-up model its images/s times
            the annotated persons an image of the evaluated data; None where those are not known.
        speed_span: The same at the quartiles of the samples.
        whole: Persons a second from image file to keypoints.
        latency: Of one batch, the median; ``latency_span`` its quartiles.
        gflops: Of one person, without its mirror image: two for each multiply-accumulate.
        parameters: Millions.
        joules: For 1,000 persons.
        hardware: Processor or accelerator, or where that is not known, its kind.
        form: Of the network: precision, layout, compiler, runtime.
        size: Of the input, height x width.
        borrows: Whose accuracy it shows, where the timed network was not the evaluated one.
        flagged: Fields whose value is not to be quoted: it was measured under bad conditions, or
            cannot be right.
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
    borrows: str
    flagged: tuple[str, ...]
    note: str
    command: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values for the page's script."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Remark:
    """What speaks against quoting a figure.

    Attributes:
        fields: Of ``Point``, those it concerns.
        what: What was timed.
        why: In words.
    """

    fields: tuple[str, ...]
    what: str
    why: str


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
    """Join every timing with the accuracies of the same model, one for each protocol.

    An accuracy of the same weights in the same form of the network is taken where there is one;
    otherwise the point says whose it borrows. Where nothing was measured, the primary claim
    takes its place, and ``kind`` says so. What cannot be right is not shown.

    Args:
        records: From old to new; the newest of equal measurements counts.
    """
    measured: dict[str, list[Accuracy]] = {}
    for accuracy in accuracies(records):
        if accuracy.value is not None and not accuracy.doubt:
            measured.setdefault(accuracy.entry.key, []).append(accuracy)
    found: dict[tuple[object, ...], Point] = {}
    for record in records:
        timing = record.timings
        if timing is None:
            continue
        for accuracy in _fitting(record, measured.get(record.entry.key, ())):
            point = _point(record, timing, accuracy)
            cell = (point.hardware, point.form, point.batch, timing.threads)
            key = (point.entry, point.dataset, point.protocol, *cell)
            found[key] = point
    return tuple(sorted(found.values(), key=lambda p: (p.dataset, p.speed or 0.0, p.entry)))


def _fitting(record: Record, measured: Sequence[Accuracy]) -> tuple[Accuracy, ...]:
    """Of each dataset and protocol the accuracy that fits a timing best; else the claim."""
    found: dict[tuple[str, str], Accuracy] = {}
    for accuracy in sorted(measured, key=lambda a: (a.kind != "whole", bool(_borrowed(record, a)))):
        found.setdefault((accuracy.dataset, accuracy.protocol), accuracy)
    return tuple(found.values()) or claimed_alone(record.entry)


def _borrowed(record: Record, accuracy: Accuracy) -> str:
    """Say whose accuracy a timing borrows; empty where both are of the same artifact."""
    if accuracy.kind == "claimed" or accuracy.record == record_name(record):
        return ""
    timed, evaluated = artifact_of(record), accuracy.artifact
    if timed.form is None or evaluated.form is None:
        return "accuracy borrowed: in which form the network was computed is not recorded"
    if timed.form != evaluated.form:
        return f"accuracy borrowed from the {evaluated.words} network"
    if timed.weights is None or timed.weights != evaluated.weights:
        return f"accuracy borrowed from {_short_digest(evaluated.weights)}"
    return ""


def _short_digest(digest: str | None) -> str:
    return f"the weights {digest[:8]}" if digest else "weights without a digest"


def _point(record: Record, timing: Timings, accuracy: Accuracy) -> Point:
    entry = record.entry
    each = 1.0 if timing.counted == "persons" else _persons_per_image(accuracy)
    low, middle, high = (float(q) for q in np.percentile(timing.seconds, (25, 50, 75)))
    rate = timing.persons_per_second
    span = (rate * middle / high, rate * middle / low) if low > 0 else (rate, rate)
    whole = record.end_to_end
    plural = "" if timing.threads == 1 else "s"
    threads = f", {timing.threads} thread{plural}" if timing.device == "cpu" else ""
    borrows, against = _borrowed(record, accuracy), remarks(record)
    doubts = (f"{remark.what} not to be quoted: {remark.why}" for remark in against)
    assert accuracy.value is not None
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
        hardware=f"{hardware_of(record)}{threads}",
        form=timing.form,
        batch=f"{timing.batch_size}{' with flip' if timing.flip else ''}",
        size="{}x{}".format(*entry.input.size),
        borrows=borrows,
        flagged=tuple(field for remark in against for field in remark.fields),
        note="; ".join(part for part in (*doubts, _describe_rate(timing, each), borrows) if part),
        command=rerun(record),
    )


def _persons_per_image(accuracy: Accuracy) -> float | None:
    """Annotated persons: what a model finds too often must not make it faster."""
    return accuracy.persons / accuracy.images if accuracy.images > 0 else None


def rerun(record: Record) -> str:
    """Return the command that measures one record again, where its own one measures many."""
    words = record.command.split(" ")
    if words[:2] != ["posebench", "speed"] or record.entry.key in words:
        return record.command
    if "--all" not in words and len(words) > 2 and not words[2].startswith("-"):
        return record.command
    options = " ".join(word for word in words[2:] if word != "--all")
    return f"posebench speed {record.entry.key} {options}".rstrip()


def remarks(record: Record) -> tuple[Remark, ...]:
    """Return what speaks against quoting a record's timings; empty if nothing does."""
    timing, whole = record.timings, record.end_to_end
    found = (
        Remark(OF_NETWORK, ALONE, "; ".join(timing.flags) if timing else ""),
        Remark(OF_CHAIN, CHAIN, "; ".join(whole.flags) if whole else ""),
        Remark(OF_NETWORK + OF_CHAIN, BOTH, "; ".join(impossible_timings(record))),
    )
    return tuple(remark for remark in found if remark.why)


def _describe_rate(timing: Timings, each: float | None) -> str:
    if timing.counted == "persons":
        return ""
    rate = f"{timing.persons_per_second:,.4g} images/s"
    return rate if each is None else f"{rate} with {each:.2f} annotated persons in each"


def frontier(
    shown: Iterable[Point], axis: Axis
) -> tuple[Literal["measured", "claimed"], list[Point]]:
    """Return the points that no other one beats in both accuracy and the axis.

    Only accuracies of whole datasets take part, measured of the very network that was timed; where
    there are fewer than two, the claimed ones do. A value that is not to be quoted never does.

    Args:
        shown: Points of one dataset.
        axis: Of the figure.

    Returns:
        Which accuracies took part, and the frontier by rising axis.
    """
    known = [
        point
        for point in shown
        if getattr(point, axis.key) is not None and axis.key not in point.flagged
    ]
    measured = [point for point in known if point.kind == "whole" and not point.borrows]
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
