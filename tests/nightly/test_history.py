"""Histories: appended to, never rewritten; half lines are cut off, old versions are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nightly_runs import START
from refusals import refused

from posebench.nightly import history
from posebench.nightly.history import append, read_history
from posebench.nightly.observation import VERSION, Observation, Value
from posebench.records.store import from_json
from posebench.types.errors import UserError
from posebench.types.record import SCHEMA_VERSION

SCHEMAS = Path(__file__).resolve().parent.parent / "records" / "schemas"

pytestmark = pytest.mark.light


def line(night: int, **changes) -> Observation:
    fields = {"key": "k", "kind": "eval", "entry": "demo/demo_s", "dataset": "synthetic"}
    more = {"device": "cpu", "night": f"night {night}", "created": START, "good": True}
    values = {"AP under p@1": Value(measured=60.1 + night, claimed=60.0)}
    return Observation(**(fields | more | {"values": values} | changes))


def test_lines_come_back(tmp_path):
    file = tmp_path / "deep" / "k.jsonl"
    append(file, [line(0)])
    append(file, [line(1, facts={"torch": "2"}, flags=("x",))])
    assert read_history(file) == [line(0), line(1, facts={"torch": "2"}, flags=("x",))]
    assert read_history(tmp_path / "none.jsonl") == []


def test_a_night_is_written_once(tmp_path):
    file = tmp_path / "k.jsonl"
    append(file, [line(0), line(1)])
    append(file, [line(1), line(2)])
    assert [each.night for each in read_history(file)] == ["night 0", "night 1", "night 2"]


def test_a_line_cut_anywhere_is_ignored_and_cut_off(tmp_path):
    file = tmp_path / "k.jsonl"
    append(file, [line(0), line(1)])
    whole = file.read_bytes()
    start = whole.index(b"\n") + 1
    for cut in range(start, len(whole)):
        file.write_bytes(whole[:cut])
        assert read_history(file) == [line(0)]
        append(file, [line(1)])
        assert file.read_bytes() == whole


def test_a_broken_line_in_the_middle_is_told(tmp_path):
    file = tmp_path / "k.jsonl"
    append(file, [line(0), line(1)])
    file.write_bytes(b"{not json\n" + file.read_bytes())
    with refused("k.jsonl:1", "history"):
        read_history(file)


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ('"measured":60.1', '"measured":"60.1"', ("measured", "valid number")),
        ('"measured":60.1', '"measured":NaN', ("ValueError",)),
        ('"measured":60.1', '"measured":60.1,"measured":61.0', ("measured", "twice")),
        ("2025-01-01T03:00:00Z", "2025-01-01T03:00:00", ("created", "timezone")),
        ('"good":true', '"good":"yes"', ("good", "valid boolean")),
        ('"version":1', '"version":"1"', ("TypeError",)),
        ('"version":1', '"version":0', ("KeyError",)),
        ("{", "[" * 100_000 + "{", ("nested",)),
    ],
)
def test_nothing_of_a_line_is_converted(tmp_path, old, new, names):
    file = tmp_path / "k.jsonl"
    append(file, [line(0)])
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with refused("k.jsonl:1", "history", *names):
        read_history(file)


def test_a_newer_version_is_told(tmp_path):
    file = tmp_path / "k.jsonl"
    file.write_text(json.dumps({"version": VERSION + 1}) + "\n")
    with pytest.raises(UserError, match="Update posebench"):
        read_history(file)


def test_an_older_version_is_brought_up(tmp_path, monkeypatch):
    file = tmp_path / "k.jsonl"
    append(file, [line(0)])
    old = json.loads(file.read_text())
    old["score"] = old.pop("values")["AP under p@1"]["measured"]
    file.write_text(json.dumps(old | {"version": 0}) + "\n")

    def upgrade(content):
        score = content.pop("score")
        return content | {"values": {"AP under p@1": {"measured": score, "claimed": 60.0}}}

    monkeypatch.setattr(history, "UPGRADES", {0: upgrade})
    assert read_history(file) == [line(0)]


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_lines_of_each_released_version_are_read(version):
    first, last = read_history(SCHEMAS / f"history-{version}.jsonl")
    assert (first.kind, last.kind) == ("eval", "speed")
    assert first.good
    assert first.values["AP under demo_gt_flip@1"].measured == 59.13676735970018
    assert first.facts["torch"] == "2.13.0+cpu"
    assert last.values["the network alone"].measured == 900.5


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
@pytest.mark.parametrize("kind", ["eval", "speed"])
def test_records_of_each_released_version_are_read(version, kind):
    record = from_json(json.loads((SCHEMAS / f"{kind}-{version}.json").read_text()))
    assert record.kind == kind
    assert record.entry.key == "demo/demo_s"
    assert record.schema_version == SCHEMA_VERSION
