"""Precision, recall and score arrays equal the published evaluators' to the byte."""

from __future__ import annotations

import os

import numpy as np
import pytest
import random_persons
import reference_evaluators

from posebench.keypoints import keypoint_set
from posebench.scoring.evaluator_rules import DIALECTS
from posebench.scoring.keypoint_ap import evaluate_parts

# POSEBENCH_PARITY_SETS=500 for a long look.
SETS = int(os.environ.get("POSEBENCH_PARITY_SETS", "60"))


def ours(world, scorer):
    found = evaluate_parts(
        random_persons.results(world), random_persons.dataset(world), DIALECTS[scorer]
    )
    for evaluation in found.values():
        assert evaluation.people.images == len(world["images"])
    return found


def assert_equal(evaluation, theirs, what):
    arrays = (evaluation.precision, evaluation.recall, evaluation.scores)
    for name, mine, other in zip(reference_evaluators.ARRAYS, arrays, theirs, strict=True):
        assert mine.dtype == np.float64
        assert mine.tobytes() == other, f"{name} of {what}"


def sigmas(world, scorer, part):
    table = DIALECTS[scorer].sigmas(keypoint_set(world["set"]))
    return table[part.joints]


def parts(world, scorer):
    return DIALECTS[scorer].parts(keypoint_set(world["set"]))


def against_pycocotools(world):
    (part,) = parts(world, "coco_oks")
    theirs = reference_evaluators.pycocotools(world, sigmas(world, "coco_oks", part))
    assert_equal(ours(world, "coco_oks")[""], theirs, world["set"])


def against_xtcocotools(world, several):
    found = ours(world, "wholebody_oks")
    for part in several:
        theirs = reference_evaluators.xtcocotools(
            world, part.name, sigmas(world, "wholebody_oks", part)
        )
        assert_equal(found[part.name], theirs, part.name)


def against_halpecocotools(world):
    found, theirs = ours(world, "halpe_oks"), reference_evaluators.halpecocotools(world)
    assert set(found) == set(theirs)
    for name, arrays in theirs.items():
        assert_equal(found[name], arrays, name)


@pytest.mark.parametrize("name", list(random_persons.CUTS))
def test_random_worlds_hold_what_they_are_for(name):
    for seed in range(SETS):
        missing = [
            what
            for what, there in random_persons.promises(random_persons.world(name, seed)).items()
            if not there
        ]
        assert not missing, f"set {seed}"


@pytest.mark.parametrize("name", ["coco_17", "halpe_26"])
def test_coco_oks_equals_pycocotools_on_random_sets(name):
    reference_evaluators.referee("pycocotools")
    for seed in range(SETS):
        against_pycocotools(random_persons.world(name, seed))


@pytest.mark.parametrize("third", range(3))
def test_wholebody_oks_equals_xtcocotools_on_random_sets(third):
    reference_evaluators.referee("xtcocotools")
    for seed in range(third, SETS, 3):
        world = random_persons.world("wholebody_133", seed)
        against_xtcocotools(world, parts(world, "wholebody_oks"))


@pytest.mark.parametrize("name", ["halpe_136", "wholebody_133"])
def test_halpe_oks_equals_halpecocotools_on_random_sets(name):
    reference_evaluators.referee("halpecocotools")
    for seed in range(SETS // 2):
        against_halpecocotools(random_persons.world(name, seed))


@pytest.mark.parametrize("scorer", ["coco_oks", "halpe_oks", "wholebody_oks"])
def test_nobody_annotated_or_nobody_counting(scorer):
    """The referees leave -1 behind where nobody counts, zeros where nobody was found."""
    world = random_persons.world("wholebody_133", 0)
    nobody = world | {"annotations": []}
    (evaluation, *_) = ours(nobody, scorer).values()
    assert (evaluation.precision == -1).all() and (evaluation.recall == -1).all()
    referee = {"coco_oks": "pycocotools", "halpe_oks": "halpecocotools"}.get(scorer, "xtcocotools")
    reference_evaluators.referee(referee)
    unseen = [row | {"keypoints": [0.0] * 399, "num_keypoints": 0} for row in world["annotations"]]
    world = world | {"annotations": unseen}
    if scorer == "coco_oks":
        against_pycocotools(world)
    elif scorer == "halpe_oks":
        against_halpecocotools(world)
    else:
        against_xtcocotools(world, parts(world, scorer))


def test_real_coco_persons_equal_pycocotools(coco_sample):
    reference_evaluators.referee("pycocotools")
    against_pycocotools(coco_sample)
    assert 20 < ours(coco_sample, "coco_oks")[""].values["AP"] < 95


def test_real_wholebody_persons_equal_xtcocotools(wholebody_sample):
    reference_evaluators.referee("xtcocotools")
    against_xtcocotools(wholebody_sample, parts(wholebody_sample, "wholebody_oks"))
    assert 5 < ours(wholebody_sample, "wholebody_oks")["wholebody"].values["AP"] < 95


def test_real_persons_equal_halpecocotools(halpe_sample, wholebody_sample):
    reference_evaluators.referee("halpecocotools")
    against_halpecocotools(halpe_sample)
    against_halpecocotools(wholebody_sample)
    assert 5 < ours(halpe_sample, "halpe_oks")["fullbody"].values["AP"] < 95
