"""eval, demo and report around made-up records: what is passed on, printed and stored."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import make_records as make
import pytest

import posebench
from posebench.cli import main as cli
from posebench.cli.parser import Parser, options_of_protocol
from posebench.records import store
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol

SHARED_AXES = {"boxes", "box_file", "annotations"}  # options of the eval contract with wider values

SCHEMAS = Path(__file__).parents[1] / "records" / "schemas"


@pytest.fixture
def evaluate(monkeypatch):
    """Replaces the run layer; returns what it was called with."""
    calls: dict = {}

    def fake(model, **arguments):
        calls.update(arguments, model=model)
        print("an evaluator that talks")
        return calls.get("record") or make.evaluation(
            measured=67.22, verdict="consistent (n=68)", complete=False
        )

    monkeypatch.setitem(posebench.__dict__, "evaluate", fake)
    return calls


@pytest.mark.light
def test_every_axis_of_protocol_has_an_option():
    axes = set(Protocol.axes()) - SHARED_AXES
    assert axes == set(options_of_protocol())


@pytest.mark.light
def test_eval_passes_on_what_was_asked_and_nothing_else(evaluate, tmp_path, capsys):
    words = ["eval", "--model", "demo_s", "--output", str(tmp_path)]
    assert cli.main(words) == 0
    untouched = {axis: evaluate[axis] for axis in options_of_protocol()}
    assert set(untouched.values()) == {None}
    assert evaluate["protocol"] == "claim"
    assert evaluate["batch_size"] == 64
    assert evaluate["device"] == "cpu"
    assert evaluate["save_predictions"] is None

    more = (
        "--dataset synthetic --protocol common --boxes det.json --no-flip --shift --decode dark "
        "--dark-kernel 11 --softargmax-beta 100 --visibility-threshold 0 --nms none "
        "--nms-threshold 0.5 --max-detections 30 --box-score-threshold 0.25 --limit 3 "
        "--batch-size 2 --threads 1 --device cuda:1 --save-predictions --annotations a.json "
        "--images i --data-root d --checkpoint c.pth --registry r"
    )
    assert cli.main([*words, *more.split()]) == 0
    expected = {
        "model": "demo_s", "dataset": "synthetic", "protocol": "common", "boxes": "det.json",
        "flip": False, "shift": True, "decode": "dark", "dark_kernel": 11,
        "softargmax_beta": 100.0, "visibility_threshold": 0.0, "nms": "none",
        "nms_threshold": 0.5, "max_detections": 30, "box_score_threshold": 0.25, "limit": 3,
        "batch_size": 2, "threads": 1, "device": "cuda:1",
        "save_predictions": tmp_path / "predictions",
    }  # fmt: skip
    assert {name: evaluate[name] for name in expected} == expected
    paths = ("annotations", "images", "data_root", "checkpoint")
    assert [str(evaluate[name]) for name in paths] == ["a.json", "i", "d", "c.pth"]
    assert [str(folder) for folder in evaluate["registry"]] == ["r"]
    assert str(tmp_path.parent) not in evaluate["command"]


@pytest.mark.light
def test_eval_json_is_the_record_alone_on_stdout(evaluate, tmp_path, capsys):
    assert cli.main(["eval", "--model", "demo_s", "--output", str(tmp_path), "--json"]) == 0
    captured = capsys.readouterr()
    content = json.loads(captured.out)
    assert captured.err == "an evaluator that talks\n"
    assert content["scores"] == {"AP": 67.22, "AP50": 88.0, "AR": None}
    assert content["coverage"] == 1.0
    assert content["verdict"] == "consistent (n=68)"
    file = content.pop("file")
    assert store.from_json(content) == store.load(tmp_path / file)


@pytest.mark.light
def test_eval_prints_claim_measurement_and_meaning(evaluate, tmp_path, capsys):
    assert cli.main(["eval", "--model", "demo_s", "--output", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    line = next(line for line in text.splitlines() if line.startswith("demo_s "))
    for words in ("61.23", "67.22", "64.72 to 69.47", "+5.99", "consistent (n=68)"):
        assert words in line
    assert "ground-truth boxes, flip shifted by one cell" in text
    assert "A subset: 20 images with 68 persons that count" in text
    assert "100 % from x.safetensors" in text
    assert "1100 read, 1040 used, 1000 kept" in text
    scores = text[text.index("scored by") :].splitlines()
    assert scores[1].split()[-1] == "AR"
    assert scores[2].split()[-1] == "-"
    assert "nan" not in text.casefold()
    (path,) = tmp_path.rglob("eval-*.json")
    assert text.rstrip().endswith(f"record  {path}")


def test_json_is_alone_on_stdout_however_late_a_cluster_speaks(monkeypatch, tmp_path, capsys):
    """Ray's threads say that a node died whenever they notice it, also after the evaluation."""
    from posebench.cli import eval as verb
    from posebench.launch import many

    def late(record, output, **_):
        print("(raylet) The node with node id 1 has been marked dead")
        return tmp_path / "record.json"

    monkeypatch.setattr(verb, "launcher", lambda arguments: None)
    monkeypatch.setattr(many, "evaluate_all", lambda *_, **__: [make.evaluation()])
    monkeypatch.setattr(store, "save", late)
    words = ["eval", "--model", "demo_s", "--launcher", "ray", "--output", str(tmp_path)]
    assert cli.main([*words, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["file"] == str(tmp_path / "record.json")
    assert "marked dead" in captured.err


@pytest.mark.light
def test_eval_without_a_claim_says_so(evaluate, tmp_path, capsys):
    evaluate["record"] = make.evaluation(claims=(), verdict="no claim", boxes=None)
    assert cli.main(["eval", "--model", "demo_s", "--output", str(tmp_path)]) == 0
    assert "no claim: nothing was published under this protocol" in capsys.readouterr().out


@pytest.mark.light
def test_what_the_user_can_mend_is_one_sentence(monkeypatch, capsys):
    def fake(model, **_):
        raise UserError("COCO is not complete: annotations not found.", "Get it.")

    monkeypatch.setitem(posebench.__dict__, "evaluate", fake)
    assert cli.main(["eval", "--model", "demo_s", "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {
        "error": "COCO is not complete: annotations not found.",
        "hint": "Get it.",
    }


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--dataset", "synthetik"], "Unknown dataset 'synthetik'"),
        (["--dataset", "mpii"], "annotates mpii_16"),
        (["--protocol", "foo"], "Unknown protocol 'foo'"),
    ],
)
@pytest.mark.parametrize("fetch", [[], ["--fetch"]])
def test_names_are_looked_up_before_weights(more, words, fetch, monkeypatch, capsys):
    def opened(*_, **__):
        raise AssertionError("weights were looked for")

    monkeypatch.setattr("posebench.cli.fetch.bring_weights", opened)
    monkeypatch.setattr("posebench.evaluation.prepare.load_row", opened)
    for verb in ("eval", "explain"):
        if verb == "eval" or not fetch:
            model = "paddledetection/tinypose_256x192"
            assert cli.main([verb, "--model", model, *more, *fetch, "--json"]) == 2
            assert words in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.light
@pytest.mark.parametrize(
    ("words", "before", "made", "said"),
    [
        ([], [], [], ""),
        ([], ["other"], [], ""),  # parts of another evaluation
        ([], ["other"], ["one"], "finished parts are kept; add --resume to go on."),
        (["--shard", "1/2"], [], ["one"], "finished parts are kept; the same command goes on."),
        (["--shard", "1/2"], [], [], ""),
    ],
)
def test_parts_are_kept_only_where_there_are_some(
    words, before, made, said, monkeypatch, tmp_path, capsys
):
    def part(name):
        path = tmp_path / "parts" / name / "000-008-00.npz"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")

    def interrupted(*_, **__):
        for name in made:
            part(name)
        raise KeyboardInterrupt

    for name in before:
        part(name)
    monkeypatch.setitem(posebench.__dict__, "evaluate", interrupted)
    if words:
        pytest.importorskip("torch")
        monkeypatch.setattr("posebench.evaluation.shards.evaluate_shard", interrupted)
    assert cli.main(["eval", "demo_s", "--output", str(tmp_path), *words]) == 130
    err = capsys.readouterr().err
    assert err == (f"posebench: {said}\n" if said else "") + "posebench: interrupted.\n"


@pytest.mark.light
@pytest.mark.parametrize("words", [[], ["--overwrite", "always"], ["--overwrite", "never"]])
@pytest.mark.parametrize("verb", ["eval", "merge"])
def test_a_measurement_replaces_its_earlier_record_unless_it_is_kept(
    verb, words, evaluate, monkeypatch, tmp_path, capsys
):
    if verb == "merge":
        pytest.importorskip("torch")
        monkeypatch.setattr(
            "posebench.evaluation.shards.merge", lambda *_, **__: evaluate["record"]
        )
    command = [verb, {"eval": "demo_s", "merge": "parts"}[verb], "--output", str(tmp_path)]
    for measured in (61.0, 62.0):
        evaluate["record"] = make.evaluation(measured=measured)
        assert cli.main([*command, *words]) == 0
    (path,) = tmp_path.rglob("eval-*.json")
    kept = words[-1:] == ["never"]
    assert store.load(path).scores["AP"] == (61.0 if kept else 62.0)
    said = "the record of an earlier run of this measurement is kept"
    assert (said in capsys.readouterr().err) is kept


@pytest.mark.light
@pytest.mark.parametrize(
    ("words", "overwrite"),
    [([], "never"), (["--again"], "always"), (["--overwrite", "always"], "always")],
)
def test_a_timing_keeps_its_earlier_record_unless_asked(words, overwrite):
    module = import_module("posebench.cli.speed")
    parser = Parser("speed", cli.COMMANDS["speed"], module.EXAMPLES)
    module.add_arguments(parser)
    assert parser.parse_args(words).overwrite == overwrite


@pytest.mark.light
def test_migrate_rewrites_old_records_and_names_what_stays(tmp_path, capsys):
    old = (SCHEMAS / "eval-1.json").read_bytes()
    (tmp_path / "eval-x.json").write_bytes(old)
    assert cli.main(["migrate", str(tmp_path)]) == 0
    assert "1 records migrated to schema version 2" in capsys.readouterr().out
    (path,) = tmp_path.rglob("eval-*.json")
    assert json.loads(path.read_text())["schema_version"] == 2
    broken = tmp_path / "eval-y.json"
    broken.write_text("{")
    assert cli.main(["migrate", str(tmp_path), "--json"]) == 1
    (left,) = json.loads(capsys.readouterr().out)["left"]
    assert left["file"] == str(broken) and "not JSON" in left["reason"]
    assert broken.read_text() == "{"


@pytest.mark.light
@pytest.mark.parametrize("verb", ["eval", "merge", "speed", "report", "nightly"])
def test_runs_is_where_records_go_and_come_from(verb):
    module = import_module(f"posebench.cli.{verb}")
    parser = Parser(verb, cli.COMMANDS[verb], module.EXAMPLES)
    module.add_arguments(parser)
    words = {"eval": ["x"], "merge": ["x"], "nightly": ["--suite", "demo"]}.get(verb, [])
    parsed = parser.parse_args(words)
    place = {"report": "records", "nightly": "history"}.get(verb, "output")
    expected = "runs/history" if verb == "nightly" else "runs"
    assert getattr(parsed, place) == Path(expected)
    assert f"(default: {expected})" in " ".join(parser.format_help().split())


def _demo(monkeypatch, records):
    asked = {}

    def fake(**arguments):
        asked.update(arguments)
        return records

    monkeypatch.setitem(posebench.__dict__, "demo", fake)
    return asked


def test_demo_stores_records_and_writes_the_page(monkeypatch, tmp_path, capsys):
    asked = _demo(monkeypatch, make.demo())
    assert cli.main(["demo", "--output", str(tmp_path), "--limit", "3"]) == 0
    text = capsys.readouterr().out
    assert asked["limit"] == 3
    assert asked["command"] == f"posebench demo --output {tmp_path.name} --limit 3"
    assert f"The page: {tmp_path / 'index.html'}" in text
    assert "3 of 3 claims hold." in text
    assert "1,400" in text
    assert (tmp_path / "index.html").is_file()
    assert len(store.load_records(tmp_path / "records")) == 6


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        *[("differs", 1), ("no claim", 1), ("reproduced", 0)],
        *[("consistent (n=9)", 0), ("outside the interval (n=9)", 0), ("too few images (n=9)", 0)],
    ],
)
def test_demo_fails_when_one_of_our_own_claims_does_not_hold(
    verdict, status, monkeypatch, tmp_path, capsys
):
    _demo(monkeypatch, [*make.demo(), make.evaluation(verdict=verdict, minute=9)])
    assert cli.main(["demo", "--output", str(tmp_path), "--json"]) == status
    content = json.loads(capsys.readouterr().out)
    assert content["reproduced"] is (status == 0)
    assert len(content["records"]) == 7


def test_demo_judges_no_claim_on_a_subset(monkeypatch, tmp_path, capsys):
    words = ("outside the interval (n=9)", "too few images (n=9)")
    _demo(monkeypatch, [make.evaluation(verdict=word, complete=False) for word in words])
    assert cli.main(["demo", "--output", str(tmp_path)]) == 0
    text = capsys.readouterr()
    assert "No claim was judged" in text.out and "claims hold" not in text.out
    assert "reproduced" not in text.err
    assert cli.main(["demo", "--output", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reproduced"] is None


def test_report_reads_a_folder_and_names_the_page(tmp_path, capsys):
    store.save_all(make.demo(), tmp_path / "records")
    words = ["report", "--records", str(tmp_path / "records"), "--output", str(tmp_path / "site")]
    assert cli.main(words) == 0
    assert str(tmp_path / "site" / "index.html") in capsys.readouterr().out
    assert cli.main([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    page = str(tmp_path / "site" / "index.html")
    assert content == {"page": page, "records": 6, "left_out": []}

    assert cli.main(["report", "--records", str(tmp_path / "none"), "--json"]) == 2
    assert "none" in json.loads(capsys.readouterr().out)["error"]
