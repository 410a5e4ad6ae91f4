"""Columns of rows: fast where all is well, and the same where one value is not."""

from __future__ import annotations

import numpy as np
import pytest
from refusals import assert_mentions

from posebench.datasets.rows import FARTHEST, Rows, places_of, shown

pytestmark = pytest.mark.light


def rows(*values, key="a"):
    return Rows.of([{key: value} for value in values], lambda place: f"row {place}")


def test_the_columns_have_the_values_as_written():
    assert rows(1, 2**63 - 1, -(2**63)).whole("a").tolist() == [1, 2**63 - 1, -(2**63)]
    assert rows(0, 1).flag("a").tolist() == [False, True]
    assert rows(1, 0.5).number("a", least=0, most=1).tolist() == [1.0, 0.5]
    assert rows([1, 2.5], [3, 4]).numbers("a", 2, most=9).tolist() == [[1, 2.5], [3, 4]]
    assert rows([[1, 2]], [[3, 4]]).points("a", 1, most=9).tolist() == [[1, 2], [3, 4]]
    assert Rows.of([{}], str).whole("a", 7).tolist() == [7]
    assert Rows.of([{}], str).flag("a").tolist() == [False]


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (lambda r: r.whole("a"), 5, "5"),
        (lambda r: r.flag("a"), 1, True),
        (lambda r: r.number("a", least=0, most=9), 5, float("nan")),
        (lambda r: r.numbers("a", 2, most=9), [5, 5], [5, 10]),
        (lambda r: r.points("a", 1, most=9), [[5, 5]], [5, 5]),
    ],
)
def test_a_fault_changes_no_other_row(read, good, bad):
    found = rows(good, bad, good)
    column = read(found)
    assert found.faults.keys() == {1}
    assert np.array_equal(column[[0, 2]], read(rows(good, good)))


def test_the_first_fault_of_a_row_counts_and_parts_share_faults():
    found = Rows.of([{"a": "x"}, {"a": 1}, 5], lambda place: f"row {place}")
    part = found.only(np.array([False, True, True]))
    part.refuse(0, "is late")
    found.whole("a")
    told = dict(found.told())
    assert list(told) == [0, 1, 2]
    assert_mentions(told[0], "row 0", "'x'", "a", "whole number")
    assert told[1] == "row 1 is late"
    assert_mentions(told[2], "row 2", "5", "object")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ([1], "a list"),
        ({}, "an object"),
        ("a" * 90, repr("a" * 40)),
        (10**90, "1" + "0" * 59),
        ("\ud800", r"'\ud800'"),
    ],
)
def test_values_are_shown_in_json_s_words(value, text):
    assert shown(value) == text


def test_bounds_are_told_as_numbers_are_written():
    found = rows(1e8)
    found.number("a", least=-FARTHEST, most=FARTHEST)
    assert found.faults[0].endswith("outside -10,000,000 to 10,000,000")


def test_places_of_ids():
    known, wanted = np.array([7, 5, 9]), np.array([9, 6, 5, 100, 7])
    assert places_of(known, wanted).tolist() == [2, -1, 1, -1, 0]
    assert places_of(known[:0], wanted).tolist() == [-1] * 5
