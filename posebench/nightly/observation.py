"""What a night keeps of a record: the numbers, and everything that could explain another one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Final, Literal

from pydantic import AwareDatetime, Field

from posebench.nightly.suite import Cell
from posebench.records.consistency import impossible_timings
from posebench.records.formatting import is_joint_metric
from posebench.types.base import Frozen
from posebench.types.record import Record

VERSION: Final = 1  # of a line of a history
FORWARD = "the network alone"
WHOLE = "image file to keypoints"
CEILING = "matrix products"  # what the machine reached in the same run, GFLOP/s
_FOLDERS = re.compile(r"(?<![\w./:])(?:/[^\s/'\"]+)+/(?=[^\s/])")
DIGEST = 12  # digits of a SHA-256 that are kept


class Value(Frozen):
    """One number of a night.

    Attributes:
        measured: Percent, or persons (images) a second; None where nothing was annotated.
        claimed: As published, where it is a claim.
        verdict: Of the claim.
        protocol: ``name@version`` of an accuracy.
        unit: Of a rate; empty for percent.
    """

    measured: float | None
    claimed: float | None = None
    verdict: str = ""
    protocol: str = ""
    unit: str = ""


class Observation(Frozen):
    """One cell in one night: a line of a history.

    Attributes:
        key: Of the cell; a timing's also names the hardware.
        night: When the night began, as text; its id.
        good: Later nights may be compared with it.
        accepted: Somebody took these numbers for the usual ones, whatever they were before.
        failure: Why there is no number.
        values: What -> number; ``AP under demo_gt_flip@1``, ``the network alone``.
        facts: What could explain another number: versions, digests, hardware.
        flags: Why a timing should not be quoted.
    """

    version: Literal[1] = VERSION
    key: str
    kind: Literal["eval", "speed"]
    entry: str
    dataset: str
    device: str
    night: str
    created: AwareDatetime
    good: bool = False
    accepted: bool = False
    failure: str | None = None
    values: dict[str, Value] = Field(default_factory=dict)
    facts: dict[str, str] = Field(default_factory=dict)
    flags: tuple[str, ...] = ()


def observe(
    cell: Cell, found: Record | str, night: str, facts: Mapping[str, str], when: datetime
) -> Observation:
    """Return the line of a history that says what was found.

    Args:
        cell: That was measured.
        found: A record, or why there is none.
        night: Its id.
        facts: Of the code, see ``posebench.nightly.fingerprint``.
        when: For what left no record.
    """
    key, values, known = cell.key, {}, dict(facts)
    flags: tuple[str, ...] = ()
    failure = found if isinstance(found, str) else found.failure
    if isinstance(found, Record):
        when = found.created
        known |= {name: fact for name, fact in _facts(found).items() if fact}
        if found.kind == "speed":
            key += f", {found.cell.hardware if found.cell else cell.device}"
            values, flags = _speeds(found), _flags(found)
        else:
            values = _scores(found)
    return Observation(
        key=key,
        kind=cell.kind,
        entry=cell.entry.key,
        dataset=cell.dataset,
        device=cell.device,
        night=night,
        created=when.astimezone(timezone.utc),
        # without folders of this machine: histories and pages are published
        failure=_FOLDERS.sub("", failure or "") or None,
        values=values,
        facts=known,
        flags=flags,
    )


def _scores(record: Record) -> dict[str, Value]:
    """Every claim; without claims every score that tables publish."""
    found = {}
    for result in record.claims:
        protocol = result.claim.protocol or ""
        found[f"{result.claim.metric} under {protocol}"] = Value(
            measured=result.measured,
            claimed=result.claim.value,
            verdict=result.verdict,
            protocol=protocol,
        )
    if found:
        return found
    protocol = record.protocol.key if record.protocol else ""
    return {
        f"{metric} under {protocol}": Value(measured=score, protocol=protocol)
        for metric, score in record.scores.items()
        if not is_joint_metric(metric)
    }


def _speeds(record: Record) -> dict[str, Value]:
    timed = ((FORWARD, record.timings), (WHOLE, record.end_to_end))
    found = {
        name: Value(measured=t.persons_per_second, unit=f"{t.counted}/s") for name, t in timed if t
    }
    if record.timings and record.timings.ceiling:
        found[CEILING] = Value(measured=record.timings.ceiling / 1e9, unit="GFLOP/s")
    return found


def _flags(record: Record) -> tuple[str, ...]:
    both = (record.timings, record.end_to_end)
    found = [flag for timing in both if timing for flag in timing.flags]
    return tuple(dict.fromkeys((*found, *impossible_timings(record))))


def _facts(record: Record) -> dict[str, str]:
    ran, data, boxes = record.environment, record.dataset, record.boxes
    found = {
        "weights": _short(record.checkpoint_sha256),
        "coverage": "" if record.coverage is None else f"{record.coverage:.4%}",
        "torch": ran.torch or "",
        "numpy": ran.numpy,
        "OpenCV": ran.opencv,
        "crops": _short(ran.crop_self_test),
        "Python": ran.python,
        "posebench": ran.posebench,
        "platform": ran.platform,
    }
    if data is not None:
        images = f"{data.images} images, {data.persons} persons"
        found["dataset"] = f"{images}, {_short(data.annotations_sha256)}"
    if boxes is not None:
        found["boxes"] = f"{boxes.source}, {boxes.read} read, {_short(boxes.sha256)}".rstrip(", ")
    if record.kind == "eval":
        key = record.protocol.key if record.protocol else ""
        found |= {
            "scorer": record.scorer or "",
            "protocol": f"{key}, {_short(record.protocol_hash)}",
            "predictions": _short(record.predictions_sha256),
            "skipped": str(len(record.skipped.faults)) if record.skipped else "",
        }
    if (machine := record.machine) is not None:
        throttled = {reason for state in machine.states for reason in state.throttled}
        found |= {
            "processor": f"{machine.processor}, {machine.cores} cores",
            "accelerator and driver": machine.accelerator or "",
            "governor": machine.governor or "",
            "throttling": ", ".join(sorted(throttled)),
        }
    if (timings := record.timings) is not None:
        cost = "" if timings.gmacs is None else f", {timings.gmacs:.6g} GMAC"
        found |= {
            "network's size": f"{timings.parameters:,} parameters{cost}",
            "threads": str(timings.threads),
        }
    return found


def _short(digest: str | None) -> str:
    return (digest or "")[:DIGEST]
