"""The tests that leave pairs out never leave out a similar one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import random_persons

from posebench.scoring import matching, pairs
from posebench.scoring.evaluator_rules import EVALUATOR_RULES
from posebench.scoring.keypoint_ap import evaluate_parts
from posebench.scoring.oks import similarities, spans
from posebench.scoring.pairs import similar_pairs


def people(name="coco_17", scorer="coco_oks", seed=0, images=7):
    sample = random_persons.sample(name, seed, images)
    found = evaluate_parts(
        random_persons.results(sample), random_persons.dataset(sample), EVALUATOR_RULES[scorer]
    )
    return [evaluation.arrays for evaluation in found.values()]


def brute(everybody, rows, least):
    """(place, person, OKS) of similar pairs, from every pair there is."""
    found = []
    for place, row in enumerate(rows):
        (truth,) = np.nonzero(everybody.truth_image == everybody.found_image[row])
        oks = similarities(everybody, truth, np.full(len(truth), row))
        found += [(place, t, o) for t, o in zip(truth, oks, strict=True) if o >= least]
    return found


def by_image(everybody):
    return np.argsort(everybody.found_image, kind="stable")


def listed(found):
    return list(zip(found.place, found.truth, found.oks, strict=True))


@pytest.mark.parametrize("least", [0.5, 0.05, 0.97])
@pytest.mark.parametrize(
    ("name", "scorer"),
    [("coco_17", "coco_oks"), ("wholebody_133", "wholebody_oks"), ("halpe_136", "halpe_oks")],
)
def test_equal_to_looking_at_every_pair(name, scorer, least):
    for part in people(name, scorer):
        rows = by_image(part)
        found = similar_pairs(part, rows, least)
        assert listed(found) == brute(part, rows, least)


@pytest.mark.parametrize("seed", range(30))
def test_one_joint_close_and_the_others_away(seed):
    """Detections whose similarity comes from a few joints, at the edge of what is similar."""
    generator = np.random.default_rng(seed)
    (everybody,) = people(seed=seed)
    size = len(everybody.truth_image)
    count, joints = 400, 17
    truth = generator.integers(0, size, count)
    labels = generator.uniform(size=(size, joints)) < generator.choice([0.1, 0.5, 1.0], (size, 1))
    area = generator.choice([1e-3, 1.0, 300.0, 1e5], size)
    corner = generator.uniform(-1e4, 1e4, (size, 1, 2))
    xy = corner + generator.uniform(0, 1, (size, joints, 2)) * np.sqrt(area)[:, None, None]
    # Distances at which a joint's similarity is about as high as the mean has to be.
    far = np.sqrt(2 * area * np.log(2))[truth, None] * everybody.sigmas * 2
    angle = generator.uniform(0, 2 * np.pi, (count, joints))
    step = np.stack([np.cos(angle), np.sin(angle)], axis=2) * far[..., None]
    step *= generator.uniform(0.95, 1.05, (count, 1, 1))
    step[generator.uniform(size=(count, joints)) < 0.03] *= 100
    everybody = replace(
        everybody,
        truth_xy=xy,
        truth_box=np.concatenate([corner[:, 0], np.sqrt(np.stack([area, area], 1))], axis=1),
        labelled=labels,
        truth_area=area,
        found_image=everybody.truth_image[truth],
        found_xy=(xy[truth] + step).astype(np.float32),
    )
    rows = by_image(everybody)
    expected = brute(everybody, rows, 0.5)
    assert 50 < len(expected) < 4 * count
    assert listed(similar_pairs(everybody, rows, 0.5)) == expected


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("axis", [0, 1])
def test_joints_outside_the_box_of_persons_without_labels(axis, side):
    """All joints beyond one side of the enlarged box, each as far as half a similarity reaches."""
    generator = np.random.default_rng(axis)
    (everybody,) = people()
    size = len(everybody.truth_image)
    area = generator.choice([30.0, 1e4], size)
    box = np.concatenate([generator.uniform(0, 900, (size, 2)), np.full((size, 2), 40.0)], axis=1)
    xy = np.repeat(box[:, None, :2] + 20.0, 17, axis=1)
    edge = box[:, axis] + (80 if side > 0 else -40)
    far = np.sqrt(2 * area * np.log(2))[:, None] * everybody.sigmas * 2
    xy[..., axis] = edge[:, None] + side * far * generator.uniform(0.97, 1.03, (size, 1))
    everybody = replace(
        everybody,
        labelled=np.zeros((size, 17), np.bool_),
        truth_box=box,
        truth_area=area,
        found_image=everybody.truth_image,
        found_xy=xy,
    )
    rows = by_image(everybody)
    expected = brute(everybody, rows, 0.5)
    assert 0.2 * size < len(expected)
    assert listed(similar_pairs(everybody, rows, 0.5)) == expected


def test_most_pairs_are_left_out(monkeypatch):
    (everybody,) = people(images=40)
    rows = by_image(everybody)
    asked = []

    def counted(some, truth, found):
        asked.append(len(truth))
        return similarities(some, truth, found)

    monkeypatch.setattr(pairs, "similarities", counted)
    found = similar_pairs(everybody, rows, 0.5)
    every = sum((everybody.truth_image == everybody.found_image[row]).sum() for row in rows)
    assert len(found.oks) < sum(asked) < 0.75 * every


@pytest.mark.parametrize("block", [1, 100, 5000])
def test_blocks_of_any_size_give_the_same_pairs(monkeypatch, block):
    (everybody,) = people(images=12)
    rows = by_image(everybody)
    whole = listed(similar_pairs(everybody, rows, 0.5))
    monkeypatch.setattr(pairs, "BLOCK", block)
    assert listed(similar_pairs(everybody, rows, 0.5)) == whole


def test_nobody_found_or_nobody_annotated():
    (everybody,) = people()
    assert listed(similar_pairs(everybody, np.zeros(0, np.int64), 0.5)) == []
    sample = random_persons.sample("coco_17", 0) | {"annotations": []}
    found = evaluate_parts(
        random_persons.results(sample), random_persons.dataset(sample), EVALUATOR_RULES["coco_oks"]
    )
    assert listed(similar_pairs(found[""].arrays, by_image(found[""].arrays), 0.5)) == []


@pytest.mark.parametrize("block", [1, 12, 1 << 16])
def test_spans_hold_every_joint(monkeypatch, block):
    monkeypatch.setattr("posebench.scoring.oks.BLOCK", block)
    xy = np.random.default_rng(0).uniform(-5, 5, (9, 4, 2)).astype(np.float32)
    expected = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1).T
    assert spans(xy).tobytes() == expected.tobytes()
    assert spans(xy[:0]).shape == (4, 0)


def test_more_images_than_a_short_number_counts():
    """Image rows are sorted as short numbers where these are enough."""
    image = np.array([3, 70_000, 3, 65_536, 4, 70_000])
    assert matching._by_number(image).tolist() == [0, 2, 4, 3, 1, 5]
    assert matching._by_number(image % 10).tolist() == [1, 5, 0, 2, 4, 3]
