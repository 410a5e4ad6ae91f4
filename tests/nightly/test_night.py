"""Nights: nothing reported where nothing changed, each fault named, nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import make_records as make
import nightly_runs
import pytest
from refusals import assert_mentions, refused

from posebench.nightly.history import read_history
from posebench.nightly.nightly_run import FINE, NOT_RUN, REGRESSION
from posebench.nightly.observation import FORWARD, Observation
from posebench.nightly.pages import rows, summary
from posebench.types.errors import UserError

SHIFTED = ("demo_gt_flip@1", "demo_det_flip@1")


def good_nights(folder, count=6, **changes):
    return [nightly_runs.run(folder, nightly_runs.Work(night, **changes)) for night in range(count)]


def test_two_equal_nights_report_nothing(tmp_path):
    first, second = good_nights(tmp_path, 2)
    assert {check.state for check in first.checks} == {"new"}
    assert {check.state for check in second.checks} == {"same"}
    assert (first.status, second.status) == (FINE, FINE)
    assert second.changed == ()
    assert len(second.checks) == sum(
        len(c.entry.claims) if c.kind == "eval" else 2
        for c in nightly_runs.cells_of(nightly_runs.suite())
    )


def test_a_dropped_shift_is_named_and_nothing_else(tmp_path):
    good_nights(tmp_path, 2)
    work = nightly_runs.Work(2, score=lambda entry, protocol: -1.3 * (protocol in SHIFTED))
    night = nightly_runs.run(
        tmp_path, work, facts=nightly_runs.FACTS | {"code of inference": "33333333"}
    )
    assert night.status == REGRESSION
    moved = [check for check in night.checks if check.bad]
    assert {check.protocol for check in moved} == set(SHIFTED)
    assert {check.entry for check in moved} == {"demo/demo_s", "demo/demo_m"}
    assert all(check.state == "same" for check in night.checks if check not in moved)
    for check in moved:
        code, common = check.reasons
        assert code == "code of inference: 11111111 -> 33333333"
        assert_mentions(common, "only protocols", "flip test shifted")


def test_a_slowed_network_is_named_and_nothing_else(tmp_path):
    good_nights(tmp_path)
    work = nightly_runs.Work(6, rate=lambda entry: 0.8 if entry == "demo/demo_m" else 1.0)
    night = nightly_runs.run(tmp_path, work)
    assert night.status == REGRESSION
    slow = {("demo/demo_m", "the network alone"), ("demo/demo_m", "image file to keypoints")}
    assert nightly_runs.bad(night) == slow
    (check,) = [c for c in night.checks if c.bad and c.what == "the network alone"]
    assert check.reasons[0].startswith("the network itself")
    assert check.before == pytest.approx(900, rel=0.02)
    # one run proves nothing: it was timed three times
    assert sum("demo_m" in key and key.startswith("speed") for key in work.measured) == 3


def test_rates_have_units_and_scores_have_none(tmp_path):
    good_nights(tmp_path)

    class Whole(nightly_runs.Work):
        """demo_m takes whole images."""

        def timing(self, cell):
            found = super().timing(cell)
            if cell.entry.id != "demo_m":
                return found
            counted = found.timings.model_copy(update={"counted": "images"})
            return found.model_copy(update={"timings": counted})

    night = nightly_runs.run(tmp_path, Whole(6, rate=lambda entry: 0.8))
    rates = [row for row in rows(night) if row[1] == "the network alone"]
    for entry, _, now, before, _ in rates:
        unit = "images/s" if entry == "demo/demo_m" else "persons/s"
        assert now.split()[1] == unit
        assert before.endswith("/s")
    others = [row for row in rows(night) if " under " in row[1]]
    assert others
    assert not [row for row in others if "/s" in row[2] + row[3]]
    text = summary(night)
    assert " persons/s | " in text and " images/s | " in text
    assert "/s, now " in text and "a second" not in text
    # histories of before had no units
    old = night.observations[-1].model_dump(mode="json")
    for value in old["values"].values():
        del value["unit"]
    assert Observation.model_validate(old).values[FORWARD].unit == ""


def test_one_slow_run_is_repeated_and_forgotten(tmp_path):
    good_nights(tmp_path)

    class Stumbles(nightly_runs.Work):
        def time(self, cell):
            found = super().time(cell)
            if len(self.measured) != 4:
                return found
            slow = found.timings.model_copy(update={"persons_per_second": 300.0})
            return found.model_copy(update={"timings": slow})

    work = Stumbles(6)
    assert nightly_runs.run(tmp_path, work).status == FINE
    assert len(work.measured) == 6


def test_a_changed_weights_file_is_named_and_nothing_else(tmp_path):
    good_nights(tmp_path, 2)

    class Changed(nightly_runs.Work):
        def evaluation(self, cell):
            record = super().evaluation(cell)
            if cell.entry.id != "demo_s":
                return record
            return record.model_copy(update={"checkpoint_sha256": "99" * 32})

    night = nightly_runs.run(tmp_path, Changed(2, score=lambda e, _: -0.01 * (e == "demo/demo_s")))
    assert night.status == REGRESSION
    assert {entry for entry, _ in nightly_runs.bad(night)} == {"demo/demo_s"}
    assert all(
        check.reasons[0] == "weights: efefefefefef -> 999999999999"
        for check in night.checks
        if check.bad
    )


def test_one_that_fails_does_not_stop_the_others(tmp_path):
    good_nights(tmp_path, 2)
    night = nightly_runs.run(
        tmp_path, nightly_runs.Work(2, broken={"demo/demo_m": "Its file is gone."})
    )
    assert night.status == NOT_RUN
    failed = [check for check in night.checks if check.state == "failed"]
    assert {(check.entry, check.kind) for check in failed} == {
        ("demo/demo_m", "eval"),
        ("demo/demo_m", "speed"),
    }
    assert all(check.words == "Its file is gone." for check in failed)
    assert night.changed == ()
    others = [check for check in night.checks if check.entry != "demo/demo_m"]
    assert {check.state for check in others} == {"same"}
    # the next night is compared with the one before the failure
    assert nightly_runs.run(tmp_path, nightly_runs.Work(3)).status == FINE


def test_failures_name_no_folder_of_the_machine(tmp_path):
    words = "/home/me/w.pth is not '/data/x y/z.json', see https://a.org/b/c and 1/2."
    night = nightly_runs.run(tmp_path, nightly_runs.Work(0, broken={"demo/demo_m": words}))
    (failed, _) = [check for check in night.checks if check.state == "failed"]
    assert failed.words == "w.pth is not 'x y/z.json', see https://a.org/b/c and 1/2."


def test_a_regression_stays_one_until_it_is_accepted(tmp_path):
    good_nights(tmp_path, 2)
    lower = {"score": lambda entry, protocol: -0.5}
    assert nightly_runs.run(tmp_path, nightly_runs.Work(2, **lower)).status == REGRESSION
    assert nightly_runs.run(tmp_path, nightly_runs.Work(3, **lower)).status == REGRESSION
    assert (
        nightly_runs.run(tmp_path, nightly_runs.Work(4, **lower), accept=True).status == REGRESSION
    )
    assert nightly_runs.run(tmp_path, nightly_runs.Work(5, **lower)).status == FINE
    assert nightly_runs.run(tmp_path, nightly_runs.Work(6)).status == REGRESSION


def test_an_accepted_rate_is_the_usual_one(tmp_path):
    good_nights(tmp_path, 10)
    slow = {"rate": lambda entry: 0.7}
    assert nightly_runs.run(tmp_path, nightly_runs.Work(10, **slow)).status == REGRESSION
    nightly_runs.run(tmp_path, nightly_runs.Work(11, **slow), accept=True)
    assert nightly_runs.run(tmp_path, nightly_runs.Work(12, **slow)).status == FINE


def test_a_busy_machine_is_held_against_nobody(tmp_path):
    good_nights(tmp_path)
    busy = {"rate": lambda entry: 0.4, "flags": ("other processes kept 1.8 of 2 cores busy",)}
    night = nightly_runs.run(tmp_path, nightly_runs.Work(6, **busy))
    assert night.status == FINE
    unjudged = [check for check in night.checks if check.kind == "speed"]
    assert {check.state for check in unjudged} == {"not judged"}
    assert "other processes" in unjudged[0].words
    # ... nor taken for usual
    for file in (tmp_path / "history").glob("speed-*"):
        assert [line.good for line in read_history(file)] == [True] * 6 + [False]
    again = nightly_runs.run(tmp_path, nightly_runs.Work(7))
    assert again.status == FINE
    rates = [c.before for c in again.checks if c.what == "the network alone"]
    assert rates == pytest.approx([900, 900], rel=0.02)


def test_a_rate_that_cannot_be_is_not_taken_for_usual(tmp_path):
    chain = make.timing(persons_per_second=9000.0).timings.model_copy(
        update={"scope": "end to end"}
    )
    nightly_runs.run(tmp_path, nightly_runs.Work(0, end_to_end=chain))
    files = sorted((tmp_path / "history").glob("speed-*"))
    seen = [each for file in files for each in read_history(file)]
    assert seen and not any(each.good for each in seen)
    assert "inconsistent: 9,000 persons/s from image file" in seen[0].flags[-1]


def test_a_new_version_that_moves_nothing_is_still_told(tmp_path):
    good_nights(tmp_path, 2)
    night = nightly_runs.run(
        tmp_path, nightly_runs.Work(2, environment=make.environment(torch="2.14.0"))
    )
    assert night.status == FINE
    assert night.changed == (("torch", "2.13.0 -> 2.14.0"),)


def test_own_claims_have_to_hold_from_the_first_night_on(tmp_path):
    lower = nightly_runs.Work(0, score=lambda entry, protocol: -0.5 * (entry == "demo/demo_s"))
    assert nightly_runs.run(tmp_path / "lenient", lower).status == FINE
    strict = nightly_runs.suite(claims_must_hold=True)
    night = nightly_runs.run(tmp_path / "strict", lower, what=strict)
    assert night.status == REGRESSION
    assert {entry for entry, _ in nightly_runs.bad(night)} == {"demo/demo_s"}


def test_an_interrupted_night_measures_only_what_is_missing(tmp_path):
    class Dies(nightly_runs.Work):
        def time(self, cell):
            if len(self.measured) == 4:
                raise KeyboardInterrupt
            return super().time(cell)

    first = Dies(0)
    with pytest.raises(KeyboardInterrupt):
        nightly_runs.run(tmp_path, first)
    second = nightly_runs.Work(0)
    night = nightly_runs.run(tmp_path, second)
    assert [*first.measured, *second.measured] == [
        c.key for c in nightly_runs.cells_of(nightly_runs.suite())
    ]
    assert len(second.measured) == 1
    assert night.status == FINE


def test_an_interrupted_night_of_other_code_begins_anew(tmp_path):
    class Dies(nightly_runs.Work):
        def time(self, cell):
            raise KeyboardInterrupt

    for facts in (nightly_runs.FACTS, nightly_runs.FACTS | {"commit": "other"}):
        work = Dies(0)
        with pytest.raises(KeyboardInterrupt):
            nightly_runs.run(tmp_path, work, facts=facts)
        assert len(work.measured) == 3


def test_an_interrupted_night_of_another_row_begins_anew(tmp_path, monkeypatch):
    class Dies(nightly_runs.Work):
        def time(self, cell):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nightly_runs.run(tmp_path, Dies(0))
    first, *rest = nightly_runs.cells_of(nightly_runs.suite())
    other = replace(first, entry=first.entry.model_copy(update={"note": "other"}))
    monkeypatch.setattr(nightly_runs, "cells_of", lambda what: (other, *rest))
    work = nightly_runs.Work(0)
    nightly_runs.run(tmp_path, work)
    assert len(work.measured) == 5


def test_a_damaged_history_is_told_before_anything_is_measured(tmp_path):
    good_nights(tmp_path, 1)
    file = next((tmp_path / "history").glob("speed-*"))
    file.write_text("{}\n" + file.read_text())
    work = nightly_runs.Work(1)
    with refused(f"{file.name}:1", "history"):
        nightly_runs.run(tmp_path, work)
    assert work.measured == []


def test_two_at_once_are_refused(tmp_path):
    class Nested(nightly_runs.Work):
        def time(self, cell):
            nightly_runs.run(tmp_path, nightly_runs.Work(0))

    with pytest.raises(UserError, match="Another nightly is at work"):
        nightly_runs.run(tmp_path, Nested(0))


def test_a_night_is_written_down(tmp_path):
    good_nights(tmp_path, 2)
    broken = {"demo/demo_bottom_up": "No <file> & no | luck."}
    slow = {"rate": lambda entry: 0.5 if entry == "demo/demo_s" else 1.0}
    work = nightly_runs.Work(2, score=nightly_runs.lower, broken=broken, **slow)
    night = nightly_runs.run(tmp_path, work)
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir() if path.name[0] != ".") == [
        *("junit.xml", "nightly.json", "records", "site", "summary.md")
    ]
    suite = ElementTree.parse(out / "junit.xml").getroot()[0]
    assert int(suite.get("tests")) == len(suite) == len(night.checks)
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) == 11
    assert int(suite.get("errors")) == len(suite.findall("testcase/error")) == 1
    assert suite.find("testcase/error").text == "No <file> & no | luck."
    names = [(case.get("classname"), case.get("name")) for case in suite]
    assert len(set(names)) == len(names)
    content = json.loads((out / "nightly.json").read_text())
    assert content["status"] == REGRESSION
    summary = (out / "summary.md").read_text()
    assert_mentions(summary, "11 of 23 numbers", "1 could not be run")
    assert "No &lt;file> &amp; no \\| luck." in summary
    html = (out / "site" / "nightly.html").read_text()
    assert "No &lt;file&gt; &amp; no | luck." in html
    assert len(read_history(next((tmp_path / "history").glob("eval-demo-demo_m-*")))) == 3
