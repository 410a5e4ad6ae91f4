"""Our way into pycocotools gives what pycocotools gives for the plain files."""

from __future__ import annotations

import contextlib
import io
import json

import make
import numpy as np
import pytest

from posebench.datasets.coco import load_coco, restrict
from posebench.scoring.bootstrap import intervals, matches, metrics, precision_recall
from posebench.scoring.coco import (
    METRICS,
    box_ap,
    coco_results,
    evaluate_keypoints,
    persons_that_count,
)
from posebench.types.arrays import Predictions, Results


def annotated(tmp_path, images=30, seed=0):
    counts = tuple(int(n) for n in np.random.default_rng(seed).integers(0, 5, images))
    root = make.write_coco(tmp_path / f"data{seed}", counts, seed)
    file = root / "annotations" / "person_keypoints_val2017.json"
    dataset = load_coco(
        file, root / "val2017", dataset_id="coco", keypoint_set="coco_17", joints=17
    )
    return file, dataset


def noisy_results(dataset, seed=0, noise=4.0):
    """Ground truth moved by noise, doubled, joined by strangers; tied scores among them."""
    generator = np.random.default_rng(seed)
    rows = np.concatenate([np.arange(len(dataset.truth)), np.arange(0, len(dataset.truth), 3)])
    keypoints = dataset.truth.keypoints[rows, :, :2] + generator.normal(
        0, noise, (len(rows), 17, 2)
    )
    keypoints[::7] += 60
    count = len(rows)
    predictions = Predictions(
        keypoints=keypoints.astype(np.float32),
        joint_scores=generator.uniform(0.1, 1, (count, 17)).astype(np.float32),
        box=np.tile([1.0, 2.0, 30.0, 40.0], (count, 1)),
        box_score=np.ones(count),
        crop_area=np.ones(count),
        image_id=dataset.truth.image_id[rows],
        person_id=np.arange(count),
        keypoint_set="coco_17",
    )
    score = np.round(generator.uniform(0, 1, count), 1)
    return Results(predictions, score, generator.uniform(0, 1, count) > 0.1)


def direct(file, results, kind="keypoints"):
    """pycocotools fed from files, the way everybody does it."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        path = file.parent / "results.json"
        path.write_text(json.dumps(results))
        engine = COCOeval(truth, truth.loadRes(str(path)), kind)
        engine.evaluate()
        engine.accumulate()
        engine.summarize()
    return engine


@pytest.mark.parametrize("seed", range(4))
def test_precision_recall_and_scores_equal_pycocotools_to_the_byte(tmp_path, seed):
    file, dataset = annotated(tmp_path, seed=seed)
    results = noisy_results(dataset, seed)
    ours = evaluate_keypoints(results, dataset, 20)
    theirs = direct(file, coco_results(results))
    for name in ("precision", "recall", "scores"):
        assert ours.engine.eval[name].tobytes() == theirs.eval[name].tobytes(), name
    stats = [ours.values[name] / 100 for name in METRICS]
    assert [-1.0 if np.isnan(s) else s for s in stats] == pytest.approx(theirs.stats.tolist())
    assert 1 < ours.values["AP"] < 99
    areas = dataset.truth.area
    assert (areas > 96**2).sum() > 3 and (areas < 96**2).sum() > 3
    assert dataset.truth.crowd.any()
    assert (dataset.truth.num_keypoints == 0).sum() > 1


def test_ground_truth_as_prediction_is_perfect(tmp_path):
    """Of the persons with joints: one without any is an ignored region, no perfect match."""
    _, dataset = annotated(tmp_path)
    results = noisy_results(dataset)
    rows = np.concatenate([np.arange(len(dataset.truth)), np.arange(0, len(dataset.truth), 3)])
    keypoints = dataset.truth.keypoints[rows, :, :2].astype(np.float32)
    exact = Predictions(**(vars(results.predictions) | {"keypoints": keypoints}))
    counts = (dataset.truth.num_keypoints > 0) & ~dataset.truth.crowd
    first = (np.arange(len(exact)) < len(dataset.truth)) & counts[rows]
    values = evaluate_keypoints(Results(exact, results.score, first), dataset, 20).values
    assert values["AP"] == pytest.approx(100.0)
    assert values["AR"] == pytest.approx(100.0)


def test_swapped_sigmas_move_the_score(tmp_path, monkeypatch):
    """The sigmas are the set's own, in the set's order."""
    from posebench.keypoints import keypoint_set

    sigmas = keypoint_set("coco_17").sigmas
    expected = [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]
    assert [round(s * 1000) for s in sigmas] == expected
    _, dataset = annotated(tmp_path)
    engine = evaluate_keypoints(noisy_results(dataset), dataset, 20).engine
    assert engine.params.kpt_oks_sigmas.tolist() == list(sigmas)


def test_only_the_best_scored_persons_of_an_image_are_looked_at(tmp_path):
    _, dataset = annotated(tmp_path)
    results = noisy_results(dataset)
    assert (
        evaluate_keypoints(results, dataset, 1).values["AR"]
        < evaluate_keypoints(results, dataset, 20).values["AR"]
    )


def test_no_prediction_scores_zero(tmp_path):
    _, dataset = annotated(tmp_path)
    results = noisy_results(dataset)
    none = Results(results.predictions, results.score, np.zeros(len(results.score), np.bool_))
    evaluation = evaluate_keypoints(none, dataset, 20)
    assert evaluation.values["AP"] == 0.0
    assert intervals(evaluation, resamples=20)["AP"] == (0.0, 0.0)


def test_no_person_scores_nothing(tmp_path):
    root = make.write_coco(tmp_path / "empty", (0, 0))
    file = root / "annotations" / "person_keypoints_val2017.json"
    empty = load_coco(file, root, dataset_id="coco", keypoint_set="coco_17", joints=17)
    _, dataset = annotated(tmp_path)
    results = noisy_results(dataset)
    none = Results(results.predictions, results.score, np.zeros(len(results.score), np.bool_))
    evaluation = evaluate_keypoints(none, empty, 20)
    assert np.isnan(evaluation.values["AP"])
    assert intervals(evaluation, resamples=5) == {}
    assert persons_that_count(empty) == 0


def test_box_ap_equals_pycocotools(tmp_path):
    file, dataset = annotated(tmp_path)
    generator = np.random.default_rng(0)
    boxes = dataset.truth.box + generator.normal(0, 4, dataset.truth.box.shape)
    score = generator.uniform(0, 1, len(boxes))
    ours = box_ap(dataset, dataset.truth.image_id, boxes, score)
    rows = [
        {"image_id": int(i), "category_id": 1, "bbox": b, "score": float(s)}
        for i, b, s in zip(dataset.truth.image_id, boxes.tolist(), score, strict=True)
    ]
    assert ours == pytest.approx(100 * direct(file, rows, "bbox").stats[0])
    assert 5 < ours < 95


def test_persons_that_count_have_joints_and_are_no_crowd(tmp_path):
    _, dataset = annotated(tmp_path)
    rows = zip(dataset.truth.num_keypoints, dataset.truth.crowd, strict=True)
    assert persons_that_count(dataset) == sum(1 for n, crowd in rows if n > 0 and not crowd)


@pytest.mark.parametrize("seed", range(3))
def test_bootstrap_with_every_image_once_is_pycocotools(tmp_path, seed):
    _, dataset = annotated(tmp_path, seed=seed)
    evaluation = evaluate_keypoints(noisy_results(dataset, seed), dataset, 20)
    areas = matches(evaluation.engine)
    values = metrics(areas, np.ones(len(dataset.images)))
    for name, value in zip(METRICS, values, strict=True):
        assert value == pytest.approx(evaluation.values[name], nan_ok=True), name
    precision, recall = precision_recall(areas[0], np.ones(len(dataset.images)))
    np.testing.assert_allclose(precision, evaluation.engine.eval["precision"][:, :, 0, 0, 0])
    np.testing.assert_allclose(recall, evaluation.engine.eval["recall"][:, 0, 0, 0])


def test_an_image_counted_twice_equals_the_image_doubled(tmp_path):
    """Weights are multiplicities: twice everything changes nothing, twice one image does."""
    _, dataset = annotated(tmp_path)
    areas = matches(evaluate_keypoints(noisy_results(dataset), dataset, 20).engine)
    ones = np.ones(len(dataset.images))
    np.testing.assert_allclose(metrics(areas, ones), metrics(areas, 2 * ones))
    assert metrics(areas, ones + 3 * (np.arange(len(ones)) == 2))[0] != metrics(areas, ones)[0]


def test_intervals_are_seeded_and_contain_the_value(tmp_path):
    _, dataset = annotated(tmp_path)
    evaluation = evaluate_keypoints(noisy_results(dataset), dataset, 20)
    first = intervals(evaluation, resamples=200)
    assert first == intervals(evaluation, resamples=200)
    assert first != intervals(evaluation, resamples=200, seed=1)
    low, high = first["AP"]
    assert low < evaluation.values["AP"] < high
    narrow = intervals(evaluation, resamples=200, level=0.5)["AP"]
    assert low < narrow[0] < narrow[1] < high


def test_a_draw_counts_each_image_as_often_as_it_was_drawn(tmp_path):
    """One resample is one multinomial draw over the images, scored with those weights."""
    _, dataset = annotated(tmp_path)
    evaluation = evaluate_keypoints(noisy_results(dataset), dataset, 20)
    count = len(dataset.images)
    drawn = np.random.default_rng(7).multinomial(count, np.full(count, 1 / count)).astype(float)
    expected = metrics(matches(evaluation.engine), drawn)
    found = intervals(evaluation, resamples=1, seed=7)
    for name, value in zip(METRICS, expected, strict=True):
        assert found[name] == (pytest.approx(value), pytest.approx(value)), name
    assert drawn.max() > 1 and drawn.min() == 0


@pytest.mark.parametrize("images", [0, 1])
def test_one_image_has_an_interval_and_none_has_not(tmp_path, images):
    _, dataset = annotated(tmp_path, images=images)
    if images:
        dataset = restrict(annotated(tmp_path, seed=3)[1], 1)
    evaluation = evaluate_keypoints(noisy_results(dataset), dataset, 20)
    assert bool(intervals(evaluation, resamples=5)) == bool(images)
