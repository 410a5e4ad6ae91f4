"""Record: everything one evaluation or timing found, ready to be stored as JSON."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AwareDatetime, Field

from posebench.types.base import Frozen
from posebench.types.dataset import CompleteBy, Sample
from posebench.types.entry import Claim, Entry, Id
from posebench.types.protocol import Protocol
from posebench.types.timing import BenchmarkConfiguration, Execution, Machine, Timings

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION: Final = 2

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

FRAME_COLUMNS = (
    "entry",
    "dataset",
    "kind",
    "metric",
    "claimed",
    "measured",
    "low",
    "high",
    "difference",
    "verdict",
    "protocol",
    "evidence",
    "persons",
    "complete",
    "coverage",
    "device",
    "created",
)


class ClaimResult(Frozen):
    """A claim beside what was measured under its protocol.

    Attributes:
        measured: In the units of ``Claim.value``; None where it was not measured.
        difference: measured - claimed.
        interval: 95 % interval of ``measured``.
        verdict_interval: On a subset, the wider interval that the verdict was reached with: at
            1 - 0.05 / k for the k claims of the record that are judged together.
        verdict: ``reproduced``, ``differs``, ``not comparable`` or ``no claim``; on a subset
            ``consistent (n=...)``, ``outside the interval (n=...)`` or
            ``too few images (n=...)``, where n counts persons.
        axes: What was not the claim's, as ``axis: claimed -> used``: axes of its protocol, the
            ``annotations`` or the ``weights``.
    """

    claim: Claim
    measured: float | None
    difference: float | None
    interval: tuple[float, float] | None = None
    verdict_interval: tuple[float, float] | None = None
    verdict: str
    axes: tuple[str, ...] = ()
    scores: dict[str, float | None] = Field(default_factory=dict)


class ProtocolScores(Frozen):
    """Scores of the same predictions under one more protocol.

    Attributes:
        scores: Metric -> value; percent.
        intervals: Metric -> 95 % interval.
    """

    protocol: Protocol
    protocol_hash: str
    scores: dict[str, float | None]
    intervals: dict[str, tuple[float, float]]
    scorer: str


class DatasetInfo(Frozen):
    """Which data a record was measured on.

    Attributes:
        images: Number of images evaluated.
        images_with_persons: Those of them with a person that counts; None where it is not known.
        persons: Annotated persons that count in the score.
        annotations_sha256: Digest of the annotation file.
        image_ids_sha256: Digest of the ids of all images that count in the score, see
            ``posebench.inference.image_io``; None where it is not known (schema version 1).
        images_sha256: Digest of the bytes of the image files that were read, by image id;
            None where none was read (scores of saved predictions) or it is not known.
        complete: Whether it is the whole published split.
        complete_by: What shows that: the published ``sha256`` of the annotation file, or where
            none is known the ``counts`` of images and persons; None where it is not complete.
        own_data: Whether the annotations are not the published ones, nor a part of them as far
            as their name tells.
        sample: How the images were chosen; None for all of the annotation file.
    """

    id: Id
    keypoint_set: str
    images: int
    images_with_persons: int | None = None
    persons: int
    annotations: str
    annotations_sha256: str
    image_ids_sha256: Sha256 | None = None
    images_sha256: Sha256 | None = None
    complete: bool
    complete_by: CompleteBy | None = None
    own_data: bool = False
    sample: Sample | None = None


class BoxInfo(Frozen):
    """The boxes that were cropped, and proof of what they are.

    Attributes:
        source: ``gt``, or the detector file's name.
        sha256: Digest of the detector file.
        read: Boxes in the file (or annotations considered).
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


class Skipped(Frozen):
    """What an evaluation went on without, as ``--on-error skip`` asks.

    Attributes:
        images: That could not be read.
        annotations: Likewise.
        persons: Annotated persons that count in the score and that nobody could estimate.
        faults: What was wrong, one line each.
    """

    images: int
    annotations: int
    persons: int
    faults: tuple[str, ...]


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
        checkpoint_verified: Whether the checkpoint is the published file by its digest; False
            where no digest was published, None where there is no file or it is not known.
        claims: One result for each accuracy claim of the entry.
        skipped: Images and annotations that could not be used; their persons count as missed.
        official_scores: Those of the dataset's official scorer, where the primary protocol uses
            another.
        execution: How the network was computed; None where that is not known.
        hardware: Name of the processor or accelerator that computed it; likewise.
        artifact_sha256: Digest of the file whose own graph was computed (ONNX, OpenVINO); None
            where posebench built the network.
        submitter: Who measured; None where no one is named.
        timings: Of the network alone.
        end_to_end: From image file to keypoints; None where that was not timed.
        cell: What a timing was asked to do; two records with the same one measure the same.
        machine: What was timed on.
        failure: Why a timing gave no figure (out of memory, a crash, wrong outputs).
        command: The command that makes this record again, paths reduced to file names.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    kind: Literal["eval", "speed"]
    entry: Entry
    protocol: Protocol | None = None
    protocol_hash: str | None = None
    dataset: DatasetInfo | None = None
    boxes: BoxInfo | None = None
    skipped: Skipped | None = None
    scores: dict[str, float | None] = Field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    scorer: str | None = None
    verdict: str = "no claim"
    claims: tuple[ClaimResult, ...] = ()
    official_scores: tuple[ProtocolScores, ...] = ()
    execution: Execution | None = None
    hardware: str | None = None
    artifact_sha256: Sha256 | None = None
    submitter: str | None = None
    coverage: float | None = None
    checkpoint_name: str | None = None
    checkpoint_sha256: str | None = None
    checkpoint_verified: bool | None = None
    predictions_sha256: str | None = None
    timings: Timings | None = None
    end_to_end: Timings | None = None
    cell: BenchmarkConfiguration | None = None
    machine: Machine | None = None
    failure: str | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    environment: Environment
    command: str = ""
    created: AwareDatetime

    def rows(self) -> list[dict[str, Any]]:
        """Return the record as flat rows, one dict with ``FRAME_COLUMNS`` each.

        One row for each claim; for the scores where there is no claim; for the throughput.
        """
        shared = {
            "entry": self.entry.key,
            "dataset": self.dataset.id if self.dataset else self.entry.dataset,
            "kind": self.kind,
            "protocol": self.protocol.label if self.protocol else None,
            "persons": self.dataset.persons if self.dataset else None,
            "complete": self.dataset.complete if self.dataset else None,
            "coverage": self.coverage,
            "device": self.timings.device if self.timings else self.environment.device,
            "created": self.created,
        }
        if self.claims:
            found = [_claim_row(result) for result in self.claims]
        elif self.kind == "speed":
            found = self._speed_rows()
        else:
            found = [_row(n, value, self.intervals.get(n)) for n, value in self.scores.items()]
        rows = [shared | {k: v for k, v in row.items() if v is not None} for row in found]
        return [{column: row.get(column) for column in FRAME_COLUMNS} for row in rows]

    def _speed_rows(self) -> list[dict[str, Any]]:
        timed = (("", self.timings), (" end to end", self.end_to_end))
        found = [
            _row(f"{t.counted}/s{s}", t.persons_per_second, None)
            | {"verdict": f"not to be quoted: {'; '.join(t.flags)}" if t.flags else None}
            for s, t in timed
            if t
        ]
        if self.failure:
            found.append(_row("persons/s", None, None) | {"verdict": f"failed: {self.failure}"})
        return found

    def to_frame(self) -> pd.DataFrame:
        """Return ``rows`` as a pandas table."""
        import pandas as pd

        return pd.DataFrame(self.rows(), columns=list(FRAME_COLUMNS))

    def _repr_html_(self) -> str:
        """Show the claims as a table in notebooks."""
        columns = ("metric", "claimed", "measured", "low", "high", "difference", "verdict")
        head = "".join(f"<th>{column}</th>" for column in columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{_cell(row[column])}</td>' for column in columns)}</tr>"
            for row in self.rows()
        )
        title = escape(f"{self.entry.key} on {self.dataset.id if self.dataset else '-'}")
        note = ""
        if self.dataset is not None and not self.dataset.complete:
            note = f" <em>(a subset: {self.dataset.persons} persons)</em>"
        return f"<table><caption>{title}{note}</caption><tr>{head}</tr>{body}</table>"


def _row(
    metric: str, measured: float | None, interval: tuple[float, float] | None
) -> dict[str, Any]:
    low, high = interval if interval else (None, None)
    return {"metric": metric, "measured": measured, "low": low, "high": high}


def _claim_row(result: ClaimResult) -> dict[str, Any]:
    claim = result.claim
    return _row(claim.metric, result.measured, result.interval) | {
        "claimed": claim.value,
        "difference": result.difference,
        "verdict": result.verdict,
        "protocol": claim.protocol,
        "evidence": claim.evidence,
    }


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else escape(str(value))
