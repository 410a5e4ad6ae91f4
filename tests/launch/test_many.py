"""Many requests through a launcher: records as of single runs, failures named, nothing redone."""

from __future__ import annotations

import json

import pytest

from posebench.inference import predict as predicting
from posebench.launch.many import Failure, evaluate_all
from posebench.launch.tasks import LocalLauncher
from posebench.run.evaluation import evaluate
from posebench.run.request import Request

ASKED = {"limit": 12, "batch_size": 8, "threads": 1}


def content(record):
    return record.model_dump(exclude={"created", "seconds", "command"})


def test_each_request_gives_the_record_of_a_single_run(tmp_path):
    requests = [Request.of("demo_s", **ASKED), Request.of("demo_m", flip=False, **ASKED)]
    boards = []
    found = evaluate_all(
        requests,
        LocalLauncher(),
        tmp_path,
        shares=3,
        report=lambda board: boards.append([line.done for line in board.lines]),
        board_file=tmp_path / "progress.json",
    )
    assert content(found[0]) == content(evaluate("demo_s", **ASKED))
    assert content(found[1]) == content(evaluate("demo_m", flip=False, **ASKED))
    assert boards[0] == [1, 0]
    assert boards[-1] == [3, 3]
    lines = json.loads((tmp_path / "progress.json").read_text())["requests"]
    assert [(line["model"], line["done"], line["error"]) for line in lines] == [
        ("demo_s", 3, ""),
        ("demo_m", 3, ""),
    ]


def test_what_fails_is_named_and_stops_nobody(tmp_path):
    requests = [Request.of("demo_z"), Request.of("demo_s", **ASKED), Request.of("lpn_50")]
    found = evaluate_all(requests, LocalLauncher(), tmp_path)
    assert [type(each).__name__ for each in found] == ["Failure", "Record", "Failure"]
    assert isinstance(found[0], Failure)
    assert "demo_z" in found[0].error
    assert found[0].model == "demo_z"


def test_a_second_run_estimates_nothing(tmp_path, monkeypatch):
    request = Request.of("demo_s", **ASKED)
    (first,) = evaluate_all([request], LocalLauncher(), tmp_path, shares=2)

    def refuse(*_, **__):
        raise AssertionError("the network ran again")

    monkeypatch.setattr(predicting, "network_outputs", refuse)
    (second,) = evaluate_all([request], LocalLauncher(), tmp_path, shares=2)
    assert content(second) == content(first)
    with pytest.raises(AssertionError, match="ran again"):
        evaluate("demo_s", **ASKED)
