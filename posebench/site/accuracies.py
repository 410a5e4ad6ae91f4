"""Records -> every accuracy they hold: one for each protocol of each evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from posebench.records.consistency import impossible_score
from posebench.records.formatting import claimed, describe_subset, describe_verdict
from posebench.site.claims import describe_run, page_name, record_name
from posebench.types.entry import Claim, Entry
from posebench.types.record import ClaimResult, Record
from posebench.types.timing import PLAIN, Form

Kind = Literal["whole", "subset", "claimed"]
Interval = tuple[float, float] | None
# What a model's accuracy is called where its claims do not say: the first that a record has.
MAIN_METRICS = ("AP", "fullbody/AP", "wholebody/AP", "PCKh@0.5")
COMMON = "common@"  # the protocol that is the same for every model
UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Artifact:
    """What was computed, and how: an accuracy and a speed of the same one belong together.

    Attributes:
        weights: Digest of the weights' file, or of the file whose own graph was computed; None
            where there was none or it is not recorded.
        form: Of the network; None where it is not recorded.
    """

    weights: str | None
    form: Form | None

    @property
    def words(self) -> str:
        """The form in words."""
        return self.form.words if self.form else UNKNOWN


@dataclass(frozen=True)
class Accuracy:
    """What one model reaches on one dataset under one protocol, in one evaluation.

    Attributes:
        entry: Row of the registry.
        metric: That speaks for the model; empty where the record has no score.
        protocol: Its key, or what it was made from.
        own: Whether the protocol is that of the model's primary claim.
        kind: Measured on the ``whole`` dataset or a ``subset`` of it, or ``claimed`` alone.
        value: Percent; None where the metric was not defined (nothing annotated).
        claim: The published value of the same metric under the same protocol.
        verdict: Of that claim; ``meaning`` is the verdict as a sentence. Empty without a claim.
        images: That were evaluated; ``persons`` are the annotated ones that count.
        artifact: What was computed.
        data: What was evaluated, and whether it is the whole dataset, in words.
        ran: Hardware, and the form of the network where it is not the one it was built in.
        doubt: Why the value cannot be right; empty if nothing speaks against it.
        page: Address of the model's page, from the front page; ``record`` of the record's copy.
    """

    entry: Entry
    dataset: str
    metric: str
    protocol: str
    own: bool
    kind: Kind
    value: float | None
    interval: Interval
    claim: str | None
    artifact: Artifact
    verdict: str = ""
    meaning: str = ""
    images: int = 0
    persons: int = 0
    data: str = ""
    ran: str = ""
    doubt: str = ""
    page: str = ""
    record: str = ""
    command: str = ""


def accuracies(records: Sequence[Record]) -> tuple[Accuracy, ...]:
    """Return every accuracy of every evaluation, of each model the one that speaks for it first.

    The protocol of its primary claim stands before the common one, and that before others; then
    the whole dataset before a part of it, the network as it was built before other forms, and the
    newest before earlier ones. What cannot be right stands last.

    Args:
        records: From old to new; the newest of equal measurements counts.
    """
    found: dict[tuple[str, str], Accuracy] = {}
    for record in records:
        if record.kind == "eval":
            for accuracy in _of_record(record):
                key = accuracy.record, accuracy.protocol
                found.pop(key, None)
                found[key] = accuracy
    return tuple(sorted(reversed(found.values()), key=_rank))


def headline(found: Sequence[Accuracy]) -> Accuracy | None:
    """Return the first accuracy that can be right; None where nothing was measured."""
    return next((a for a in found if a.value is not None and not a.doubt), None)


def main_metric(entry: Entry, scores: Mapping[str, float | None]) -> str | None:
    """Return the metric that speaks for a model: that of its primary claim, else a usual one."""
    wanted = (entry.primary.metric,) if entry.primary else ()
    names = (*wanted, *MAIN_METRICS, *scores)
    return next((name for name in names if scores.get(name) is not None), None)


def artifact_of(record: Record) -> Artifact:
    """Return what a record was computed with."""
    execution = record.execution
    form = Form.model_validate(execution.configuration) if execution else None
    return Artifact(record.artifact_sha256 or record.checkpoint_sha256, form)


def claimed_alone(entry: Entry) -> tuple[Accuracy, ...]:
    """Return the primary claim in the place of an accuracy that no one measured."""
    claim = entry.primary
    if claim is None or impossible_score(claim.metric, claim.value):
        return ()
    nothing = Artifact(None, None)
    return (
        Accuracy(
            entry, entry.dataset, claim.metric, claim.protocol or "", True, "claimed",
            claim.value, None, claimed(claim), nothing, page=page_name(entry.key),
        ),
    )  # fmt: skip


def _rank(accuracy: Accuracy) -> tuple[bool, ...]:
    form = accuracy.artifact.form
    return (
        bool(accuracy.doubt) or accuracy.value is None,
        not (accuracy.own and accuracy.dataset == accuracy.entry.dataset),
        not accuracy.protocol.startswith(COMMON),
        accuracy.kind != "whole",
        form is not None and form != PLAIN,
    )


def _of_record(record: Record) -> list[Accuracy]:
    metric = main_metric(record.entry, record.scores) or ""
    found: dict[str, Accuracy] = {}
    for result in record.claims:
        key, value = result.claim.protocol, result.scores.get(metric)
        # a claim whose protocol was not met says nothing under that name
        if not key or value is None or result.axes:
            continue
        speaks = result.claim.metric == metric
        if speaks or key not in found:
            interval = result.interval if speaks else None
            found[key] = _accuracy(record, metric, key, value, interval, result if speaks else None)
    if record.protocol is None:
        return list(found.values())
    key, value = record.protocol.label, record.scores.get(metric)
    interval = record.intervals.get(metric)
    if key in found:
        judged = _result(record, metric, key)
        found[key] = _accuracy(record, metric, key, value, interval, judged)
    elif record.protocol.name != "custom" or not _has_a_name(record):
        found[key] = _accuracy(record, metric, key, value, interval, None)
    return list(found.values())


def _has_a_name(record: Record) -> bool:
    """Whether a protocol that was put together by options is one of the claims' own."""
    return any(not result.axes and result.scores == record.scores for result in record.claims)


def _result(record: Record, metric: str, key: str) -> ClaimResult | None:
    return next(
        (r for r in record.claims if (r.claim.metric, r.claim.protocol) == (metric, key)), None
    )


def _accuracy(
    record: Record,
    metric: str,
    key: str,
    value: float | None,
    interval: Interval,
    judged: ClaimResult | None,
) -> Accuracy:
    entry, data = record.entry, record.dataset
    own = entry.primary.protocol if entry.primary else entry.protocol
    claim = judged.claim if judged else _claim_under(entry, metric, key)
    return Accuracy(
        entry=entry,
        dataset=data.id if data else entry.dataset,
        metric=metric,
        protocol=key,
        own=key == own,
        kind="whole" if data and data.complete else "subset",
        value=value,
        interval=interval,
        claim=claimed(claim) if claim else None,
        artifact=artifact_of(record),
        data=describe_subset(record),
        verdict=judged.verdict if judged else "",
        meaning=describe_verdict(judged, record) if judged else "",
        images=data.images if data else 0,
        persons=data.persons if data else 0,
        ran=describe_run(record),
        doubt=impossible_score(metric, value),
        page=page_name(entry.key),
        record=record_name(record),
        command=record.command,
    )


def _claim_under(entry: Entry, metric: str, protocol: str) -> Claim | None:
    return next((c for c in entry.claims if (c.metric, c.protocol) == (metric, protocol)), None)
