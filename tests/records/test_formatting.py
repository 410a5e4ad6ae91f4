from __future__ import annotations

import make_records as make
import pytest
from refusals import assert_mentions

from posebench.records.formatting import (
    claimed,
    describe_protocol,
    describe_subset,
    describe_verdict,
)
from posebench.types.record import Skipped

pytestmark = pytest.mark.light


@pytest.mark.parametrize(
    ("raw", "unit", "text"),
    [
        ("68.8", "percent", "68.8"),
        ("69", "percent", "69"),
        ("0.691", "fraction", "69.1"),
        ("0.57", "fraction", "57"),
        ("61.20", "percent", "61.20"),
    ],
)
def test_a_claim_keeps_its_digits(raw, unit, text):
    assert claimed(make.claim(raw, unit=unit)) == text


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ("ground-truth boxes", "flip shifted", "maximum", "quarter cell", "OKS NMS")),
        ({"shift": False}, ("boxes, flip, maximum",)),
        ({"flip": False}, ("boxes, no flip, maximum",)),
        ({"decode": "dark", "dark_kernel": 11}, ("DARK", "kernel 11")),
        ({"decode": "softargmax"}, ("soft-argmax", "quarter cell", "beta 160")),
        ({"nms": "none"}, ("no suppression",)),
        ({"nms": "soft_oks", "nms_threshold": 0.5}, ("soft-OKS NMS 0.5",)),
        (
            {"boxes": "detector", "box_file": "det56", "box_score_threshold": 0.5},
            ("detector boxes", "det56", "0.5"),
        ),
    ],
)
def test_a_protocol_says_what_it_does(changes, names):
    assert_mentions(describe_protocol(make.protocol(**changes)), *names)


@pytest.mark.parametrize(
    ("verdict", "complete", "names"),
    [
        ("reproduced", True, ("whole dataset", "equal to the claim", "last digit")),
        ("differs", True, ("claim's protocol", "not equal")),
        ("consistent (n=68)", False, ("20 images", "68 persons", "interval contains")),
        ("outside the interval (n=68)", False, ("interval does not contain",)),
        ("too few images (n=68)", False, ("fewer than 30",)),
        ("no claim", True, ("Nothing published",)),
    ],
)
def test_a_verdict_says_what_it_means(verdict, complete, names):
    record = make.evaluation(verdict=verdict, complete=complete)
    assert_mentions(describe_verdict(record.claims[0], record), *names)


def test_what_could_not_be_met_is_named():
    record = make.evaluation(verdict="not comparable", axes=("box_file: yolov3 -> det56",))
    assert "(box_file: yolov3 -> det56)" in describe_verdict(record.claims[0], record)
    guessed = make.evaluation(verdict="not comparable")
    assert "guess" in describe_verdict(guessed.claims[0], guessed)


def test_the_part_of_the_dataset_is_named():
    counted = "All 420 images with 1,040 persons that count"
    assert describe_subset(make.evaluation()) == f"{counted}, complete by counts"
    info = make.dataset(complete_by="sha256")
    assert describe_subset(make.evaluation(dataset=info)) == counted
    part = "20 images with 68 persons that count"
    for changes, words in (
        ({}, f"A subset: {part}"),
        ({"sample": None}, f"A subset, not proven: {part}"),
        ({"own_data": True}, f"Own data: {part}"),
    ):
        info = make.dataset(complete=False, **changes)
        assert describe_subset(make.evaluation(dataset=info)) == words
    skipped = Skipped(images=1, annotations=0, persons=2, faults=("x",))
    info = make.dataset(complete=False, sample=None)
    assert "what was skipped" in describe_subset(make.evaluation(dataset=info, skipped=skipped))
    assert describe_subset(make.timing()) == "No dataset"
