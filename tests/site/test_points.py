"""Every evaluation is shown, and nothing that is not to be quoted leads."""

from __future__ import annotations

import make_records as make
import pytest
from refusals import assert_mentions
from site_pages import Page

from posebench.site.accuracies import accuracies, headline
from posebench.site.claims import claim_rows, counts, number_of_claims
from posebench.site.figures import static_figure
from posebench.site.pages import collect, front_page, page
from posebench.site.points import AXES, frontier, points
from posebench.site.tables import markdown_tables
from posebench.types.entry import Checkpoint
from posebench.types.record import Skipped
from posebench.types.timing import BenchmarkConfiguration, Execution

pytestmark = pytest.mark.light

FLAG = "spread: the interquartile range is 9.0% of the median, above 5%"
HALF = Execution(precision="fp16", requested="eager")


def timings(seconds=(0.1, 0.1, 0.2), **changes):
    fields = {"seconds": tuple(seconds), "persons_per_second": 640.0}
    return make.timing().timings.model_copy(update=fields | changes)


def front(*records) -> str:
    return " ".join(Page(front_page(collect(records))).text.split())


def model_page(*records) -> str:
    (model,) = collect(records).models
    return " ".join(Page(page("model.html.j2", model=model, up="../")).text.split())


def common(measured: float = 63.2, **changes):
    """An evaluation under the common protocol, about which nothing was published."""
    protocol = make.protocol("common", boxes="detector")
    fields = {"protocol": protocol, "protocol_hash": protocol.hash, "claims": ()}
    return make.evaluation(measured=measured, **(fields | changes))


def published(name: str = "theirs", **changes):
    """A row whose weights somebody else published."""
    weights = Checkpoint(id=name, container="torch", location="https://example.org/x.pth")
    fields = {"zoo": "lpn", "checkpoint": weights, "claims": (make.claim(),)}
    return make.entry(name, **(fields | changes))


# --- every evaluation --------------------------------------------------------------------------


def test_an_evaluation_that_nobody_published_about_is_shown_everywhere():
    text = model_page(common())
    assert "has not been measured" not in text
    assert "AP 63.20 measured under common@1 on synthetic (60.7 to 65.5 with 95 %" in text
    assert "The claim, AP 61.23 under demo_gt_flip@1, was not measured." in text
    assert "synthetic under common@1" in text
    table = front(common()).partition("Every evaluation under every protocol")[2]
    assert "AP 63.20" in table and "common@1" in table
    assert "| demo/demo_s | synthetic | common@1 | AP | 63.20 | 60.7 to 65.5 |" in markdown_tables(
        [common()]
    )
    own = make.evaluation(dataset=make.dataset(complete=False, own_data=True), verdict="no claim")
    assert "Own data: 20 images with 68 persons that count" in front(own)
    (point,) = points([common(), make.timing()])
    assert (point.accuracy, point.protocol, point.own) == (63.2, "common@1", False)
    assert "63.2" in markdown_tables([common(), make.timing()]).partition("Accuracy and speed")[2]


def test_the_headline_is_the_claims_own_protocol_then_the_common_one_then_others():
    other = make.protocol("other")
    own = make.evaluation(measured=61.0)
    part = make.evaluation(measured=62.0, complete=False, verdict="consistent (n=68)")
    rest = common(50.0, protocol=other, minute=5)

    def best(*records) -> float:
        return headline(accuracies(records)).value

    assert best(rest, common(), own) == 61.0
    assert best(rest, common(), part) == 62.0
    assert best(part, own) == best(own, part) == 61.0
    assert best(rest, common()) == best(common(), rest) == 63.2
    assert best(rest) == 50.0
    assert best(own, make.evaluation(measured=61.5, minute=9)) == 61.5
    # the network as it was built speaks before another form of it, even a newer one
    assert best(own, make.evaluation(measured=60.1, execution=HALF, minute=9)) == 61.0
    assert headline(accuracies([make.timing()])) is None
    assert headline(accuracies([make.evaluation(measured=163.2)])) is None


def test_a_claim_under_other_conditions_is_told_with_its_verdict():
    used = make.protocol("custom", summary="demo_gt_flip@1 with boxes gt")
    text = model_page(
        make.evaluation(protocol=used, verdict="not comparable", axes=("boxes: det -> gt",))
    )
    assert "measured under demo_gt_flip@1 with boxes gt on synthetic" in text
    assert "61.23 claimed: not comparable." in text


def test_a_protocol_put_together_by_options_goes_by_the_claims_name():
    used = make.protocol("custom", summary="common@1 with boxes gt")
    record = make.evaluation(protocol=used)
    result = record.claims[0].model_copy(update={"scores": record.scores})
    (found,) = accuracies([record.model_copy(update={"claims": (result,)})])
    assert (found.protocol, found.own) == ("demo_gt_flip@1", True)
    assert found.interval == record.claims[0].interval


def test_an_evaluation_without_a_usual_metric_is_shown_too():
    odd = make.evaluation(scores={"EPE": 3.5}, intervals={}, claims=())
    assert "EPE 3.50" in front(odd)
    empty = make.evaluation(scores={}, intervals={}, claims=())
    assert "demo_gt_flip@1" in markdown_tables([empty])


def test_measurements_that_differ_stand_side_by_side():
    """Another form, hardware, weights or missing images: none takes the place of another."""
    records = [
        make.evaluation(measured=61.0),
        make.evaluation(measured=60.0, execution=HALF),
        make.evaluation(measured=59.0, hardware="an accelerator"),
        make.evaluation(measured=58.0, checkpoint_sha256="aa" * 32),
        make.evaluation(
            measured=57.0, skipped=Skipped(images=1, annotations=0, persons=2, faults=())
        ),
        make.evaluation(measured=56.0, dataset=make.dataset(images_sha256="bb" * 32)),
    ]
    assert sorted(row.measured for row in claim_rows(records)) == [56, 57, 58, 59, 60, 61]
    assert len(accuracies(records)) == 6
    assert number_of_claims(claim_rows(records)) == 1
    assert counts(claim_rows(records)) == (("reproduced", "good", 1),)
    assert "fp16 network" in front(*records)


# --- whose claims ------------------------------------------------------------------------------


def test_claims_of_our_own_models_are_not_counted_as_published():
    theirs = make.evaluation("theirs", entry=published())
    site = collect([*make.demo(), theirs])
    assert (site.published, site.verdicts) == (1, (("reproduced", "good", 1),))
    assert site.own_verdicts == (("reproduced", "good", 3),)
    assert [row.own for row in site.rows] == [False, True, True, True]
    text = front(*make.demo(), theirs)
    assert "1 published claim, 4 evaluations and 3 timings of 4 pose models" in text
    assert_mentions(text, "Not counted above", "posebench's own models")
    first, second = markdown_tables([*make.demo(), theirs]).split("\n\n")[0:3:2]
    assert first.startswith("Published claims") and second.startswith("Claims of posebench's own")


# --- accuracy and speed ------------------------------------------------------------------------


def test_a_point_takes_the_accuracy_of_what_was_timed_or_says_whose_it_borrows():
    plain, half = make.evaluation(measured=61.0), make.evaluation(measured=58.5, execution=HALF)
    timed = make.timing(execution=HALF)

    (point,) = points([plain, half, timed])
    assert (point.accuracy, point.borrows) == (58.5, "")
    (point,) = points([plain, timed])
    assert point.accuracy == 61.0
    assert_mentions(point.borrows, "borrowed", "plain network")
    assert point.borrows in point.note
    (point,) = points([plain, make.timing(checkpoint_sha256="aa" * 32)])
    assert_mentions(point.borrows, "borrowed", "weights efefefef")
    (point,) = points([plain, make.timing(execution=None)])
    assert "not recorded" in point.borrows
    # one record that holds both needs no proof
    (point,) = points([make.evaluation(execution=None, timings=timings())])
    assert point.borrows == ""


def test_borrowed_accuracies_do_not_join_the_frontier_of_measured_ones():
    half = timings(form="fp16", persons_per_second=9000.0)
    found = points([*make.demo(), make.timing(execution=HALF, timings=half)])
    which, best = frontier(found, AXES[0])
    assert which == "measured"
    assert [(p.name, p.form) for p in best] == [
        ("demo_l", "plain"), ("demo_m", "plain"), ("demo_s", "plain"),
    ]  # fmt: skip


# --- what is not to be quoted ------------------------------------------------------------------


def flagged(name: str = "demo_s", rate: float = 5000.0, **changes):
    record = make.timing(name, rate)
    doubtful = record.timings.model_copy(update={"flags": (FLAG,)} | changes)
    return record.model_copy(update={"timings": doubtful})


def test_a_flagged_timing_neither_joins_the_frontier_nor_leads():
    found = points([*make.demo(), make.evaluation("off", 99.0), flagged("off")])
    off = next(p for p in found if p.name == "off")
    assert off.flagged == ("speed", "latency", "joules")
    _, best = frontier(found, AXES[0])
    assert [p.name for p in best] == ["demo_l", "demo_m", "demo_s"]
    # parameters are not timed
    by_size = next(axis for axis in AXES if axis.key == "parameters")
    assert "off" in [p.name for p in frontier(found, by_size)[1]]

    assert "Timed at" not in model_page(flagged())
    first, second = (
        BenchmarkConfiguration(device="cpu", hardware=name) for name in ("one", "other")
    )
    for cells in ((first, second), (second, first)):
        slow = make.timing("demo_s", 100.0, cell=cells[0])
        text = model_page(slow, flagged().model_copy(update={"cell": cells[1]}))
        assert f"Timed at 100 persons/s on {cells[0].hardware}" in text
        speed = text.partition(" Speed ")[2]
        assert speed.index("100 persons/s") < speed.index("5,000 persons/s")
    assert FLAG in markdown_tables([make.evaluation(), flagged()])


def test_a_flagged_timing_is_drawn_as_one():
    svg = static_figure(points([make.evaluation(), flagged()]), "light", ("svg",))["svg"].decode()
    assert ">timing not to be quoted<" in svg
    svg = static_figure(points(make.demo()), "light", ("svg",))["svg"].decode()
    assert "not to be quoted" not in svg
    table = front(make.evaluation(), flagged())
    assert "5,000not to be quoted" in table


def test_flags_of_the_whole_chain_concern_that_alone():
    whole = timings(scope="end to end", persons_per_second=300.0, flags=(FLAG,))
    (point,) = points([make.evaluation(), make.timing(end_to_end=whole)])
    assert point.flagged == ("whole",)
    assert_mentions(point.note, "image file to keypoints", "not to be quoted")
    text = model_page(make.timing(end_to_end=whole))
    assert "Timed at 900 persons/s" in text
    assert f"Image file to keypoints: {FLAG}" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"flops_per_second": 1.5e12, "ceiling": 1e12},
            "inconsistent: 150 % of the matrix-product rate",
        ),
        ({"flops_per_second": 1.04e12, "ceiling": 1e12}, ""),
        ({"flops_per_second": 0.9e12, "ceiling": 1e12}, ""),
    ],
)
def test_no_network_is_faster_than_the_machine_multiplies(changes, words):
    record = make.timing(timings=timings(**changes))
    (point,) = points([make.evaluation(), record])
    assert bool(point.flagged) == bool(words)
    assert words in point.note
    assert ("Timed at" in model_page(record)) != bool(words)
    assert words in model_page(record)


@pytest.mark.parametrize(("rate", "cannot_be"), [(1200.0, True), (640.0, False), (300.0, False)])
def test_no_whole_chain_is_faster_than_the_network_in_it(rate, cannot_be):
    whole = timings(scope="end to end", persons_per_second=rate)
    record = make.timing(timings=timings((0.1, 0.1, 0.1)), end_to_end=whole)
    (point,) = points([make.evaluation(), record])
    assert point.flagged == (("speed", "latency", "joules", "whole") if cannot_be else ())
    assert ("inconsistent: 1,200 persons/s from image file" in point.note) == cannot_be


def test_an_accuracy_that_cannot_be_is_named_and_not_drawn():
    odd = make.evaluation(measured=163.2)
    assert "inconsistent: AP of 163.2 is not between 0 and 100 percent" in front(odd)
    assert "163.20 (inconsistent" in markdown_tables([odd])
    (point,) = points([odd, make.timing()])
    assert point.kind == "claimed"
