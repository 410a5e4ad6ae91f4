"""What the OKS evaluators do differently, as data.

==============  ===================  ======================  ========================
..              coco_oks             wholebody_oks           halpe_oks
==============  ===================  ======================  ========================
follows         pycocotools          xtcocotools             halpecocotools
parts           the whole set        five, and all of them   four, and all of them
sigmas          the set's own        measured per joint      flat on feet, face, hands
ignored person  no keypoints stated  no joint labelled in    no joint labelled in the
                by the file, crowd   the part, crowd         part, own ignore flag
dropped         nothing              no positive joint       no positive joint score
detection                            score in the part       in the whole person
detection area  all joints           the 17 body joints      all joints
id that cannot  0                    negative                0
be matched
precision       double               double                  single, squares included
==============  ===================  ======================  ========================

``xtcoco_oks`` is xtcocotools on a set that has no parts: as ``wholebody_oks``, but with the set's
own sigmas, the area of all joints, and the whole set alone.

The last but one: matches are stored as annotation ids, with a number standing for "none".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from posebench.keypoints import KeypointSet
from posebench.scoring.oks import Bools
from posebench.types.arrays import Floats, GroundTruth, Ints
from posebench.types.errors import UserError


@dataclass(frozen=True)
class Part:
    """Some joints that are scored on their own.

    Attributes:
        name: First half of the metric names; empty for the only part.
        joints: The joints' place in the keypoint set.
    """

    name: str
    joints: slice


def _whole(keypoints: KeypointSet) -> tuple[Part, ...]:
    return (Part("", slice(0, len(keypoints))),)


def _in_a_row(sizes: dict[str, int], all_of_them: str) -> tuple[Part, ...]:
    parts, start = [], 0
    for name, size in sizes.items():
        parts.append(Part(name, slice(start, start + size)))
        start += size
    return (*parts, Part(all_of_them, slice(0, start)))


# COCO-WholeBody's evaluation: mmpose evaluation/metrics/coco_wholebody_metric.py.
WHOLEBODY_SIZES = {"body": 17, "foot": 6, "face": 68, "lefthand": 21, "righthand": 21}


def _wholebody(keypoints: KeypointSet) -> tuple[Part, ...]:
    return _in_a_row(WHOLEBODY_SIZES, "wholebody")


def _halpe(keypoints: KeypointSet) -> tuple[Part, ...]:
    # halpecocotools cocoeval.py: 17 body joints of 133, 20 of 136 (head, neck and hip too).
    fine = {"foot": 6, "face": 68, "hand": 42}
    return _in_a_row({"body": len(keypoints) - sum(fine.values()), **fine}, "fullbody")


def _file_says_none(truth: GroundTruth, labelled: Bools) -> Bools:
    return (truth.num_keypoints == 0) | truth.crowd


def _none_or_crowd(truth: GroundTruth, labelled: Bools) -> Bools:
    return ~labelled.any(axis=1) | truth.crowd


def _none_or_flag(truth: GroundTruth, labelled: Bools) -> Bools:
    return ~labelled.any(axis=1) | truth.ignore


def _everybody(positive: Bools, part: slice) -> Bools:
    return np.ones(len(positive), np.bool_)


def _positive_in_part(positive: Bools, part: slice) -> Bools:
    return np.any(positive[:, part], axis=1)


def _positive_anywhere(positive: Bools, part: slice) -> Bools:
    return np.any(positive, axis=1)


def _is_zero(ids: Ints) -> Bools:
    return ids == 0


def _is_negative(ids: Ints) -> Bools:
    return ids < 0


@dataclass(frozen=True)
class EvaluatorRules:
    """One evaluator's rules.

    Attributes:
        follows: Name and version of the evaluator whose arrays these rules give.
        keypoint_sets: Sets it scores; None for every set with sigmas.
        table: Name of the sigma table, see ``KeypointSet.sigma_tables``; None for the set's own.
        parts: The set's parts, the whole of it last.
        ignored: Persons, with (G, k) labels of a part's joints, that do not count in it.
        looked_at: Detections, with (N, K) positive joint scores, that take part in a part.
        unmatchable: Annotation ids that read as "nobody".
        extent: How many joints, from the first, span a detection's area; None for all.
        dtype: Precision of coordinates.
    """

    follows: str
    parts: Callable[[KeypointSet], tuple[Part, ...]]
    ignored: Callable[[GroundTruth, Bools], Bools]
    looked_at: Callable[[Bools, slice], Bools]
    unmatchable: Callable[[Ints], Bools]
    keypoint_sets: tuple[str, ...] | None = None
    table: str | None = None
    extent: int | None = None
    dtype: Any = np.float64

    def sigmas(self, keypoints: KeypointSet) -> Floats:
        """Return the (K,) sigmas of a set.

        Raises:
            UserError: The evaluator does not score this set.
        """
        if self.keypoint_sets is not None and keypoints.name not in self.keypoint_sets:
            raise UserError(
                f"The rules of {self.follows} score {' and '.join(self.keypoint_sets)}, "
                f"not {keypoints.name}.",
                "Take a protocol with --scorer coco_oks.",
            )
        if not keypoints.sigmas:
            raise UserError(
                f"The keypoint set {keypoints.name} has no OKS sigmas.",
                "Take a protocol with --scorer mpii_pckh.",
            )
        table = keypoints.sigma_tables[self.table] if self.table else keypoints.sigmas
        return np.array(table)


EVALUATOR_RULES = {
    "coco_oks": EvaluatorRules(
        follows="pycocotools 2.0.11",
        parts=_whole,
        ignored=_file_says_none,
        looked_at=_everybody,
        unmatchable=_is_zero,
    ),
    "wholebody_oks": EvaluatorRules(
        follows="xtcocotools 1.14.3",
        parts=_wholebody,
        ignored=_none_or_crowd,
        looked_at=_positive_in_part,
        unmatchable=_is_negative,
        keypoint_sets=("wholebody_133",),
        table="wholebody",
        extent=WHOLEBODY_SIZES["body"],
    ),
    "halpe_oks": EvaluatorRules(
        follows="halpecocotools 0.0.1",
        parts=_halpe,
        ignored=_none_or_flag,
        looked_at=_positive_anywhere,
        unmatchable=_is_zero,
        keypoint_sets=("halpe_136", "wholebody_133"),
        table="halpe",
        dtype=np.float32,
    ),
    # mmpose's evaluator for every set that is scored as a whole.
    "xtcoco_oks": EvaluatorRules(
        follows="xtcocotools 1.14.3",
        parts=_whole,
        ignored=_none_or_crowd,
        looked_at=_positive_anywhere,
        unmatchable=_is_negative,
    ),
}
# Images are scored a second time by how crowded they are, see ``posebench.scoring.crowd``.
CROWD_DIALECT = EvaluatorRules(
    follows="xtcocotools 1.14.3, keypoints_crowd",
    parts=_whole,
    ignored=_file_says_none,
    looked_at=_positive_anywhere,
    unmatchable=_is_negative,
    keypoint_sets=("crowdpose_14",),
)
