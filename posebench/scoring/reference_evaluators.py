"""The published evaluators themselves, for those who want to see their own figures.

posebench's own engine gives the same arrays to the byte; a referee takes some hundred times as long
and knows no intervals.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from posebench.keypoints import keypoint_set
from posebench.scoring.accumulate import summary
from posebench.scoring.coco import coco_results
from posebench.scoring.evaluator_rules import EVALUATOR_RULES, WHOLEBODY_SIZES
from posebench.scoring.scorers import check
from posebench.types.arrays import Dataset, Floats, Results
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol

OWN = "own"
# COCO-WholeBody's names of the parts' lists, in the order of its 133 joints.
LISTS = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")

Row = dict[str, Any]
# (evaluator, truth, found, part's name, part's sigmas) -> it, ready to evaluate and accumulate
Build = Callable[[Any, Any, Any, str, Floats], Any]


def _pycocotools(evaluator: Any, truth: Any, found: Any, part: str, sigmas: Floats) -> Any:
    engine = evaluator(truth, found, "keypoints")
    engine.params.kpt_oks_sigmas = sigmas
    return engine


def _xtcocotools(evaluator: Any, truth: Any, found: Any, part: str, sigmas: Floats) -> Any:
    return evaluator(truth, found, f"keypoints_{part}", sigmas, use_area=True)


# Referee -> the scorer whose rules are its own, and how it is set up.
REFEREES: dict[str, tuple[str, Build]] = {
    "pycocotools": ("coco_oks", _pycocotools),
    "xtcocotools": ("wholebody_oks", _xtcocotools),
}


def reference_scores(
    name: str, results: Results, dataset: Dataset, protocol: Protocol
) -> tuple[dict[str, float], str]:
    """Score with a published evaluator.

    Args:
        name: Of ``REFEREES``.
        results: Persons kept by suppression are scored.
        dataset: Ground truth of the same keypoint set.
        protocol: Its scorer must be the one that the referee's rules stand for.

    Returns:
        Metric -> percent, the ten numbers of every part; and the referee's name and version.

    Raises:
        UserError: The referee is unknown, is not installed or has other rules.
    """
    if name not in REFEREES:
        raise UserError(f"Unknown engine {name!r}.", f"Known: {OWN}, {', '.join(REFEREES)}.")
    scorer, build = REFEREES[name]
    if protocol.scorer != scorer:
        raise UserError(
            f"{name} scores by the rules of {scorer}, not of {protocol.scorer}.",
            f"Take --scorer {scorer} or leave --engine out.",
        )
    check(results, dataset)
    index, evaluator = _load(name)
    rules, keypoints = EVALUATOR_RULES[scorer], keypoint_set(dataset.keypoint_set)
    sigmas, parts = rules.sigmas(keypoints), rules.parts(keypoints)
    annotations, found = _annotations(dataset), _rows(results, dataset, protocol)
    values: dict[str, float] = {}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # xtcocotools warns of parts without a score of their own
        truth = index()
        truth.dataset = annotations
        truth.anno_file = [""]
        truth.createIndex()
        loaded = truth.loadRes(found) if found else _nothing(index, annotations)
        for part in parts:
            engine = build(evaluator, truth, loaded, part.name, sigmas[part.joints])
            engine.params.maxDets = [protocol.max_detections]
            engine.evaluate()
            engine.accumulate()
            numbers = summary(
                engine.eval["precision"][:, :, 0, :, 0], engine.eval["recall"][:, 0, :, 0]
            )
            prefix = f"{part.name}/" if part.name else ""
            values |= {prefix + metric: value for metric, value in numbers.items()}
    return values, f"{name} {version(name)}"


def _load(name: str) -> tuple[Any, Any]:
    try:
        coco = importlib.import_module(f"{name}.coco")
        return coco.COCO, importlib.import_module(f"{name}.cocoeval").COCOeval
    except (ImportError, ValueError) as error:  # ValueError: built for another numpy
        raise UserError(
            f"{name} cannot be imported here ({error}).",
            f"`pip install {name}`, or leave --engine out.",
        ) from error


def _nothing(index: Any, annotations: Row) -> Any:
    """Detections of nobody: loadRes refuses an empty list."""
    found = index()
    found.dataset = {**annotations, "annotations": []}
    found.createIndex()
    return found


def _annotations(dataset: Dataset) -> Row:
    truth = dataset.truth
    people = [
        {
            "id": int(truth.id[row]),
            "image_id": int(truth.image_id[row]),
            "category_id": dataset.category_id,
            "bbox": truth.box[row].tolist(),
            "area": float(truth.area[row]),
            "iscrowd": int(truth.crowd[row]),
            "num_keypoints": int(truth.num_keypoints[row]),
        }
        | _lists(truth.keypoints[row].ravel().tolist())
        for row in range(len(truth))
    ]
    images = [{"id": int(number)} for number in dataset.images.id]
    categories = [{"id": dataset.category_id, "name": "person"}]
    return {"images": images, "annotations": people, "categories": categories}


def _rows(results: Results, dataset: Dataset, protocol: Protocol) -> list[Row]:
    rows = coco_results(results, dataset.category_id)
    boxes = results.predictions.box[results.kept].tolist()
    with_box = protocol.result_area == "box"
    return [
        row | _lists(row["keypoints"]) | ({"bbox": box} if with_box else {})
        for row, box in zip(rows, boxes, strict=True)
    ]


def _lists(flat: list[float]) -> Row:
    """Keypoints as files hold them: COCO-WholeBody's in a list a part."""
    if len(flat) != 3 * sum(WHOLEBODY_SIZES.values()):
        return {"keypoints": flat}
    numbers = iter(flat)
    return {
        name: [next(numbers) for _ in range(3 * size)]
        for name, size in zip(LISTS, WHOLEBODY_SIZES.values(), strict=True)
    }
