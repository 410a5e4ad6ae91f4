"""CrowdPose's evaluation: AP of all images, and of easy, medium and hard ones by crowd index.

Follows xtcocotools' ``keypoints_crowd`` with ``use_area=False``, as mmpose calls it: a person's
area is a share of the annotated box, whatever the file says of segments.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from posebench.keypoints import keypoint_set
from posebench.scoring.accumulate import accumulate, evaluate
from posebench.scoring.bootstrap import resampled
from posebench.scoring.evaluator_rules import CROWD_DIALECT
from posebench.scoring.keypoint_ap import arrays_of_parts, mean_similarities
from posebench.scoring.matching import match
from posebench.scoring.oks import Bools, EvalArrays
from posebench.types.arrays import Dataset, Floats, Ints, Results
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol

# xtcocotools cocoeval.py: area of a person whose outline is not used.
BOX_SHARE = 0.53
# xtcocotools cocoeval.py, _summarizeKps_crowd: crowd index below the first, the second, and above.
BOUNDS = (0.2, 0.8)
TYPES = ("easy", "medium", "hard")
# Numbers by person size mean nothing where areas are not used.
METRICS = ("AP", "AP50", "AP75", "AR", "AR50", "AR75")
DECIMALS = 4


def measure(
    results: Results, dataset: Dataset, protocol: Protocol, weights: Floats | None
) -> tuple[dict[str, float], dict[str, Floats], Ints]:
    """Score selected persons.

    Args:
        results: Persons kept by suppression.
        dataset: CrowdPose, with a crowd index for each image.
        protocol: Its number of detections and area of a result are used.
        weights: (I, B) multiplicity of each image, by rising id, in each draw; None for none.

    Returns:
        Metrics in percent (``AP``, ..., ``easy/AP``, ``similarity/<joint>``), their draws (none
        for the types, whose images are other ones in every draw), and the image row of each
        person that counts.

    Raises:
        UserError: Another keypoint set, or images without crowd index.
    """
    arrays = _people(results, dataset, protocol)
    evaluation = evaluate(arrays, protocol.max_detections)
    values = {metric: evaluation.values[metric] for metric in METRICS}
    for kind, inside in zip(TYPES, _types(dataset), strict=True):
        values[f"{kind}/AP"] = _ap_of(arrays, inside, protocol.max_detections)
    names = keypoint_set(dataset.keypoint_set).names
    for joint, value in zip(names, mean_similarities(evaluation), strict=True):
        values[f"similarity/{joint}"] = float(value)
    draws = {} if weights is None else resampled(evaluation.matches, weights)
    draws = {metric: column for metric, column in draws.items() if metric in METRICS}
    return values, draws, arrays.truth_image[~arrays.ignored]


def _people(results: Results, dataset: Dataset, protocol: Protocol) -> EvalArrays:
    parts = arrays_of_parts(results, dataset, CROWD_DIALECT, protocol.result_area)
    arrays = parts[""]
    # As the reference multiplies: height times width times the share.
    area = arrays.truth_box[:, 3] * arrays.truth_box[:, 2] * BOX_SHARE
    return replace(arrays, truth_area=area)


def _types(dataset: Dataset) -> list[Bools]:
    """Which images, by rising id, are easy, medium and hard: three (I,) bool."""
    index = dataset.images.crowd_index
    if index is None:
        raise UserError(
            f"{dataset.annotations_file} gives no crowd index for its images.",
            "Give CrowdPose's annotations, or take --scorer coco_oks.",
        )
    index = index[np.argsort(dataset.images.id)]
    first, second = BOUNDS
    easy, hard = index < first, index >= second
    return [easy, ~easy & ~hard, hard]


def _ap_of(arrays: EvalArrays, images: Bools, max_detections: int) -> float:
    """AP of some images, in percent; the reference rounds the share to four decimals."""
    truth, found = images[arrays.truth_image], images[arrays.found_image]
    columns = {n: v[truth] for n, v in vars(arrays).items() if n.startswith("truth_")}
    columns |= {
        n: getattr(arrays, n)[truth] for n in ("labelled", "ignored", "crowd", "unmatchable")
    }
    columns["looked_at"] = arrays.looked_at & found
    precision, _, _ = accumulate(match(replace(arrays, **columns), max_detections))
    mean = round(float(np.mean(precision[:, :, 0])), DECIMALS)
    return 100.0 * mean if mean >= 0 else float("nan")
