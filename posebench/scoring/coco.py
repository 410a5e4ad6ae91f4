"""COCO keypoint AP with pycocotools, from columnar results."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posebench.keypoints import keypoint_set
from posebench.types.arrays import Dataset, Floats, Ints, Results

METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
AREAS = ("all", "medium", "large")
THRESHOLDS = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An evaluator that has matched and accumulated.

    Attributes:
        values: Metric -> percent; NaN where nothing counts.
        engine: The pycocotools ``COCOeval``, with its matches.
        scorer: Name and version.
    """

    values: dict[str, float]
    engine: Any
    scorer: str


def coco_results(results: Results, category_id: int = 1) -> list[dict[str, Any]]:
    """Return the kept persons in COCO's results format (image px, joint scores as third)."""
    predictions = results.predictions
    triples = np.concatenate([predictions.keypoints, predictions.joint_scores[..., None]], axis=2)
    flat = triples.astype(np.float64).reshape(len(predictions), 3 * triples.shape[1])
    return [
        {
            "image_id": int(predictions.image_id[row]),
            "category_id": category_id,
            "keypoints": flat[row].tolist(),
            "score": float(results.score[row]),
        }
        for row in np.flatnonzero(results.kept)
    ]


def evaluate_keypoints(results: Results, dataset: Dataset, max_detections: int) -> Evaluation:
    """Score keypoints with pycocotools' COCOeval.

    Every image of the dataset counts, those without persons too.

    Args:
        results: Persons kept by suppression are scored.
        dataset: Ground truth.
        max_detections: Highest-scored persons an image that are looked at.
    """
    sigmas = np.array(keypoint_set(dataset.keypoint_set).sigmas)
    detections = coco_results(results, dataset.category_id)
    return _evaluate(dataset, detections, "keypoints", max_detections, sigmas)


def box_ap(dataset: Dataset, image_id: Ints, box: Floats, score: Floats) -> float:
    """AP of the boxes themselves, percent: the proof behind a name like "56.4-AP boxes".

    Args:
        dataset: Its annotated person boxes, crowds included, are the ground truth.
        image_id: (N,) of each box.
        box: (N, 4) x, y, width, height, px.
        score: (N,).
    """
    detections = [
        {"image_id": int(i), "category_id": dataset.category_id, "bbox": b, "score": float(s)}
        for i, b, s in zip(image_id, box.tolist(), score, strict=True)
    ]
    return _evaluate(dataset, detections, "bbox", 100, None).values["AP"]


def _evaluate(
    dataset: Dataset,
    detections: list[dict[str, Any]],
    kind: str,
    max_detections: int,
    sigmas: NDArray[np.floating[Any]] | None,
) -> Evaluation:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = _truth_json(dataset)
        truth.createIndex()
        found = truth.loadRes(detections) if detections else _no_results(COCO, truth)
        engine = COCOeval(truth, found, kind)
        if sigmas is not None:
            engine.params.kpt_oks_sigmas = sigmas
            engine.params.maxDets = [max_detections]
        engine.evaluate()
        engine.accumulate()
    version = f"pycocotools {metadata.version('pycocotools')}"
    return Evaluation(values=_summary(engine.eval), engine=engine, scorer=version)


def _summary(accumulated: dict[str, Any]) -> dict[str, float]:
    """Means over the accumulated arrays.

    COCOeval's own summary looks for exactly 20 detections an image and prints; the arrays
    are the same for any number.
    """
    precision = accumulated["precision"][:, :, 0, :, -1]
    recall = accumulated["recall"][:, 0, :, -1]
    parts = {"": slice(None), "50": slice(0, 1), "75": slice(5, 6)}
    values = {f"AP{name}": _mean(precision[part, :, 0]) for name, part in parts.items()}
    values |= {f"AR{name}": _mean(recall[part, 0]) for name, part in parts.items()}
    for area, letter in enumerate("ML", start=1):
        values |= {f"AP{letter}": _mean(precision[..., area])}
        values |= {f"AR{letter}": _mean(recall[..., area])}
    return {name: values[name] for name in METRICS}


def _mean(values: NDArray[np.floating[Any]]) -> float:
    """Percent, over what is not COCOeval's -1 for "nobody there"."""
    valid = values[values > -1]
    return 100.0 * float(np.mean(valid)) if valid.size else float("nan")


def _no_results(kind: Any, truth: Any) -> Any:
    """An empty result set: ``loadRes`` refuses an empty list."""
    found = kind()
    found.dataset = {**truth.dataset, "annotations": []}
    found.createIndex()
    return found


def _truth_json(dataset: Dataset) -> dict[str, Any]:
    truth, images = dataset.truth, dataset.images
    joints = truth.keypoints.reshape(len(truth), 3 * truth.keypoints.shape[1])
    people = [
        {
            "id": int(truth.id[row]),
            "image_id": int(truth.image_id[row]),
            "category_id": dataset.category_id,
            "bbox": truth.box[row].tolist(),
            "area": float(truth.area[row]),
            "iscrowd": int(truth.crowd[row]),
            "ignore": int(truth.ignore[row]),
            "keypoints": joints[row].tolist(),
            "num_keypoints": int(truth.num_keypoints[row]),
        }
        for row in range(len(truth))
    ]
    table = [
        {"id": int(i), "width": int(w), "height": int(h)}
        for i, w, h in zip(images.id, images.width, images.height, strict=True)
    ]
    categories = [{"id": dataset.category_id, "name": "person"}]
    return {"images": table, "annotations": people, "categories": categories}


def persons_that_count(dataset: Dataset) -> int:
    """Annotated persons with labelled keypoints that are no crowd.

    COCOeval overwrites an annotation's own ``ignore`` flag, so that it does not count here either.
    """
    return int(((dataset.truth.num_keypoints > 0) & ~dataset.truth.crowd).sum())
