"""``diagnose``: which errors stand between saved predictions and a perfect score."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from posebench.analysis.score import LoadedPredictions, described, load_predictions_of
from posebench.keypoints import KeypointSet, keypoint_set
from posebench.scoring.accumulate import Evaluation, evaluate
from posebench.scoring.diagnosis import (
    ERRORS,
    KINDS,
    Errors,
    Kinds,
    correct,
    crowding,
    find_errors,
    recalls,
)
from posebench.scoring.evaluator_rules import EVALUATOR_RULES, EvaluatorRules, Part
from posebench.scoring.keypoint_ap import arrays_of_parts
from posebench.scoring.oks import Bools, EvalArrays
from posebench.scoring.scorers import VERSION, check
from posebench.types.arrays import Floats
from posebench.types.diagnosis import Correction, Diagnosis, Group, JointErrors, PartDiagnosis
from posebench.types.errors import UserError
from posebench.types.request import ScoringContext

SIZES = (("small", 0.0, 32.0**2), ("medium", 32.0**2, 96.0**2), ("large", 96.0**2, np.inf))
# Bins of labelled joints for COCO's 17 and of overlapping persons: coco-analyze,
# analysisAPI/occlusionAndCrowdingSensitivity.py; other sets get the same shares of their joints.
LABELLED = (0, 5, 10, 15, 17)
CROWDS = (("alone", 0, 0), ("1 or 2 others", 1, 2), ("3 others or more", 3, None))


def diagnose(predictions: Path, context: ScoringContext) -> Diagnosis:
    """Count errors and what each kind costs; definitions in ``posebench.scoring.diagnosis``.

    Args:
        predictions: A record with saved predictions, a columnar file or a results file.
        context: Data and choices.

    Raises:
        UserError: A file is missing or does not fit, or the scorer knows no OKS.
    """
    opened = load_predictions_of(predictions, context)
    scorer, dataset = opened.protocol.scorer, opened.dataset
    if scorer not in EVALUATOR_RULES:
        raise UserError(
            f"Errors are told apart by OKS, which {scorer} does not use.",
            f"Scorers with OKS: {', '.join(EVALUATOR_RULES)}.",
        )
    check(opened.results, dataset)
    rules, keypoints = EVALUATOR_RULES[scorer], keypoint_set(dataset.keypoint_set)
    most = opened.protocol.max_detections
    parts = arrays_of_parts(opened.results, dataset, rules, opened.protocol.result_area)
    whole = list(parts.values())[-1]
    evaluation = evaluate(whole, most)
    errors = find_errors(whole, evaluation.matches, keypoints.flip_index(), most)
    return _diagnosis(opened, rules, keypoints, parts, evaluation, errors)


def _diagnosis(
    opened: LoadedPredictions,
    rules: EvaluatorRules,
    keypoints: KeypointSet,
    parts: dict[str, EvalArrays],
    evaluation: Evaluation,
    errors: Errors,
) -> Diagnosis:
    whole, most = evaluation.arrays, opened.protocol.max_detections
    counted = ~whole.ignored
    images = len(np.unique(whole.truth_image[counted]))
    fields = described(opened, int(counted.sum()), images)
    for field in ("boxes", "read", "kept"):
        del fields[field]
    return Diagnosis(
        scorer=f"{opened.protocol.scorer} {VERSION} (rules of {rules.follows})",
        persons=int(counted.sum()),
        detections=errors.looked_at,
        found=int((counted & ~errors.missing).sum()),
        background=int(errors.background.sum()),
        duplicates=int(errors.duplicate.sum()),
        false_negatives=int(errors.missing.sum()),
        ranking=int(errors.misranked.sum()),
        parts=tuple(
            _part(part, parts[part.name], whole, errors, most) for part in rules.parts(keypoints)
        ),
        joint_errors={
            name: _counted(errors.kind[:, joint]) for joint, name in enumerate(keypoints.names)
        },
        groups=tuple(_groups(whole, evaluation, errors)),
        **fields,
    )


def _part(
    part: Part, arrays: EvalArrays, whole: EvalArrays, errors: Errors, most: int
) -> PartDiagnosis:
    base = evaluate(arrays, most).values
    joints = _counted(errors.kind[:, part.joints])
    counts = {kind: getattr(joints, kind) for kind in KINDS} | {
        "score": int(errors.misranked.sum()),
        "background": int(errors.background.sum()),
        "duplicate": int(errors.duplicate.sum()),
        "false negative": int(errors.missing.sum()),
    }
    corrections = []
    for place, error in enumerate(ERRORS):
        alone = correct(arrays, part.joints, whole, errors, (error,), most)
        together = correct(arrays, part.joints, whole, errors, ERRORS[: place + 1], most)
        corrections.append(
            Correction(
                error=error,
                count=counts[error],
                alone=alone["AP"] - base["AP"],
                alone_50=alone["AP50"] - base["AP50"],
                together=together["AP"],
                together_50=together["AP50"],
            )
        )
    return PartDiagnosis(
        part=part.name,
        ap=base["AP"],
        ap50=base["AP50"],
        joints=joints,
        corrections=tuple(corrections),
    )


def _counted(kind: Kinds) -> JointErrors:
    counts = {name: int((kind == index).sum()) for index, name in enumerate(KINDS)}
    return JointErrors(judged=int((kind >= 0).sum()), **counts)


def _groups(arrays: EvalArrays, evaluation: Evaluation, errors: Errors) -> Iterator[Group]:
    """Persons by size, by labelled joints and by crowding."""
    recall = recalls(arrays, evaluation.matches)
    area = arrays.truth_area
    for name, low, high in SIZES:
        yield _group("size", name, (area >= low) & (area < high), arrays, recall, errors)
    labels, joints = arrays.labelled.sum(axis=1), len(arrays.sigmas)
    edges = [round(joints * edge / LABELLED[-1]) for edge in LABELLED]
    for low, high in pairwise(edges):
        inside = (labels > low if low else labels >= 0) & (labels <= high)
        name = f"{low + 1} to {high}" if low else f"up to {high}"
        yield _group("labelled joints", name, inside, arrays, recall, errors)
    others = crowding(arrays)
    for name, low, last in CROWDS:
        inside = (others >= low) & (others <= (others.max(initial=0) if last is None else last))
        yield _group("crowding", name, inside, arrays, recall, errors)


def _group(
    by: str, name: str, inside: Bools, arrays: EvalArrays, recall: Floats, errors: Errors
) -> Group:
    counts = inside & ~arrays.ignored
    return Group(
        by=by,
        name=name,
        persons=int(counts.sum()),
        missed=int((counts & errors.missing).sum()),
        recall=100 * float(recall[counts].mean()) if counts.any() else None,
        joints=_counted(errors.kind[counts[errors.truth]]),
    )
