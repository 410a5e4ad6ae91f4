"""Precision, recall and score arrays equal the published evaluators' to the byte."""

from __future__ import annotations

import os

import numpy as np
import pytest
import random_persons
import reference_evaluators

from posebench.keypoints import keypoint_set
from posebench.scoring.evaluator_rules import EVALUATOR_RULES
from posebench.scoring.keypoint_ap import evaluate_parts

# POSEBENCH_PARITY_SETS=500 for a long look.
SETS = int(os.environ.get("POSEBENCH_PARITY_SETS", "60"))


def ours(sample, scorer):
    found = evaluate_parts(
        random_persons.results(sample), random_persons.dataset(sample), EVALUATOR_RULES[scorer]
    )
    for evaluation in found.values():
        assert evaluation.arrays.images == len(sample["images"])
    return found


def assert_equal(evaluation, theirs, what):
    arrays = (evaluation.precision, evaluation.recall, evaluation.scores)
    for name, mine, other in zip(reference_evaluators.ARRAYS, arrays, theirs, strict=True):
        assert mine.dtype == np.float64
        assert mine.tobytes() == other, f"{name} of {what}"


def sigmas(sample, scorer, part):
    table = EVALUATOR_RULES[scorer].sigmas(keypoint_set(sample["set"]))
    return table[part.joints]


def parts(sample, scorer):
    return EVALUATOR_RULES[scorer].parts(keypoint_set(sample["set"]))


def against_pycocotools(sample):
    (part,) = parts(sample, "coco_oks")
    theirs = reference_evaluators.pycocotools(sample, sigmas(sample, "coco_oks", part))
    assert_equal(ours(sample, "coco_oks")[""], theirs, sample["set"])


def against_xtcocotools(sample, several):
    found = ours(sample, "wholebody_oks")
    for part in several:
        theirs = reference_evaluators.xtcocotools(
            sample, part.name, sigmas(sample, "wholebody_oks", part)
        )
        assert_equal(found[part.name], theirs, part.name)


def against_halpecocotools(sample):
    found, theirs = ours(sample, "halpe_oks"), reference_evaluators.halpecocotools(sample)
    assert set(found) == set(theirs)
    for name, arrays in theirs.items():
        assert_equal(found[name], arrays, name)


@pytest.mark.parametrize("name", list(random_persons.CUTS))
def test_random_samples_hold_what_they_are_for(name):
    for seed in range(SETS):
        missing = [
            what
            for what, there in random_persons.promises(random_persons.sample(name, seed)).items()
            if not there
        ]
        assert not missing, f"set {seed}"


@pytest.mark.parametrize("name", ["coco_17", "halpe_26"])
def test_coco_oks_equals_pycocotools_on_random_sets(name):
    reference_evaluators.require("pycocotools")
    for seed in range(SETS):
        against_pycocotools(random_persons.sample(name, seed))


@pytest.mark.parametrize("third", range(3))
def test_wholebody_oks_equals_xtcocotools_on_random_sets(third):
    reference_evaluators.require("xtcocotools")
    for seed in range(third, SETS, 3):
        sample = random_persons.sample("wholebody_133", seed)
        against_xtcocotools(sample, parts(sample, "wholebody_oks"))


@pytest.mark.parametrize("name", ["halpe_136", "wholebody_133"])
def test_halpe_oks_equals_halpecocotools_on_random_sets(name):
    reference_evaluators.require("halpecocotools")
    for seed in range(SETS // 2):
        against_halpecocotools(random_persons.sample(name, seed))


@pytest.mark.parametrize("scorer", ["coco_oks", "halpe_oks", "wholebody_oks"])
def test_nobody_annotated_or_nobody_counting(scorer):
    """The evaluators leave -1 behind where nobody counts, zeros where no one was found."""
    sample = random_persons.sample("wholebody_133", 0)
    nobody = sample | {"annotations": []}
    (evaluation, *_) = ours(nobody, scorer).values()
    assert (evaluation.precision == -1).all() and (evaluation.recall == -1).all()
    package = {"coco_oks": "pycocotools", "halpe_oks": "halpecocotools"}.get(scorer, "xtcocotools")
    reference_evaluators.require(package)
    unseen = [row | {"keypoints": [0.0] * 399, "num_keypoints": 0} for row in sample["annotations"]]
    sample = sample | {"annotations": unseen}
    if scorer == "coco_oks":
        against_pycocotools(sample)
    elif scorer == "halpe_oks":
        against_halpecocotools(sample)
    else:
        against_xtcocotools(sample, parts(sample, scorer))


def test_real_coco_persons_equal_pycocotools(coco_sample):
    reference_evaluators.require("pycocotools")
    against_pycocotools(coco_sample)
    assert 20 < ours(coco_sample, "coco_oks")[""].values["AP"] < 95


def test_real_wholebody_persons_equal_xtcocotools(wholebody_sample):
    reference_evaluators.require("xtcocotools")
    against_xtcocotools(wholebody_sample, parts(wholebody_sample, "wholebody_oks"))
    assert 5 < ours(wholebody_sample, "wholebody_oks")["wholebody"].values["AP"] < 95


def test_real_persons_equal_halpecocotools(halpe_sample, wholebody_sample):
    reference_evaluators.require("halpecocotools")
    against_halpecocotools(halpe_sample)
    against_halpecocotools(wholebody_sample)
    assert 5 < ours(halpe_sample, "halpe_oks")["fullbody"].values["AP"] < 95
