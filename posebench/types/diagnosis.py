"""Diagnosis: which errors stand between a model's predictions and a perfect score."""

from __future__ import annotations

from typing import Any

from posebench.types.base import Frozen
from posebench.types.record import DatasetInfo


class JointErrors(Frozen):
    """Labelled joints of persons that were found, by what became of them.

    Attributes:
        judged: All of them; the others sum to it.
    """

    judged: int
    good: int
    jitter: int
    inversion: int
    swap: int
    miss: int


class Group(Frozen):
    """Persons that have something in common.

    Attributes:
        by: ``size``, ``labelled joints`` or ``crowding``.
        name: Which of these.
        persons: Annotated persons that count.
        missed: Of them, without any detection.
        recall: Mean recall over the OKS thresholds, percent; None without persons.
        joints: Of those that were found.
    """

    by: str
    name: str
    persons: int
    missed: int
    recall: float | None
    joints: JointErrors


class Correction(Frozen):
    """What one kind of error costs.

    Attributes:
        error: ``miss``, ``swap``, ``inversion``, ``jitter``, ``score``, ``background``,
            ``duplicate`` or ``false negative``.
        count: Joints, detections or persons with it.
        alone: Points of AP gained by mending it alone; ``alone_50`` of AP at OKS 0.5.
        together: AP once this and all kinds before it are mended; ``together_50`` likewise.
    """

    error: str
    count: int
    alone: float
    alone_50: float
    together: float
    together_50: float


class PartDiagnosis(Frozen):
    """One part of the body.

    Attributes:
        part: Name; empty for the only part.
        ap: Percent, as scored; ``ap50`` at OKS 0.5.
        joints: Of the part, in persons that were found.
        corrections: In the order in which errors are mended together.
    """

    part: str
    ap: float
    ap50: float
    joints: JointErrors
    corrections: tuple[Correction, ...]


class Diagnosis(Frozen):
    """Errors of a file of predictions.

    Attributes:
        name: The file's name.
        sha256: Digest of the file.
        entry: ``zoo/id``, where a record says.
        protocol: As of ``Scored``; None where no one knows a choice.
        scorer: Whose rules were followed.
        persons: Annotated persons that count.
        detections: That are considered.
        found: Persons with a detection at OKS 0.1 or above.
        background: False alarms about nobody.
        duplicates: Further false alarms about somebody.
        false_negatives: Persons without a detection.
        ranking: Persons whose best detection is not their highest-scored one.
        parts: The whole of the body last.
        joint_errors: Joint -> errors.
        groups: By size, labelled joints and crowding.
    """

    name: str
    sha256: str
    entry: str | None
    protocol: dict[str, Any]
    scorer: str
    dataset: DatasetInfo
    persons: int
    detections: int
    found: int
    background: int
    duplicates: int
    false_negatives: int
    ranking: int
    parts: tuple[PartDiagnosis, ...]
    joint_errors: dict[str, JointErrors]
    groups: tuple[Group, ...]

    def sentence(self) -> str:
        """Say what costs most."""
        whole = self.parts[-1]
        worst = sorted(whole.corrections, key=lambda correction: -correction.alone)
        parts = [
            f"{correction.error} {correction.alone:+.1f}"
            for correction in worst[:3]
            if correction.alone >= 0.05
        ]
        costs = f"; mended alone: {', '.join(parts)} points" if parts else ""
        return f"AP {whole.ap:.2f}{costs}."

    def notes(self) -> tuple[str, ...]:
        """Explain what the counts alone leave open: points where no error was counted."""
        moved = {correction.error: correction for part in self.parts for correction in _moved(part)}
        return tuple(
            f"{error}: {words}"
            for error, words in _UNCOUNTED.items()
            if error in moved and moved[error].count == 0
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``json.dumps``."""
        words = {"sentence": self.sentence(), "notes": self.notes()}
        return self.model_dump(mode="json") | words


_AGAIN = (
    "none as it is; the points come from detections that are asked again after the errors above "
    "are mended"
)
# How a kind of error without a count moves the score nevertheless.
_UNCOUNTED = {
    "score": "no person has a better detection than the highest-scored one; the points come from "
    "the order of different persons, since AP sorts the detections of all images by score and "
    "mending gives each the OKS it has",
    "background": _AGAIN,
    "duplicate": _AGAIN,
}


def _moved(part: PartDiagnosis) -> list[Correction]:
    """Return the kinds of errors that move a printed figure of a part."""
    before = (part.ap, part.ap50)
    found = []
    for correction in part.corrections:
        after = (correction.together, correction.together_50)
        steps = (correction.alone, correction.alone_50, after[0] - before[0], after[1] - before[1])
        if any(abs(step) >= 0.005 for step in steps):
            found.append(correction)
        before = after
    return found
