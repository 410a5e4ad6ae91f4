from __future__ import annotations

import make_records as make
import pytest

from posebench.records.frame import to_frame
from posebench.types.record import FRAME_COLUMNS


def test_one_row_a_claim():
    frame = make.evaluation(measured=67.22).to_frame()

    assert tuple(frame.columns) == FRAME_COLUMNS
    (row,) = frame.to_dict("records")
    assert row["entry"] == "demo/demo_s"
    assert row["claimed"] == 61.23
    assert row["measured"] == 67.22
    assert row["difference"] == pytest.approx(5.99)
    assert (row["low"], row["high"]) == (64.72, 69.47)
    assert row["protocol"] == "demo_gt_flip@1"
    assert row["persons"] == 1040


def test_without_a_claim_the_scores_and_without_scores_the_speed():
    scores = make.evaluation(claims=(), verdict="no claim").to_frame()
    assert list(scores["metric"]) == ["AP", "AP50", "AR"]
    assert scores["claimed"].isna().all()

    speed = make.timing(persons_per_second=123.0).to_frame()
    assert list(speed["metric"]) == ["persons/s"]
    assert list(speed["measured"]) == [123.0]


def test_a_table_says_what_is_not_to_be_quoted_and_what_a_protocol_was_made_from():
    doubtful = make.timing().timings.model_copy(update={"flags": ("quick: 5 iterations",)})
    (row,) = make.timing(timings=doubtful).rows()
    assert row["verdict"] == "not to be quoted: quick: 5 iterations"
    assert [row["verdict"] for row in make.timing().rows()] == [None]

    custom = make.protocol("custom", summary="common@1 with boxes gt")
    rows = make.evaluation(claims=(), protocol=custom).rows()
    assert {row["protocol"] for row in rows} == {"common@1 with boxes gt"}


def test_many_records_are_one_table_and_none_an_empty_one():
    frame = to_frame(make.demo())
    assert len(frame) == 6
    assert set(frame["kind"]) == {"eval", "speed"}
    assert tuple(to_frame([]).columns) == FRAME_COLUMNS


def test_notebooks_show_a_table_and_mark_subsets():
    html = make.evaluation(measured=67.22)._repr_html_()
    assert "<td>67.22</td>" in html
    assert "subset" not in html

    odd = make.evaluation(verdict="<b>&", complete=False)._repr_html_()
    assert "<b>&" not in odd
    assert "&lt;b&gt;&amp;" in odd
    assert "subset: 68 persons" in odd
