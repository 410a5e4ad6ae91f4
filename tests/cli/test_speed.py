"""``posebench speed`` around made-up findings: what is passed on, printed and returned."""

from __future__ import annotations

import json
import re
from pathlib import Path

import make_records
import make_speed
import pytest

import posebench.timing.measure as run_speed
from posebench.cli import main as cli
from posebench.cli import speed
from posebench.timing.measure import Timed
from posebench.types.entry import Claim, Source
from posebench.types.request import SpeedRequest
from posebench.types.timing import Form

CLAIM = Claim(
    metric="speed",
    raw="3.54",
    unit="iter/s",
    hardware="a card",
    scope="end to end",
    source=Source(page="p"),
)


def record(**changes):
    fields = {
        "entry": make_records.entry(claims=(CLAIM,)),
        "cell": make_speed.cell(quick=False),
        "timings": make_speed.timings(
            persons_per_second=640.0,
            overhead=4e-6,
            memory={"rss": 3 * 2**20},
            flops_per_second=5e11,
            ceiling=1e12,
            joules_per_1000=12.34,
            error=2e-7,
            tolerance=1e-5,
        ),
        "end_to_end": make_speed.timings(
            scope="end to end", persons_per_second=320.0, overhead=0.05, data="8 files"
        ),
        "notes": ("random weights",),
    }
    return make_records.timing().model_copy(update=fields | changes)


@pytest.fixture
def runs(monkeypatch):
    """Replaces the run layer; ``found`` is what it gives, the rest what it was asked."""
    calls: dict = {"found": [Timed(record(), Path("results/r.json"))]}

    def measure(request, **arguments):
        calls.update(arguments, asked=request, models=list(request.models))
        print("a library that talks")
        yield from calls["found"]

    monkeypatch.setattr(run_speed, "measure_speeds", measure)
    return calls


def test_what_is_asked_is_passed_on(runs, tmp_path):
    words = (
        "speed a b --dataset coco --gpu 1 --batch-size 3 --threads 5 --flip --precision bf16 "
        "--fold --channels-last --compile --quick --images i --again --registry r"
    )
    assert cli.main([*words.split(), "--output", str(tmp_path)]) == 0
    assert runs["asked"] == SpeedRequest(
        models=("a", "b"), dataset="coco", registry=("r",), device="cuda:1", batch_size=3,
        precision="bf16", fold=True, channels_last=True, compiled=True, threads=5, flip=True,
        quick=True, images="i",
    )  # fmt: skip
    assert (runs["again"], runs["output"]) == (True, tmp_path)
    assert runs["command"].startswith("posebench speed a b")


@pytest.mark.parametrize(
    ("words", "device"), [(["--gpu", "0"], "cuda:0"), (["--cpu"], "cpu"), ([], None)]
)
def test_all_are_timed_and_what_is_left_out_is_said(runs, words, device, capsys):
    assert cli.main(["speed", "--all", *words]) == 0
    err = capsys.readouterr().err
    assert re.search(
        r"^\d+ models can be timed here, at least 30 s each, in all \d+ (min|hou)", err
    )
    assert re.search(r"^\d+ models are left out: broken\.$", err, re.MULTILINE)
    assert runs["models"] == []
    asked = runs["asked"]
    assert (asked.device, asked.batch_size, asked.precision) == (device, 64, "fp32")


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("words", [[], ["--cpu", "--batch-size", "2"]])
def test_without_models_it_is_said_how_many_and_how_long(runs, words, as_json, capsys):
    assert cli.main(["speed", *words, *["--json"] * as_json]) == 2
    assert "models" not in runs
    out, err = capsys.readouterr()
    said = json.loads(out)["error"] if as_json else err
    assert re.search(r"No model is named: \d\d+ models can be timed here, at least 30 s each", said)
    assert "--all" in (out if as_json else err)
    assert cli.main(["speed", "--quick"]) == 2
    assert "at least 12 s each" in capsys.readouterr().err


def test_models_and_all_exclude_each_other(runs, capsys):
    assert cli.main(["speed", "demo_s", "--all"]) == 2
    assert "not both" in capsys.readouterr().err
    assert cli.main(["speed", "--gpu", "0", "--cpu"]) == 2
    assert cli.main(["speed", "--gpu", "-1"]) == 2


@pytest.mark.parametrize("as_json", [True, False])
def test_without_cuda_the_users_own_line_ends_with_two_and_one_sentence(as_json, capsys):
    if run_speed.torch.cuda.is_available():
        pytest.skip("has CUDA")
    assert cli.main(["speed", "demo_s", "--gpu", "0", *["--json"] * as_json]) == 2
    captured = capsys.readouterr()
    sentence = "cuda:0 needs CUDA, which torch does not find here."
    if as_json:
        assert json.loads(captured.out)["error"] == sentence
    else:
        assert captured.out == ""
        assert captured.err == f"posebench: {sentence}\n  The devices of this machine: cpu.\n"


def test_json_is_the_records_alone_on_stdout(runs, capsys):
    assert cli.main(["speed", "demo_s", "--json"]) == 0
    captured = capsys.readouterr()
    (content,) = json.loads(captured.out)
    assert content["file"] == "results/r.json"
    assert content["timings"]["persons_per_second"] == 640.0
    assert content["end_to_end"]["persons_per_second"] == 320.0
    assert "a library that talks" in captured.err


def test_one_model_is_told_in_full(runs, capsys):
    assert cli.main(["speed", "demo_s"]) == 0
    out = capsys.readouterr().out
    for words in (
        "640.0 persons/s",
        "320.0 persons/s",
        "p50 100.00, p99 200.00",
        "harness alone (null network): 4.0 us a batch",
        "without the network (null network): 50.00 ms a batch, 1,280.0 persons/s",
        "peak memory 3 MiB rss",
        "1,234,567 parameters, 1.000 GFLOP a person",
        "500.0 GFLOP/s, 50% of a matrix product's 1,000.0",
        "12.3 J for 1,000 persons",
        "within 2.0e-07 of the peak of an untimed plain float32 run (1e-05 allowed)",
        "random weights",
        "226.6 persons/s (3.54 iter/s) on a card: end to end",
        "8 files",
        "results/r.json",
    ):
        assert words in out
    assert "quick" not in out


def test_several_are_rows_of_one_table_with_a_summary(runs, capsys):
    flagged = record().timings.model_copy(update={"flags": ("spread",), "relative_iqr": 0.07})
    runs["found"] = [
        Timed(record(), Path("a")),
        Timed(record(timings=flagged, end_to_end=None), Path("b"), earlier=True),
        Timed(record(timings=None, end_to_end=None, failure="out of memory"), Path("c")),
    ]
    assert cli.main(["speed", "--all", "--cpu"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a processor (cpu), batch 2, plain network, 1 threads, no flip")
    head, first, second, third = lines[2:6]
    assert head.split() == ["model", "persons/s", "spread", "p99", "ms", "end", "to", "end", "of",
                            "ceiling", "M", "params"]  # fmt: skip
    assert first.split() == ["demo/demo_s", "640.0", "2.0%", "200.0", "320.0", "50%", "1.23"]
    assert second.split() == ["demo/demo_s", "640.0", "7.0%*", "200.0", "-", "50%", "1.23"]
    assert third.split() == ["demo/demo_s", "failed:", "out", "of", "memory"]
    assert first.index("640.0") + 5 == head.index("persons/s") + 9
    assert lines[-1] == (
        "3 models; 1 of them from an earlier run (--again times them again); 1 failed; "
        "1 marked with *: their records say why not to quote them."
    )


def test_a_rate_that_cannot_be_is_marked_and_says_why(runs, capsys):
    impossible = record().timings.model_copy(update={"flops_per_second": 1.5e12})
    runs["found"] = [Timed(record(timings=impossible), Path("a"))]
    assert cli.main(["speed", "demo_s"]) == 0
    words = "not to be quoted: inconsistent: 150 % of the matrix-product rate"
    assert words in capsys.readouterr().out
    assert "2.0%*" in speed.row(record(timings=impossible))


def test_what_is_timed_is_said_in_one_line():
    cell = make_speed.cell(
        form=Form(folded=True, precision="bf16"), flip=True, method="gluoncv", threads=3
    )
    assert speed.describe_configuration(cell) == (
        "a processor (cpu), batch 2, folded, bf16 network, 3 threads, with flip, "
        "GluonCV's method, quick"
    )
