"""COCO's own formats and its box AP."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np

from posebench.types.arrays import Dataset, Floats, Ints, Results


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


def box_ap(dataset: Dataset, image_id: Ints, box: Floats, score: Floats) -> float:
    """AP of the boxes themselves, percent: the proof behind a name like "56.4-AP boxes".

    Args:
        dataset: Its annotated person boxes, crowds included, are the ground truth.
        image_id: (N,) of each box.
        box: (N, 4) x, y, width, height, px.
        score: (N,).
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    detections = [
        {"image_id": int(i), "category_id": dataset.category_id, "bbox": b, "score": float(s)}
        for i, b, s in zip(image_id, box.tolist(), score, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = _boxes_json(dataset)
        truth.createIndex()
        if detections:
            found = truth.loadRes(detections)
        else:  # loadRes refuses an empty list
            found = COCO()
            found.dataset = {**truth.dataset, "annotations": []}
            found.createIndex()
        engine = COCOeval(truth, found, "bbox")
        engine.evaluate()
        engine.accumulate()
    precision = engine.eval["precision"][:, :, 0, 0, -1]
    valid = precision[precision > -1]
    return 100.0 * float(np.mean(valid)) if valid.size else float("nan")


def _boxes_json(dataset: Dataset) -> dict[str, Any]:
    truth = dataset.truth
    people = [
        {
            "id": int(truth.id[row]),
            "image_id": int(truth.image_id[row]),
            "category_id": dataset.category_id,
            "bbox": truth.box[row].tolist(),
            "area": float(truth.area[row]),
            "iscrowd": int(truth.crowd[row]),
        }
        for row in range(len(truth))
    ]
    images = [{"id": int(i)} for i in dataset.images.id]
    categories = [{"id": dataset.category_id, "name": "person"}]
    return {"images": images, "annotations": people, "categories": categories}
