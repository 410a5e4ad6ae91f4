from __future__ import annotations

import make_records as make
import pytest
from refusals import assert_mentions

from posebench.site.background import Background, Reference
from posebench.site.claims import claim_rows, counts
from posebench.site.evidence import LEVELS, zoos
from posebench.site.points import AXES, first_view, frontier, points, usual_dataset
from posebench.site.tables import latex_tables, markdown_tables
from posebench.types.dataset import DataFile, DatasetSpec
from posebench.types.record import BoxInfo
from posebench.types.timing import BenchmarkConfiguration

pytestmark = pytest.mark.light


def test_every_claim_is_a_row_with_its_figures():
    (row,) = claim_rows([make.evaluation(measured=67.22, verdict="differs")])

    assert (row.entry, row.metric, row.claimed) == ("demo/demo_s", "AP", "61.23")
    assert row.measured == 67.22
    assert row.difference == pytest.approx(5.99)
    assert row.interval == (64.72, 69.47)
    assert (row.tone, row.primary) == ("bad", True)
    assert_mentions(row.describe_protocol, "ground-truth boxes", "flip shifted", "OKS NMS 0.9")
    assert (row.persons, row.coverage, row.subset) == (1040, 100.0, False)
    assert row.page == "models/demo-demo_s.html"
    assert row.record.startswith("records/demo/demo_s/synthetic/eval-demo_gt_flip@1-cpu-")
    assert counts([row]) == (("differs", "bad", 1),)


def test_a_fraction_is_shown_in_percent_with_its_own_digits():
    published = make.claim("0.691", unit="fraction")
    result = make.evaluation().claims[0].model_copy(update={"claim": published})
    (row,) = claim_rows([make.evaluation(claims=(result,))])
    assert row.claimed == "69.1"


def test_a_subset_is_never_counted_with_the_whole():
    rows = claim_rows(
        [
            make.evaluation(),
            make.evaluation("demo_m", verdict="consistent (n=68)", complete=False),
            make.evaluation("demo_l", verdict="reproduced", complete=False),
        ]
    )
    assert counts(rows) == (("reproduced", "good", 1),)
    assert [(row.subset, row.tone) for row in rows] == [
        (True, "neutral"),
        (True, "neutral"),
        (False, "good"),
    ]


def test_a_later_measurement_replaces_an_earlier_one():
    older, newer = make.evaluation(measured=60.0), make.evaluation(measured=61.0, minute=9)
    (row,) = claim_rows([older, newer])
    assert row.measured == 61.0

    on_a_part = make.evaluation(measured=55.0, complete=False, minute=10)
    assert len(claim_rows([newer, on_a_part])) == 2


def test_points_join_accuracy_and_speed_of_one_model():
    found = points(make.demo())
    assert [(p.name, p.speed, p.accuracy, p.kind) for p in found] == [
        ("demo_l", 410.0, 74.9, "whole"),
        ("demo_m", 820.0, 68.4, "whole"),
        ("demo_s", 1400.0, 61.23, "whole"),
    ]
    assert found[0].interval == pytest.approx((72.4, 77.15))
    assert (found[0].parameters, found[0].claimed) == (0.25, 61.23)
    assert (found[0].hardware, found[0].batch, found[0].size) == ("cpu, 2 threads", "64", "128x96")
    low, high = found[0].speed_span
    # a quarter of the samples were faster than 70.5 ms, a quarter slower than 71.5 ms
    assert (low, high) == pytest.approx((410 * 71 / 71.5, 410 * 71 / 70.5))


def test_one_record_may_hold_both():
    record = make.evaluation(timings=make.timing(persons_per_second=700.0).timings)
    (point,) = points([record])
    assert (point.speed, point.accuracy) == (700.0, 61.23)


def test_without_a_measured_accuracy_the_claim_stands_in_and_says_so():
    (point,) = points([make.timing()])
    assert (point.kind, point.accuracy, point.interval) == ("claimed", 61.23, None)
    assert points([make.evaluation()]) == ()
    assert points([make.timing(entry=make.entry())]) == ()


def test_forms_devices_and_batches_are_points_of_their_own():
    plain = make.timing()
    folded = plain.timings.model_copy(update={"form": "folded"})
    large = plain.timings.model_copy(update={"batch_size": 128})
    other = BenchmarkConfiguration(device="cuda:0", hardware="an accelerator")
    records = [
        plain,
        make.timing(timings=folded),
        make.timing(timings=large),
        make.timing(cell=other, timings=plain.timings.model_copy(update={"device": "cuda:0"})),
        make.timing(persons_per_second=901.0),
    ]
    found = {(p.hardware, p.form, p.batch): p.speed for p in points(records)}
    assert found == {
        ("cpu, 2 threads", "plain", "64"): 901.0,  # the newest of equal ones
        ("cpu, 2 threads", "folded", "64"): 900.0,
        ("cpu, 2 threads", "plain", "128"): 900.0,
        ("an accelerator", "plain", "64"): 900.0,
    }


def test_each_protocol_is_a_point_and_the_whole_dataset_stands_before_a_part():
    def accuracy(*records):
        return {p.protocol: p.accuracy for p in points([*records, make.timing()])}

    whole = make.evaluation(measured=61.0)
    part = make.evaluation(measured=70.0, complete=False, minute=5)
    custom = make.protocol("custom", decode="argmax", summary="demo_gt_flip@1 with decode argmax")
    other = make.evaluation(measured=50.0, protocol=custom, minute=6, claims=())
    newest = make.evaluation(measured=61.1, minute=7)

    assert accuracy(whole, part) == {"demo_gt_flip@1": 61.0}
    assert accuracy(whole, newest) == {"demo_gt_flip@1": 61.1}
    assert accuracy(part) == {"demo_gt_flip@1": 70.0}
    both = accuracy(whole, other)
    assert both == {"demo_gt_flip@1": 61.0, "demo_gt_flip@1 with decode argmax": 50.0}
    own = {p.protocol: p.own for p in points([whole, other, make.timing()])}
    assert own == {"demo_gt_flip@1": True, "demo_gt_flip@1 with decode argmax": False}


def test_images_a_second_are_brought_to_annotated_persons_and_say_so():
    timed = make.timing("demo_s", 1400.0).timings
    one = timed.model_copy(update={"counted": "images", "persons_per_second": 79.0})
    data = make.dataset(images=450, persons=1027)
    # a model that finds everybody six times over is not six times as fast
    boxes = BoxInfo(source="none", read=0, used=6840, kept=6840)
    record = make.evaluation("demo_s", timings=one, dataset=data, boxes=boxes)
    (point,) = points([record])
    assert point.speed == pytest.approx(79.0 * 1027 / 450)
    assert "79 images/s with 2.28 annotated persons in each" in point.note
    (unknown,) = points([record.model_copy(update={"kind": "speed"})])
    assert (unknown.kind, unknown.speed) == ("claimed", None)
    assert "79 images/s" in unknown.note


def test_the_frontier_is_what_no_other_beats():
    records = [*make.demo(), make.evaluation("slow", measured=60.0), make.timing("slow", 100.0)]
    found = points(records)
    which, best = frontier(found, AXES[0])
    assert (which, [p.name for p in best]) == ("measured", ["demo_l", "demo_m", "demo_s"])
    by_latency = next(axis for axis in AXES if axis.key == "latency")
    assert [p.name for p in frontier(found, by_latency)[1]] == ["demo_l"]  # all equally fast
    # claims are drawn together only where hardly anything was measured
    assert frontier(points(make.speeds(8)), AXES[0])[0] == "claimed"


def test_the_first_view_is_one_dataset_under_the_claims_own_protocols():
    found = points([*make.demo(), *make.speeds(12)])
    assert usual_dataset(found) == "coco"
    assert {p.dataset for p in first_view(found)} == {"coco"}
    assert usual_dataset(points([*make.demo(), *make.speeds(5)])) == "synthetic"
    assert first_view(()) == ()


@pytest.mark.parametrize(
    ("made", "again"),
    [
        ("posebench demo", "posebench demo"),
        ("posebench speed --all --cpu", "posebench speed demo/demo_s --cpu"),
        ("posebench speed", "posebench speed demo/demo_s"),
        ("posebench speed demo_s --cpu", "posebench speed demo_s --cpu"),
        ("posebench speed --cpu demo/demo_s", "posebench speed --cpu demo/demo_s"),
    ],
)
def test_the_command_of_a_point_measures_that_point_alone(made, again):
    (point,) = points([make.timing(command=made)])
    assert point.command == again


# --- evidence ----------------------------------------------------------------------------------


def drawn(**changes) -> DatasetSpec:
    fields = {
        "id": "synthetic",
        "title": "drawn",
        "keypoints": "coco_17",
        "reader": "coco",
        "official_scorer": "coco_oks",
        "annotation_file": "a",
        "image_folder": "b",
        "licence": "Apache-2.0",
        "how_to_get": "drawn",
    }
    return DatasetSpec(**(fields | changes))


def levels(record, **changes) -> dict[str, int]:
    background = Background(
        entries=(record.entry,), titles={"demo": "Ours"},
        **({"datasets": {"synthetic": drawn()}} | changes),
    )  # fmt: skip
    (zoo,) = zoos([record], claim_rows([record]), background)
    return dict(zip((name for name, _ in LEVELS), zoo.levels, strict=True))


def test_every_level_of_evidence_is_counted_from_what_was_found():
    record = make.evaluation()
    names = [name for name, _ in LEVELS]
    assert list(levels(record).values()) == [1, 1, 0, 0, 0, 1]
    assert levels(record, verified={"demo/demo_s": "ok"})[names[2]] == 1
    assert levels(record, verified={"demo/demo_s": "structure only"})[names[2]] == 0

    real = drawn(files=(DataFile(path="x", what="images"),))
    assert levels(record, datasets={"synthetic": real})[names[4]] == 1
    partly = make.evaluation(coverage=0.9)
    assert list(levels(partly, datasets={"synthetic": real}).values()) == [1, 0, 0, 0, 0, 1]


def test_a_part_of_the_dataset_reproduces_nothing():
    assert levels(make.evaluation(complete=False))["published number reproduced"] == 0
    assert levels(make.evaluation(verdict="differs"))["published number reproduced"] == 0


def test_the_whole_chain_equals_the_reference_to_the_written_digits_only():
    record, level = make.evaluation(), "whole chain equals the reference"
    digest = record.dataset.annotations_sha256

    def shown(**changes):
        fields = {"protocol": "demo_gt_flip@1", "annotations_sha256": digest}
        reference = Reference(**(fields | {"scores": {"AP": "61.23"}} | changes))
        return levels(record, references={"demo/demo_s": (reference,)})[level]

    assert shown() == 1
    assert shown(scores={"AP": "61.2", "AP50": "88"}) == 1
    assert shown(scores={"AP": "61.24"}) == 0
    assert shown(scores={"AP": "61.23", "APM": "50.0"}) == 0
    assert shown(protocol="other@1") == 0
    assert shown(annotations_sha256="0") == 0


def test_rows_without_records_are_listed_as_not_measured():
    other = make.entry("other", (make.claim(),))
    record = make.evaluation()
    background = Background(entries=(record.entry, other))
    (zoo,) = zoos([record], claim_rows([record]), background)
    assert zoo.verdicts == (("reproduced", "good", 1), ("not measured", "none", 1))
    assert [(row.name, bool(row.page)) for row in zoo.rows] == [("demo_s", True), ("other", False)]


# --- tables ------------------------------------------------------------------------------------


def test_tables_hold_claims_and_timings():
    text = markdown_tables([*make.demo(), make.evaluation("part", complete=False)])
    assert (
        "| demo/demo_s | synthetic | AP | 61.23 | 61.23 | 58.7 to 63.5 | 0.00 | reproduced | "
        "demo_gt_flip@1 | cpu |"
    ) in text
    assert "synthetic (20 images of it)" in text
    assert "| demo/demo_l | synthetic | AP 74.9 | measured | 410 |" in text
    latex = latex_tables(make.demo())
    assert latex.count(r"\toprule") == 3
    assert r"demo/demo\_s & synthetic & AP & 61.23" in latex
    assert markdown_tables([]) == "No evaluation, no timing."


def test_what_a_record_says_stays_in_its_cell():
    odd = make.evaluation(verdict="a|b\n<script>")
    assert r"a\|b \<script\>" in markdown_tables([odd])
    tex = make.evaluation(verdict=r"\input{x} 5% $y$")
    assert r"\textbackslash{}input\{x\} 5\% \$y\$" in latex_tables([tex])
