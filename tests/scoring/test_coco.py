"""Boxes are scored as pycocotools does, and results are written as it reads them."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import random_persons

from posebench.scoring.coco import box_ap, coco_results
from posebench.types.arrays import Results


def moved_boxes(sample, seed=0):
    dataset = random_persons.dataset(sample)
    generator = np.random.default_rng(seed)
    boxes = dataset.truth.box + generator.normal(0, 4, dataset.truth.box.shape)
    return dataset, boxes, generator.uniform(0, 1, len(boxes))


@pytest.mark.parametrize("seed", range(3))
def test_box_ap_equals_pycocotools(seed):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    sample = random_persons.sample("coco_17", seed)
    dataset, boxes, score = moved_boxes(sample)
    ours = box_ap(dataset, dataset.truth.image_id, boxes, score)
    rows = [
        {"image_id": int(i), "category_id": 1, "bbox": b, "score": float(s)}
        for i, b, s in zip(dataset.truth.image_id, boxes.tolist(), score, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {key: sample[key] for key in ("images", "annotations")}
        truth.dataset["categories"] = [{"id": 1, "name": "person"}]
        truth.createIndex()
        engine = COCOeval(truth, truth.loadRes(rows), "bbox")
        engine.evaluate()
        engine.accumulate()
        engine.summarize()
    assert ours == pytest.approx(100 * engine.stats[0])
    assert 5 < ours < 95


def test_no_boxes_score_zero_and_no_persons_nothing():
    sample = random_persons.sample("coco_17", 0)
    dataset, boxes, score = moved_boxes(sample)
    none = dataset.truth.image_id[:0]
    assert box_ap(dataset, none, boxes[:0], score[:0]) == 0.0
    empty = random_persons.dataset(sample | {"annotations": []})
    assert np.isnan(box_ap(empty, dataset.truth.image_id, boxes, score))


def test_results_are_cocos_rows_of_the_kept_persons():
    sample = random_persons.sample("coco_17", 0)
    results = random_persons.results(sample)
    assert coco_results(results) == [
        {key: row[key] for key in ("image_id", "category_id", "keypoints", "score")}
        for row in sample["results"]
    ]
    kept = np.arange(len(results.score)) % 2 == 0
    some = Results(results.predictions, results.score, kept)
    assert coco_results(some, 7) == [row | {"category_id": 7} for row in coco_results(results)[::2]]
