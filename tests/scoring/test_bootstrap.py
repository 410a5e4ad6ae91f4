"""A draw is what the evaluator gives for the images it drew."""

from __future__ import annotations

import numpy as np
import pytest
import random_persons

from posebench.scoring import bootstrap
from posebench.scoring.accumulate import METRICS
from posebench.scoring.bootstrap import bootstrap_counts, confidence_intervals, resampled
from posebench.scoring.evaluator_rules import EVALUATOR_RULES
from posebench.scoring.keypoint_ap import evaluate_parts


def evaluated(sample, scorer="coco_oks"):
    return evaluate_parts(
        random_persons.results(sample), random_persons.dataset(sample), EVALUATOR_RULES[scorer]
    )


def drawn(sample, weights):
    """The sample with each image as often as its weight says, under new ids."""
    images = sorted(sample["images"], key=lambda image: image["id"])
    many = {"set": sample["set"], "images": [], "annotations": [], "results": []}
    for image, weight in zip(images, weights, strict=True):
        for _ in range(int(weight)):
            new = len(many["images"]) + 1
            many["images"].append(image | {"id": new})
            for rows in ("annotations", "results"):
                here = [row for row in sample[rows] if row["image_id"] == image["id"]]
                many[rows] += [row | {"image_id": new} for row in here]
    return many


@pytest.mark.parametrize("scorer", ["coco_oks", "halpe_oks"])
@pytest.mark.parametrize("seed", range(4))
def test_every_image_once_gives_the_measured_values(scorer, seed):
    sample = random_persons.sample("wholebody_133", seed, images=12)
    for evaluation in evaluated(sample, scorer).values():
        values = resampled(evaluation.matches, np.ones((12, 1)))
        assert list(values) == list(METRICS)
        for name, value in values.items():
            assert value[0] == pytest.approx(evaluation.values[name], abs=1e-9), name


def test_recall_points_that_rounding_moves_are_counted_exactly():
    """With 100 persons every recall lies on a point, some a last bit below it."""
    reached = np.arange(101) / 100
    expected = np.searchsorted(bootstrap.RECALLS, reached, side="right")
    assert bootstrap._points_up_to(reached).tolist() == expected.tolist()
    assert (np.diff(expected) != 1).any()


@pytest.mark.parametrize("seed", range(3))
def test_a_draw_is_the_evaluation_of_the_images_drawn(seed):
    """Scores are made different: equal ones stand in another order once images are repeated."""
    sample = random_persons.sample("coco_17", seed, images=12)
    generator = np.random.default_rng(seed)
    scores = generator.permutation(len(sample["results"])) / 1000
    sample["results"] = [
        row | {"score": float(score)} for row, score in zip(sample["results"], scores, strict=True)
    ]
    weights = bootstrap_counts(12, 3, seed)
    assert weights.max() > 1 and (weights == 0).any() and set(weights.sum(axis=0)) == {12}
    values = resampled(evaluated(sample)[""].matches, weights)
    for draw, column in enumerate(weights.T):
        again = evaluated(drawn(sample, column))[""]
        for name in METRICS:
            # Repeated detections tie, and the evaluator reads precision after each of them.
            assert values[name][draw] == pytest.approx(again.values[name], abs=1.0), name
        assert values["AR"][draw] == pytest.approx(again.values["AR"])


def test_blocks_of_draws_change_nothing(monkeypatch):
    matches = evaluated(random_persons.sample("coco_17", 0))[""].matches
    weights = bootstrap_counts(7, 20)
    whole = resampled(matches, weights)
    monkeypatch.setattr(bootstrap, "CELLS", 1)
    for name, column in resampled(matches, weights).items():
        np.testing.assert_allclose(column, whole[name], rtol=1e-12)


def test_draws_without_persons_are_left_out_of_the_interval():
    sample = random_persons.sample("coco_17", 0)
    evaluation = evaluated(sample)[""]
    draws = resampled(evaluation.matches, np.eye(7))
    assert np.isnan(draws["AP"]).sum() == 2  # the two images without persons
    low, high = confidence_intervals(draws, evaluation.values)["AP"]
    assert 0 <= low < high <= 100
    nobody = evaluated(sample | {"annotations": []})[""]
    none = resampled(nobody.matches, np.ones((7, 5)))
    assert all(np.isnan(column).all() for column in none.values())
    assert confidence_intervals(none, nobody.values) == {}


def test_no_detections_score_zero_in_every_draw():
    evaluation = evaluated(random_persons.sample("coco_17", 0) | {"results": []})[""]
    draws = resampled(evaluation.matches, np.ones((7, 3)))
    assert confidence_intervals(draws, evaluation.values)["AP"] == (0.0, 0.0)


def test_draws_are_seeded_and_intervals_hold_the_value():
    evaluation = evaluated(random_persons.sample("coco_17", 1, images=30))[""]
    assert (bootstrap_counts(30, 50) == bootstrap_counts(30, 50)).all()
    assert (bootstrap_counts(30, 50) != bootstrap_counts(30, 50, seed=1)).any()
    draws = resampled(evaluation.matches, bootstrap_counts(30, 300))
    low, high = confidence_intervals(draws, evaluation.values)["AP"]
    assert low < evaluation.values["AP"] < high
    narrow = confidence_intervals(draws, evaluation.values, level=0.5)["AP"]
    assert low < narrow[0] < narrow[1] < high
