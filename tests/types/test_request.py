"""Requests: built once, checked once, refused in the caller's own terms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import posebench
from posebench.cli import main as cli
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol
from posebench.types.request import DataPaths, EvalRequest, SpeedRequest

pytestmark = pytest.mark.light

# Asked for -> what the sentence says of it, and the next step.
WRONG = [
    ({"on_error": "fial"}, ["on_error", "'fial'"], "Did you mean fail?"),
    ({"tolerance": 60.0}, ["'tolerance'"], "Known: dataset"),
    ({"limt": 3}, ["'limt'"], "Did you mean limit?"),
    ({"flipp": False}, ["'flipp'"], "Did you mean flip?"),
    ({"rescoring": "mean_visble"}, ["rescoring", "'mean_visble'"], "Did you mean mean_visible?"),
    ({"threads": -2}, ["threads", "-2", "1 to 100,000"], ""),
    ({"flip": "no"}, ["flip", "'no'", "true or false"], ""),
    ({"batch_size": 1.5}, ["batch_size", "1.5"], ""),
    ({"batch_size": True}, ["batch_size", "True"], ""),
    ({"batch_size": 0}, ["batch_size", "0", "1 to 1,000,000"], ""),
    ({"data_root": 3}, ["data_root", "3", "path"], ""),
    ({"checkpoint": "~no_such_user/w.pth"}, ["checkpoint", "~no_such_user"], ""),
    ({"limit": 0}, ["limit", "0", "from 1"], ""),
    ({"dark_kernel": 4}, ["dark_kernel", "4", "odd"], ""),
    ({"nms_threshold": float("nan")}, ["nms_threshold", "nan"], ""),
    ({"device": 0}, ["device", "0"], ""),
    ({"registry": "rows"}, ["registry", "'rows'"], ""),
    ({"protocol": None}, ["protocol", "None"], ""),
    ({"form": "folded"}, ["form", "'folded'"], ""),
]


@pytest.mark.parametrize(("asked", "said", "step"), WRONG)
def test_a_wrong_keyword_or_value_is_refused_in_one_sentence(asked, said, step):
    with pytest.raises(UserError) as caught:
        EvalRequest.of(model="demo_s", **asked)
    message = caught.value.message
    assert all(word in message for word in said), message
    assert step in caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("asked", "said", "step"), WRONG)
def test_the_public_function_refuses_the_same_before_anything_is_opened(asked, said, step):
    pytest.importorskip("torch")
    with pytest.raises(UserError) as caught:
        posebench.evaluate("no_such_model", **asked)
    assert all(word in caught.value.message for word in said)


@pytest.mark.parametrize(
    ("axis", "wrong", "meant"), [("decode", "quater", "quarter"), ("scorer", "coco_ok", "coco_oks")]
)
def test_names_that_plug_ins_add_to_are_looked_up(axis, wrong, meant):
    pytest.importorskip("torch")
    with pytest.raises(UserError, match=f"{wrong}.*Did you mean {meant}"):
        posebench.evaluate("demo_s", **{axis: wrong})


def test_names_of_the_run_are_guessed_too():
    pytest.importorskip("torch")
    with pytest.raises(UserError, match="Did you mean save_predictions"):
        posebench.evaluate("demo_s", save_prediction="x")


@pytest.mark.parametrize(
    ("asked", "said", "step"),
    [
        ({"bach_size": 3}, ["'bach_size'"], "Did you mean batch_size?"),
        ({"precision": "fp8"}, ["precision", "'fp8'"], "Known: fp32"),
        ({"device": 1}, ["device", "1"], ""),
        ({"quick": "yes"}, ["quick", "'yes'"], ""),
        ({"threads": 0}, ["threads", "0"], ""),
        ({"images": 5}, ["images", "5", "path"], ""),
    ],
)
def test_a_wrong_timing_is_refused_in_one_sentence(asked, said, step):
    with pytest.raises(UserError) as caught:
        SpeedRequest.of(models=("demo_s",), **asked)
    assert all(word in caught.value.message for word in said)
    assert step in caught.value.hint


@pytest.mark.parametrize("command", ["eval", "explain"])
def test_the_command_line_reads_of_its_own_options(command, capsys):
    pytest.importorskip("torch")
    assert cli.main([command, "demo_s", "--dark-kernel", "4"]) == 2
    assert capsys.readouterr().err.startswith("posebench: --dark-kernel cannot be 4")
    assert cli.main([command, "demo_s", "--threads", "1000000", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert told["error"].startswith("--threads cannot be 1000000")


def test_paths_are_text_or_paths_and_the_home_folder_is_found(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    request = EvalRequest.of(
        model="demo_s", data_root="~/coco", checkpoint=Path("w.pth"), registry=["~/rows"],
        boxes=Path("~/boxes.json"), limit=3,
    )  # fmt: skip
    assert request.data_root == tmp_path / "coco"
    assert request.registry == (tmp_path / "rows",)
    paths = DataPaths(data_root=tmp_path / "coco", boxes=tmp_path / "boxes.json", limit=3)
    assert request.data_paths == paths


def test_a_request_survives_json_and_none_overrides_nothing():
    request = EvalRequest.of(
        model="demo_s", dataset="synthetic", checkpoint="x", registry=("rows",), flip=False,
        nms=None, softargmax_beta=200.0, threads=2,
    )  # fmt: skip
    assert request.choices == {"flip": False, "softargmax_beta": 200.0}
    assert EvalRequest.from_json(json.loads(json.dumps(request.to_json()))) == request
    timing = SpeedRequest.of(models=["demo_s"], images="pictures", fold=True, quick=True)
    assert SpeedRequest.from_json(json.loads(json.dumps(timing.to_json()))) == timing


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": "4"},
        {"choices": {"flip": "no"}},
        {"choices": {"limt": 1}},
        {"choices": {"boxes": "gt"}},
        {"choices": {"dark_kernel": 999}},
        {"form": {"precision": "fp8"}},
        {"no_such_field": 1},
        {"model": None},
        {"registry": "rows"},
    ],
)
def test_json_from_elsewhere_is_refused(changes):
    plain = EvalRequest.of(model="demo_s").to_json() | changes
    with pytest.raises(UserError, match="of its request"):
        EvalRequest.from_json(plain)
    missing = {name: value for name, value in plain.items() if name != "model"}
    with pytest.raises(UserError, match="model is missing"):
        EvalRequest.from_json({k: v for k, v in missing.items() if k not in changes})


def test_no_option_of_a_protocol_is_a_field_of_its_own():
    assert not set(EvalRequest.model_fields) & {n for n, a in Protocol.axes().items() if a.option}
