"""Instance scores and OKS suppression against reference loops."""

from __future__ import annotations

from dataclasses import replace

import make
import numpy as np
import pytest
import reference_steps
from hypothesis import given, settings
from hypothesis import strategies as st

from posebench.inference.select import RESCORINGS, SUPPRESSIONS, finite_persons, select
from posebench.types.arrays import Predictions
from posebench.types.errors import UserError


def people(seed: int, count: int = 12, images: int = 3) -> Predictions:
    """Persons of which some are near copies of others in the same image."""
    generator = np.random.default_rng(seed)
    keypoints = generator.uniform(0, 200, (count, 17, 2)).astype(np.float32)
    image_id = np.sort(generator.integers(0, images, count))
    for row in range(1, count, 2):
        if image_id[row] == image_id[row - 1]:
            noise = generator.normal(0, generator.uniform(0.1, 6), (17, 2))
            keypoints[row] = keypoints[row - 1] + noise
    return Predictions(
        keypoints=keypoints,
        joint_scores=generator.uniform(0, 1, (count, 17)).astype(np.float32),
        box=np.tile([0.0, 0.0, 60.0, 90.0], (count, 1)),
        box_score=generator.uniform(0, 1, count),
        crop_area=generator.uniform(3e3, 6e4, count),
        image_id=image_id.astype(np.int64),
        person_id=np.arange(count),
        keypoint_set="coco_17",
    )


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10_000), threshold=st.sampled_from([0.5, 0.9]))
def test_scores_and_kept_persons_equal_reference_loops(seed, threshold):
    predictions = people(seed)
    protocol = make.protocol(nms_threshold=threshold)
    results = select(predictions, protocol)
    expected = [
        reference_steps.instance_score(joints, box)
        for joints, box in zip(predictions.joint_scores, predictions.box_score, strict=True)
    ]
    np.testing.assert_allclose(results.score, expected, rtol=1e-6)
    kept = []
    for image in np.unique(predictions.image_id):
        rows = np.flatnonzero(predictions.image_id == image)
        persons = [
            (
                int(row),
                predictions.keypoints[row].astype(float).tolist(),
                float(predictions.crop_area[row]),
                float(results.score[row]),
            )
            for row in rows
        ]
        kept += reference_steps.suppress(persons, threshold)
    assert np.flatnonzero(results.kept).tolist() == sorted(kept)


def test_the_generator_really_makes_duplicates():
    dropped = [int((~select(people(s), make.protocol()).kept).sum()) for s in range(40)]
    assert sum(n > 0 for n in dropped) > 10


def test_only_joints_above_the_threshold_count():
    predictions = people(0, count=1)
    joints = np.full((1, 17), 0.2, np.float32)
    joints[0, :2] = [0.6, 0.8]
    one = Predictions(**(vars(predictions) | {"joint_scores": joints, "box_score": np.ones(1)}))
    score = RESCORINGS["box_times_mean_visible"](one, make.protocol())
    # float32 0.2 is just above 0.2, in the references too: all 17 count.
    assert score[0] == pytest.approx((15 * 0.2 + 1.4) / 17, rel=1e-6)
    low = np.where(joints > 0.3, joints, np.float32(0.19))
    one = Predictions(**(vars(one) | {"joint_scores": low}))
    assert RESCORINGS["mean_visible"](one, make.protocol())[0] == pytest.approx(0.7)
    everything = make.protocol(visibility_threshold=0.0)
    assert RESCORINGS["mean_visible"](one, everything)[0] == pytest.approx(
        (15 * 0.19 + 1.4) / 17, rel=1e-6
    )


def test_a_person_without_any_visible_joint_scores_zero():
    predictions = people(0, count=1)
    none = Predictions(**(vars(predictions) | {"joint_scores": np.zeros((1, 17), np.float32)}))
    assert select(none, make.protocol()).score[0] == 0.0


def test_the_threshold_itself_is_kept():
    """Suppressed only above the threshold: OKS exactly at it stays."""
    base = people(1, count=2, images=1)
    same = Predictions(**(vars(base) | {"keypoints": np.zeros((2, 17, 2), np.float32)}))
    assert select(same, make.protocol(nms_threshold=1.0)).kept.all()
    assert select(same, make.protocol(nms_threshold=0.999)).kept.sum() == 1


def test_of_equal_scores_the_later_row_is_kept():
    base = people(1, count=2, images=1)
    twins = {
        "keypoints": np.zeros((2, 17, 2), np.float32),
        "joint_scores": np.full((2, 17), 0.5, np.float32),
        "box_score": np.ones(2),
    }
    same = Predictions(**(vars(base) | twins))
    assert select(same, make.protocol()).kept.tolist() == [False, True]


def test_persons_of_different_images_never_meet():
    base = people(1, count=2)
    apart = {"keypoints": np.zeros((2, 17, 2), np.float32), "image_id": np.array([4, 9])}
    assert select(Predictions(**(vars(base) | apart)), make.protocol()).kept.all()


def test_no_suppression_keeps_everyone():
    predictions = people(2)
    assert SUPPRESSIONS["none"](predictions, predictions.box_score, make.protocol())[2].all()


def test_nobody_in_nobody_out():
    empty = people(0, count=0)
    results = select(empty, make.protocol())
    assert len(results.score) == 0
    assert len(results.kept) == 0


def reference_soft(people, threshold):
    """At most 20 of one image, as (id, points, area, score): rivals fade as they overlap."""
    rest = [list(person) for person in people]
    kept = []
    while rest and len(kept) < 20:
        best = max(rest, key=lambda person: person[3])
        rest.remove(best)
        kept.append(best[0])
        for person in rest:
            overlap = reference_steps.similarity(best[1], person[1], best[2], person[2])
            person[3] *= np.exp(-(overlap**2) / threshold)
    return kept


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.sampled_from([12, 30]))
def test_soft_suppression_keeps_the_reference_loops_persons(seed, count):
    predictions = people(seed, count, images=1)
    protocol = make.protocol(nms="soft_oks")
    results = select(predictions, protocol)
    persons = [
        (row, predictions.keypoints[row].astype(float), predictions.crop_area[row], score)
        for row, score in enumerate(results.score.tolist())
    ]
    assert np.flatnonzero(results.kept).tolist() == sorted(reference_soft(persons, 0.9))
    assert results.kept.sum() == min(count, 20)


def test_alphapose_adds_the_box_score_for_detectors_only():
    predictions = people(5)
    joints = predictions.joint_scores.astype(np.float64)
    for name, weight in (("alphapose_2019", 1.0), ("alphapose_2022", 1.25)):
        parts = joints.mean(axis=1) + weight * joints.max(axis=1)
        detected = make.protocol(boxes="detector", rescoring=name)
        np.testing.assert_allclose(
            RESCORINGS[name](predictions, detected), parts + predictions.box_score
        )
        np.testing.assert_allclose(
            RESCORINGS[name](predictions, make.protocol(rescoring=name)), parts
        )


def test_whole_body_suppression_uses_alphaposes_own_sigmas():
    """Its suppression takes 0.025 for face and hands, its metric 0.015."""
    generator = np.random.default_rng(0)
    points = generator.uniform(0, 200, (136, 2)).astype(np.float32)
    two = np.stack([points, points])
    two[1, 26:] += 4.0
    joint_scores = np.full((2, 136), 0.9, np.float32)
    joint_scores[1] = 0.8
    pair = Predictions(
        keypoints=two,
        joint_scores=joint_scores,
        box=np.tile([0.0, 0.0, 60.0, 90.0], (2, 1)),
        box_score=np.ones(2),
        crop_area=np.full(2, 60_000.0),
        image_id=np.zeros(2, np.int64),
        person_id=np.arange(2),
        keypoint_set="halpe_136",
    )
    # Apart by 4 px in x and y: 0.92 with the wider sigmas, below 0.8 with the metric's.
    assert select(pair, make.protocol()).kept.tolist() == [True, False]


def test_suppression_without_sigmas_says_so():
    nobody = Predictions(**(vars(people(0, count=0)) | {"keypoint_set": "mpii_16"}))
    with pytest.raises(UserError, match="--nms none"):
        select(nobody, make.protocol())


@pytest.mark.parametrize("column", ["keypoints", "joint_scores", "box", "box_score", "crop_area"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_person_with_a_number_that_is_not_finite_is_left_out(column, value):
    whole = people(0)
    assert finite_persons(whole) == (whole, 0)
    values = getattr(whole, column).copy()
    values.reshape(len(values), -1)[[2, 5], -1] = value
    rest, lost = finite_persons(replace(whole, **{column: values}))
    assert lost == 2
    assert rest.person_id.tolist() == np.delete(whole.person_id, [2, 5]).tolist()
    assert np.isfinite(getattr(rest, column)).all()
