"""Many requests through a launcher: records as of single runs, failures named, nothing redone."""

from __future__ import annotations

import json

import pytest

from posebench.evaluation.evaluate import evaluate
from posebench.inference import predict as predicting
from posebench.launch import many
from posebench.launch.many import evaluate_all
from posebench.launch.memory import ROOM, UNKNOWN
from posebench.launch.on_ray import Node
from posebench.types.request import EvalRequest

ASKED = {"limit": 12, "batch_size": 8, "threads": 1}


def content(record):
    return record.model_dump(exclude={"created", "seconds", "command"})


def test_each_request_gives_the_record_of_a_single_run(tmp_path):
    requests = [
        EvalRequest.of(model="demo_s", **ASKED),
        EvalRequest.of(model="demo_m", flip=False, **ASKED),
    ]
    boards = []
    found = evaluate_all(
        requests,
        None,
        tmp_path,
        shares=3,
        report=lambda board: boards.append([line["done"] for line in board["requests"]]),
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
    requests = [
        EvalRequest.of(model="demo_z"),
        EvalRequest.of(model="demo_s", **ASKED),
        EvalRequest.of(model="lpn_50"),
    ]
    found = evaluate_all(requests, None, tmp_path)
    assert [isinstance(each, str) for each in found] == [True, False, True]
    assert "demo_z" in found[0]


def test_a_second_run_estimates_nothing(tmp_path, monkeypatch):
    request = EvalRequest.of(model="demo_s", **ASKED)
    (first,) = evaluate_all([request], None, tmp_path, shares=2)

    def refuse(*_, **__):
        raise AssertionError("the network ran again")

    monkeypatch.setattr(predicting, "network_outputs", refuse)
    (second,) = evaluate_all([request], None, tmp_path, shares=2)
    assert content(second) == content(first)
    with pytest.raises(AssertionError, match="ran again"):
        evaluate("demo_s", **ASKED)


class Cluster:
    """A launcher of one node that runs tasks here and notes what each asks for."""

    def __init__(self, outcome=many.carry_out):
        self.outcome, self.asked = outcome, []

    def device(self, asked):
        return asked

    def run(self, waiting, do, ask):
        while waiting:
            self.asked.append(ask(waiting[0], [Node("a", 1, 0, 2**40)], []))
            work = waiting.popleft().work
            yield work, self.outcome(work)


def test_memory_is_asked_for_as_it_was_seen_and_joining_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(many, "peak", lambda: 7 * 2**30)
    requests = [EvalRequest.of(model="demo_s", **ASKED), EvalRequest.of(model="demo_m", **ASKED)]
    cluster = Cluster()
    order = []
    cluster.outcome = lambda share: order.append(share) or many.carry_out(share)
    evaluate_all(requests, cluster, tmp_path, shares=2)
    assert [(share.number, share.shard) for share in order] == [
        *((0, (1, 2)), (0, (2, 2)), (0, None)),
        *((1, (1, 2)), (1, (2, 2)), (1, None)),
    ]
    seen = int(7 * 2**30 * ROOM)
    assert [each["memory"] for each in cluster.asked] == [UNKNOWN, seen, seen] * 2
    again = Cluster(cluster.outcome)
    evaluate_all(requests, again, tmp_path, shares=2)
    assert {each["memory"] for each in again.asked} == {seen}


def test_other_shares_of_what_failed_are_left_out(tmp_path):
    tried = []
    cluster = Cluster(lambda share: tried.append(share) or "Its worker died 4 times.")
    requests = [EvalRequest.of(model="demo_s"), EvalRequest.of(model="demo_m")]
    found = evaluate_all(requests, cluster, tmp_path, shares=5, board_file=tmp_path / "p.json")
    assert found == ["Its worker died 4 times."] * 2
    assert [(share.number, share.shard) for share in tried] == [(0, (1, 5)), (1, (1, 5))]
    lines = json.loads((tmp_path / "p.json").read_text())["requests"]
    assert [(line["state"], line["error"]) for line in lines] == [
        ("failed", "Its worker died 4 times.")
    ] * 2


def test_a_share_that_does_not_show_up_here_is_an_error_that_says_so(tmp_path):
    cluster = Cluster(lambda share: many.Result() if share.shard else "It was joined.")
    (found,) = evaluate_all([EvalRequest.of(model="demo_s")], cluster, tmp_path, shares=2)
    assert "does not show it here: --output must be on storage that every node sees" in found
