"""Record: everything one evaluation or timing found, ready to be stored as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from posebench.types.base import Frozen
from posebench.types.entry import Claim, Entry
from posebench.types.protocol import Protocol

SCHEMA_VERSION = 1


class ClaimResult(Frozen):
    """A claim beside what was measured under its protocol.

    Attributes:
        measured: In the units of ``Claim.value``; None where it was not measured.
        difference: measured - claimed.
        interval: 95 % interval of ``measured``.
        verdict: ``reproduced``, ``differs``, ``not comparable``, ``not contradicted (n=...)``,
            ``contradicted (n=...)`` or ``no claim``.
        axes: Protocol axes that could not be met, as ``axis: claimed -> used``.
    """

    claim: Claim
    measured: float | None
    difference: float | None
    interval: tuple[float, float] | None = None
    verdict: str
    axes: tuple[str, ...] = ()
    scores: dict[str, float | None] = Field(default_factory=dict)


class DatasetInfo(Frozen):
    """Which data a record was measured on.

    Attributes:
        images: Number of images evaluated.
        persons: Annotated persons that count in the score.
        annotations_sha256: Digest of the annotation file.
        complete: Whether it is the whole published split.
    """

    id: str
    keypoint_set: str
    images: int
    persons: int
    annotations: str
    annotations_sha256: str
    complete: bool
    limit: int | None = None


class BoxInfo(Frozen):
    """The boxes that were cropped, and proof of what they are.

    Attributes:
        source: ``gt``, or the detector file's name.
        sha256: Digest of the detector file.
        read: Boxes in the file (or annotations looked at).
        used: Persons that were cropped and estimated.
        kept: Persons left after suppression.
        box_ap: AP of the boxes themselves (pycocotools, bbox), percent; None for ground truth.
    """

    source: str
    sha256: str | None = None
    read: int
    used: int
    kept: int
    box_ap: float | None = None


class Timings(Frozen):
    """How long it took.

    Attributes:
        batch_size: Persons a forward pass.
        scope: What was inside the clock.
        seconds: Raw samples: one per timed iteration.
        persons_per_second: Batch size over the median sample.
        relative_iqr: Interquartile range over the median.
    """

    scope: Literal["forward", "end to end"]
    batch_size: int
    seconds: tuple[float, ...]
    persons_per_second: float
    relative_iqr: float
    device: str
    threads: int
    parameters: int
    gmacs: float | None = None


class Environment(Frozen):
    """What ran it; no host names and no paths.

    Attributes:
        crop_self_test: Digest of a fixed crop, so that another platform's OpenCV is noticed.
    """

    posebench: str
    python: str
    torch: str | None
    numpy: str
    opencv: str
    platform: str
    device: str
    threads: int
    batch_size: int
    crop_self_test: str


class Record(Frozen):
    """One result of posebench.

    Attributes:
        scores: Metric -> value of the primary protocol; percent.
        intervals: Metric -> 95 % interval.
        verdict: That of the primary claim.
        coverage: Share of the network's weights that came from the checkpoint.
        claims: One result for each accuracy claim of the entry.
        command: The command that makes this record again, paths reduced to file names.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["eval", "speed"]
    entry: Entry
    protocol: Protocol | None = None
    protocol_hash: str | None = None
    dataset: DatasetInfo | None = None
    boxes: BoxInfo | None = None
    scores: dict[str, float | None] = Field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    scorer: str | None = None
    verdict: str = "no claim"
    claims: tuple[ClaimResult, ...] = ()
    coverage: float | None = None
    checkpoint_name: str | None = None
    checkpoint_sha256: str | None = None
    predictions_sha256: str | None = None
    timings: Timings | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    environment: Environment
    command: str = ""
    created: datetime
