from __future__ import annotations

import make_records as make
import pytest

from posebench.report.data import page, tone
from posebench.types.record import BoxInfo

pytestmark = pytest.mark.light


def test_every_claim_is_a_row_with_its_figures():
    content = page([make.evaluation(measured=67.22, verdict="differs")])

    (row,) = content.rows
    assert (row.entry, row.metric, row.claimed) == ("demo/demo_s", "AP", "61.23")
    assert row.measured == 67.22
    assert row.difference == pytest.approx(5.99)
    assert row.interval == (64.72, 69.47)
    assert row.tone == "bad"
    assert row.protocol_words == (
        "ground-truth boxes, flip shifted by one cell, maximum plus a quarter cell, OKS NMS 0.9"
    )
    assert (row.persons, row.coverage, row.subset) == (1040, 100.0, False)
    assert content.counts == (("differs", "bad", 1),)
    assert content.newest == "2025-01-01 12:00 UTC"
    assert content.commands == ("posebench eval --model demo_s --dataset synthetic",)


def test_a_fraction_is_shown_in_percent_with_its_own_digits():
    published = make.claim("0.691", unit="fraction")
    result = make.evaluation().claims[0].model_copy(update={"claim": published})
    (row,) = page([make.evaluation(claims=(result,))]).rows
    assert row.claimed == "69.1"


def test_a_subset_is_never_counted_with_the_whole():
    content = page(
        [
            make.evaluation(),
            make.evaluation("demo_m", verdict="not contradicted (n=68)", complete=False),
            make.evaluation("demo_l", verdict="reproduced", complete=False),
        ]
    )
    assert content.counts == (
        ("reproduced", "good", 1),
        ("reproduced (subset)", "good", 1),
        ("not contradicted (subset)", "weak", 1),
    )
    assert [row.subset for row in content.rows] == [True, True, False]


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("reproduced", "good"),
        ("not contradicted (n=68)", "weak"),
        ("differs", "bad"),
        ("differs (n=68)", "bad"),
        ("not comparable", "other"),
        ("no claim", "other"),
        ("something new", "other"),
    ],
)
def test_only_reproduced_is_green(verdict, expected):
    assert tone(verdict) == expected


def test_a_later_measurement_replaces_an_earlier_one():
    older, newer = make.evaluation(measured=60.0), make.evaluation(measured=61.0, minute=9)
    for order in ([older, newer], [newer, older]):
        (row,) = page(order).rows
        assert row.measured == 61.0

    on_a_part = make.evaluation(measured=55.0, complete=False, minute=10)
    assert len(page([newer, on_a_part]).rows) == 2


def test_points_join_accuracy_and_speed_of_one_model():
    points = page(make.demo()).points
    assert [(p.name, p.speed, p.accuracy) for p in points] == [
        ("demo_l", 410.0, 74.9),
        ("demo_m", 820.0, 68.4),
        ("demo_s", 1400.0, 61.23),
    ]
    assert points[0].interval == pytest.approx((72.4, 77.15))
    assert points[0].parameters == 250_000


def test_one_record_may_hold_both():
    record = make.evaluation(timings=make.timing(persons_per_second=700.0).timings)
    (point,) = page([record]).points
    assert (point.speed, point.accuracy) == (700.0, 61.23)


def test_a_model_without_timing_or_without_accuracy_is_no_point():
    assert page([make.evaluation()]).points == ()
    assert page([make.timing()]).points == ()
    unmeasured = make.evaluation(measured=None, scores={"AP": None})
    assert page([unmeasured, make.timing()]).points == ()


def test_the_point_takes_the_whole_dataset_then_the_primary_protocol_then_the_newest():
    def accuracy(*records):
        (point,) = page([*records, make.timing()]).points
        return point.accuracy

    whole = make.evaluation(measured=61.0)
    part = make.evaluation(measured=70.0, complete=False, minute=5)
    custom = make.protocol("custom", decode="argmax")
    other = make.evaluation(measured=50.0, protocol=custom, minute=6)
    newest = make.evaluation(measured=61.1, minute=7)

    assert accuracy(whole, part) == 61.0
    assert accuracy(other, whole) == 61.0
    assert accuracy(newest, whole) == 61.1
    assert accuracy(part) == 70.0


def test_no_records_make_an_empty_page():
    content = page([])
    assert (content.rows, content.points, content.counts, content.models) == ((), (), (), 0)


@pytest.mark.light
def test_images_a_second_are_brought_to_persons_and_say_so():
    record = make.evaluation("demo_s").model_copy(
        update={"timings": make.timing("demo_s", 1400.0).timings}
    )
    one = record.timings.model_copy(update={"counted": "images", "persons_per_second": 50.0})
    kept = 3 * record.dataset.images
    boxes = BoxInfo(source="none", read=0, used=kept, kept=kept)
    (point,) = page([record.model_copy(update={"timings": one, "boxes": boxes})]).points
    assert point.speed == pytest.approx(150.0)
    assert "50 images/s with 3.0 persons found in each" in point.hardware
    (plain,) = page([record]).points
    assert "images/s" not in plain.hardware
    assert plain.speed == pytest.approx(record.timings.persons_per_second)
