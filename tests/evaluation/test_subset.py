"""What an evaluation of a part of a dataset says about the claims: nothing for or against them."""

from __future__ import annotations

import pytest

from posebench.cli.tables import evaluation_text
from posebench.evaluation.evaluate import evaluate
from posebench.scoring.bootstrap import LEVEL, bootstrap_counts, confidence_intervals, family_level


@pytest.fixture(scope="module")
def records():
    return {limit: evaluate("demo_s", limit=limit, threads=1) for limit in (4, 40)}


def test_the_words_for_four_and_for_forty_images(records):
    for limit, words in ((4, ("too few images",)), (40, ("consistent", "outside the interval"))):
        record = records[limit]
        assert record.dataset.sample.limit == limit
        for result in record.claims:
            assert result.verdict.removesuffix(f" (n={record.dataset.persons})") in words
        assert record.verdict == record.claims[0].verdict
    assert "A subset: 4 images" in evaluation_text(records[4])


def test_the_claims_of_a_record_are_judged_by_one_family_of_intervals(records):
    record = records[40]
    assert len(record.claims) == 9
    for result in record.claims:
        (low, high), (lowest, highest) = result.interval, result.verdict_interval
        assert lowest < low < high < highest
        inside = lowest - 0.005 <= result.claim.value <= highest + 0.005
        assert result.verdict.startswith("consistent" if inside else "outside")
    assert "for 9 claims judged together" in evaluation_text(record)


def test_the_whole_dataset_is_judged_without_any_interval():
    record = evaluate("demo_s", protocol="demo_gt_flip", threads=1)
    assert [result.verdict for result in record.claims] == ["reproduced"] * 3
    assert [result.verdict_interval for result in record.claims] == [None] * 3
    assert (record.dataset.complete_by, record.dataset.own_data) == ("sha256", False)


def test_the_level_of_a_family():
    assert family_level(1) == family_level(0) == LEVEL
    assert family_level(9) == pytest.approx(1 - 0.05 / 9)
    draws = {"AP": bootstrap_counts(50, 1000)[0]}
    narrow = confidence_intervals(draws, {"AP": 1.0})["AP"]
    wide = confidence_intervals(draws, {"AP": 1.0}, family_level(25))["AP"]
    assert wide[0] <= narrow[0] <= narrow[1] < wide[1]
