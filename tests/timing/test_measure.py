"""Cells to time: what may be asked, processes that die, resuming, order, and one real cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import make
import make_records
import make_speed
import pytest
import torch
import yaml

import posebench
from posebench.networks import NETWORKS
from posebench.records.store import load, save, speed_file_name
from posebench.registry import load_registry
from posebench.registry.loader import shipped_folder
from posebench.timing import benchmark, child_process, forward, measure
from posebench.timing.benchmark import (
    Findings,
    SpeedJob,
    describe_failure,
    machine_flags,
    measure_cell,
    record_of,
)
from posebench.timing.complexity import complexity
from posebench.timing.forward import WrongOutputs
from posebench.timing.measure import cheapest_first, describe_crash, measure_speed, measure_speeds
from posebench.types.errors import UserError
from posebench.types.record import Record
from posebench.types.request import SpeedRequest
from posebench.types.timing import AcceleratorState, Form, Machine

DEMO = "demo/demo_s"


@pytest.fixture
def quickly(monkeypatch):
    make_speed.shorten(monkeypatch, iterations=3)


def launched(status: int = 0, calls: list | None = None):
    """A launcher that starts nothing; with status 0 it leaves a record."""

    def launch(job, folder):
        if calls is not None:
            calls.append(job.model)
        if status == 0:
            entry = load_registry().find(job.model)
            save(record_of(job, entry, Findings(forward=make_speed.timings())), folder)
        return status

    return launch


def asked(*models, **changes) -> SpeedRequest:
    given = {"device": "cpu", "batch_size": 2, "threads": 1, "quick": True} | changes
    return SpeedRequest(models=models, **given)


# What may be asked


def test_without_cuda_an_accelerator_is_refused_in_one_sentence():
    if torch.cuda.is_available():
        pytest.skip("has CUDA")
    with pytest.raises(
        UserError, match=r"^cuda:0 needs CUDA, which torch does not find here\."
    ) as e:
        measure.configuration(SpeedRequest(device="cuda:0"))
    assert e.value.hint == "The devices of this machine: cpu."
    assert measure.configuration(SpeedRequest()).device == "cpu"


def test_with_cuda_the_first_accelerator_is_the_default_and_numbers_are_checked(monkeypatch):
    monkeypatch.setattr(measure.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(measure.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(measure.torch.cuda, "get_device_name", lambda device: f"A card, {device}")
    cell = measure.configuration(SpeedRequest(precision="tf32", compiled=True))
    assert (cell.device, cell.hardware) == ("cuda:0", "A card, cuda:0")
    assert cell.form == Form(precision="tf32", compiled=True)
    with pytest.raises(UserError, match=r"There is no cuda:2 on this machine\. .* cuda:1 \(A card"):
        measure.configuration(SpeedRequest(device="cuda:2"))
    with pytest.raises(UserError, match=r"Unknown device 'gpu'\."):
        measure.configuration(SpeedRequest(device="gpu"))
    with pytest.raises(UserError, match="--runtime openvino is for the CPU here"):
        measure.configuration(SpeedRequest(device="cuda:1", runtime="openvino"))


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"precision": "tf32"}, "tf32 exists on accelerators only"),
        ({"runtime": "onnxruntime", "precision": "bf16"}, "bf16 is torch's, not onnxruntime's"),
        ({"runtime": "onnxruntime", "compiled": True}, "--compile is torch's"),
        ({"runtime": "openvino", "channels_last": True}, "--channels-last is torch's"),
        ({"method": "gluoncv", "flip": True}, "GluonCV's harness knows no flip"),
        ({"method": "gluoncv", "quick": True}, "GluonCV's harness knows no quick run"),
    ],
)
def test_what_excludes_each_other_is_refused_before_anything_runs(chosen, words):
    with pytest.raises(UserError, match=words):
        measure.configuration(SpeedRequest(device="cpu", **chosen))


def test_a_missing_runtime_is_said_once_not_for_every_model(monkeypatch):
    def missing(runtime):
        raise UserError(f"{runtime} is missing.", "pip")

    monkeypatch.setattr(measure, "check_installed", missing)
    with pytest.raises(UserError, match="openvino is missing"):
        measure.configuration(SpeedRequest(device="cpu", runtime="openvino"))


# Where a record lies


def test_everything_that_was_asked_makes_another_cell():
    entry = load_registry().find(DEMO)
    changes = [
        {},
        {"device": "cuda:0"},
        {"hardware": "another processor"},
        {"batch_size": 3},
        {"threads": 2},
        {"flip": True},
        {"method": "gluoncv"},
        {"quick": False},
        {"images": "abc"},
        *({"form": Form(**{n: True})} for n in ("folded", "channels_last", "compiled")),
        {"form": Form(precision="bf16")},
        {"form": Form(runtime="openvino")},
    ]
    files = {speed_file_name(entry, make_speed.cell(**change)) for change in changes}
    assert len(files) == len(changes)
    job = SpeedJob(model=DEMO, cell=make_speed.cell())
    record = record_of(job, entry, Findings(failure="why"))
    assert speed_file_name(entry, job.cell).parts[:3] == ("demo", "demo_s", "synthetic")
    from posebench.records.store import file_name

    assert file_name(record) == speed_file_name(entry, job.cell)


# Processes


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (-9, "killed, most likely out of memory at a batch of 2"),
        (-11, "the process crashed with signal 11"),
        (3, "the process ended with status 3 and no record"),
        (0, "the process ended with status 0 and no record"),
    ],
)
def test_a_process_that_dies_is_a_record(status, words, tmp_path):
    cell = make_speed.cell()
    assert describe_crash(status, cell) == words
    launch = launched(status) if status else (lambda job, folder: 0)
    (timed,) = measure_speeds(asked(DEMO), output=tmp_path, launch=launch)
    assert timed.record.failure == words
    assert timed.record.timings is None
    assert load(timed.file).failure == words
    assert [row["verdict"] for row in timed.record.rows()] == [f"failed: {words}"]


def test_one_dead_process_does_not_end_the_others(tmp_path):
    def launch(job, folder):
        return -11 if job.model == "demo/demo_m" else launched()(job, folder)

    models = ["demo_s", "demo_m", "demo_l"]
    found = list(measure_speeds(asked(*models), output=tmp_path, launch=launch))
    assert [bool(timed.record.failure) for timed in found] == [False, True, False]


def test_what_was_timed_before_is_not_timed_again_unless_asked(tmp_path):
    calls: list[str] = []
    models = ["demo_s", "demo_m"]

    def times(models, **more):
        launch = launched(calls=calls)
        return list(measure_speeds(asked(*models), output=tmp_path, launch=launch, **more))

    times(models[:1])
    found = times(models)
    assert calls == ["demo/demo_s", "demo/demo_m"]
    assert [timed.earlier for timed in found] == [True, False]
    times(models, again=True)
    assert calls[2:] == ["demo/demo_s", "demo/demo_m"]
    other = asked(*models, batch_size=9)
    list(measure_speeds(other, output=tmp_path, launch=launched(calls=calls)))
    assert len(calls) == 6


def test_each_record_is_stored_before_the_next_model_begins(tmp_path):
    some = measure_speeds(asked("demo_s", "demo_m"), output=tmp_path, launch=launched())
    first = next(some)
    assert first.file.is_file()
    assert len(list(tmp_path.rglob("*.json"))) == 1


def test_a_name_that_is_unknown_or_not_built_is_refused_before_anything_runs(tmp_path, monkeypatch):
    calls: list[str] = []
    launch = launched(calls=calls)
    with pytest.raises(UserError, match="nosuch"):
        list(measure_speeds(asked(DEMO, "nosuch"), output=tmp_path, launch=launch))
    monkeypatch.delitem(NETWORKS.built_in, "demo")
    with pytest.raises(UserError, match="its network demo is not built"):
        list(measure_speeds(asked(DEMO), output=tmp_path, launch=launch))
    assert calls == []


def test_all_means_every_built_row_from_the_cheapest_up(monkeypatch):
    registry = load_registry()
    costs = {}

    def parameters(entry):
        costs[entry.network.model_dump_json()] = len(entry.network.model_dump_json())
        return costs[entry.network.model_dump_json()]

    monkeypatch.setattr(measure, "_parameters", parameters)
    found = cheapest_first(registry)
    assert {e.key for e in found} == {e.key for e in registry.entries if e.network.name in NETWORKS}

    def cost(entry):
        return costs[entry.network.model_dump_json()] * entry.input.size[0] * entry.input.size[1]

    assert [cost(e) for e in found] == sorted(cost(e) for e in found)
    assert len({cost(e) for e in found}) > 20


def test_parameters_are_counted_without_weights():
    assert measure._parameters(load_registry().find("lpn/lpn_50_coco_256x192")) == 2_911_153


SCRIPT = """
import sys
print("the script runs")
sys.path.insert(0, sys.argv[1])
import posebench

print(posebench.measure_speed(
    "probe", device="cpu", batch_size=1, threads=1, quick=True, registry=[sys.argv[2]],
).model_dump_json())
"""


@pytest.mark.parametrize("start", ["script", "notebook"])
def test_a_plain_script_and_a_notebook_time_a_model_in_a_process_of_its_own(start, tmp_path):
    """No ``if __name__ == "__main__"``; of a notebook no file. What a child needs reaches it."""
    row = yaml.safe_load(shipped_folder().joinpath("zoos", "demo.yaml").read_text("utf-8"))
    demo_s = next(each for each in row["rows"] if each["id"] == "demo_s")
    folder = tmp_path / "more" / "zoos"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(
        yaml.safe_dump(row | {"zoo": "mine", "rows": [demo_s | {"id": "probe"}]})
    )
    script = tmp_path / "plain.py"
    script.write_text(SCRIPT)
    package = str(Path(posebench.__file__).parents[1])
    words = [str(script)] if start == "script" else ["-"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *words, package, str(folder.parent)],
        input=SCRIPT if start == "notebook" else "",
        capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300,
    )  # fmt: skip
    first, *others = done.stdout.splitlines()
    assert first == "the script runs", done.stderr
    (line,) = others  # it ran once, and nothing else came to stdout
    record = Record.model_validate_json(line)
    assert record.failure is None
    assert record.entry.key == "mine/probe"
    cell = make_speed.cell(batch_size=1, hardware=record.cell.hardware)
    assert record.cell == cell
    assert record.timings.persons_per_second > 0
    assert record.end_to_end.persons_per_second > 0


def test_a_job_travels_as_json(tmp_path):
    form = Form(folded=True, precision="bf16")
    job = SpeedJob(
        model=DEMO, cell=make_speed.cell(form=form), registry=(tmp_path,), images=tmp_path / "i",
        command="a command",
    )  # fmt: skip
    assert SpeedJob.model_validate_json(job.model_dump_json()) == job
    plain = SpeedJob(model=DEMO, cell=make_speed.cell())
    assert SpeedJob.model_validate_json(plain.model_dump_json()) == plain


def test_an_interrupted_child_is_ended(tmp_path, monkeypatch):
    log = []

    class Process:
        def __init__(self, command, **how):
            assert command[1:] == ["-m", "posebench.timing.child_process", str(tmp_path)]

        def wait(self):
            if "ended" in log:
                return -15
            raise KeyboardInterrupt

        def poll(self):
            return None

        def terminate(self):
            log.append("ended")

    monkeypatch.setattr(child_process.subprocess, "Popen", Process)
    with pytest.raises(KeyboardInterrupt):
        child_process.spawn(SpeedJob(model=DEMO, cell=make_speed.cell()), tmp_path)
    assert log == ["ended"]


# Rows of an optional package


def mmpose_row(name="rtmpose_t_8xb256_420e_coco_256x192"):
    return load_registry().find(f"mmpose/{name}")


@pytest.fixture
def openmmlab(monkeypatch):
    """Its packages are there, as far as one asks; every network is the probe's."""
    monkeypatch.setattr(measure, "absent_packages", lambda name: ())
    monkeypatch.setattr(measure, "build_foreign", lambda entry: make.Probe())


def test_without_openmmlab_its_rows_are_refused_with_what_to_install(monkeypatch):
    monkeypatch.setattr(measure, "absent_packages", lambda name: ("mmpose", "mmcv"))
    with pytest.raises(UserError, match="cannot be timed: mmpose, mmcv not installed") as error:
        measure_speed(mmpose_row().key)
    assert "pip install" in error.value.hint
    known = load_registry()
    count = sum(entry.zoo == "mmpose" for entry in known.entries)
    broken = sum(entry.status.startswith("broken") for entry in known.entries)
    assert measure.left_out(known) == {
        "mmpose, mmcv not installed": count - broken,
        "broken": broken,
    }
    assert not [entry for entry in cheapest_first(known) if entry.zoo == "mmpose"]


def test_with_openmmlab_its_rows_are_timed_but_the_broken_ones(openmmlab, monkeypatch):
    monkeypatch.setattr(measure, "build_network", lambda name, **arguments: make.Probe())
    known = load_registry()
    broken = [entry for entry in known.entries if entry.status.startswith("broken")]
    found = {entry.key for entry in cheapest_first(known)}
    assert mmpose_row().key in found
    assert found == {entry.key for entry in known.entries} - {entry.key for entry in broken}
    assert measure.left_out(known) == {"broken": len(broken)}
    with pytest.raises(UserError, match=f"{broken[0].key} cannot be timed: broken: ") as error:
        measure_speed(broken[0].key)
    assert "--all" in error.value.hint


def test_a_row_that_cannot_be_built_comes_last_and_says_so_itself(openmmlab, monkeypatch):
    def refuse(entry):
        raise UserError("It needs compiled operators.")

    monkeypatch.setattr(measure, "build_foreign", refuse)
    assert measure._parameters(mmpose_row()) > 10**12
    assert measure.hindrance(mmpose_row()) == ""


def test_a_network_of_another_package_is_counted_as_it_was_built():
    built = make.Probe()
    found = complexity(mmpose_row(), built)
    assert found.parameters == make_speed.cost().parameters
    height, width = mmpose_row().input.size
    assert found.macs == built.conv.weight.numel() * (height // 4) * (width // 4)


def test_a_model_takes_at_least_what_its_two_timings_take():
    assert measure.least_seconds(quick=False) > 2 * 10
    assert 2 < measure.least_seconds(quick=True) < measure.least_seconds(quick=False)


# In the process


def test_a_shipped_model_is_timed_with_its_weights(quickly):
    record = measure_cell(
        SpeedJob(model=DEMO, cell=make_speed.cell(), command="posebench speed demo_s")
    )
    assert record.failure is None
    assert record.coverage == 1.0
    assert record.checkpoint_name.endswith(".safetensors")
    assert len(record.checkpoint_sha256) == 64
    assert record.timings.error < 1e-5
    assert record.end_to_end.scope == "end to end"
    assert record.machine.cores >= 1
    assert record.command == "posebench speed demo_s"
    metrics = [row["metric"] for row in record.rows()]
    assert metrics == ["persons/s", "persons/s end to end"]
    json.dumps(record.model_dump(mode="json"), allow_nan=False)


def test_a_model_without_weights_is_timed_with_random_ones_and_says_so(quickly):
    cell = make_speed.cell(batch_size=1, form=Form(folded=True))
    record = measure_cell(SpeedJob(model="paddledetection/tinypose_128x96", cell=cell))
    assert record.failure is None
    assert record.coverage is None
    first, second = record.notes
    assert first.startswith("random weights")
    assert second.startswith("form of the network: folded (")


def test_whole_images_and_gluoncvs_method_are_forward_only(quickly, monkeypatch):
    cell = make_speed.cell(method="gluoncv", quick=False)
    record = measure_cell(SpeedJob(model=DEMO, cell=cell))
    assert (len(record.timings.seconds), record.end_to_end) == (100, None)

    def fake(prepared, cell, cost, meter):
        return make_speed.timings(), ()

    monkeypatch.setattr(benchmark, "time_forward", fake)
    monkeypatch.setattr(benchmark, "prepare", lambda model, cell: forward.Prepared(model, 0, 0))
    monkeypatch.setattr(benchmark, "complexity", lambda entry, network: make_speed.cost())
    record = measure_cell(SpeedJob(model="higherhrnet_hrnet_w32_512", cell=make_speed.cell()))
    assert record.end_to_end is None
    assert record.notes[-1] == "takes whole images, one at a time: not timed end to end"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried"), "out of memory at a batch of 2"),
        (MemoryError(), "out of memory at a batch of 2"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            "out of memory at a batch of 2",
        ),
        (RuntimeError("no such kernel\nstack"), "RuntimeError: no such kernel"),
        (WrongOutputs("the outputs differ"), "the outputs differ"),
        (UserError("It cannot be exported.", "Use torch."), "It cannot be exported. Use torch."),
    ],
)
def test_what_goes_wrong_with_a_model_is_its_records_failure(quickly, monkeypatch, error, words):
    def fail(*_):
        raise error

    monkeypatch.setattr(benchmark, "time_forward", fail)
    record = measure_cell(SpeedJob(model=DEMO, cell=make_speed.cell()))
    assert record.failure == words
    assert record.timings is None
    if not isinstance(error, WrongOutputs):
        assert describe_failure(error, make_speed.cell()) == words


def test_a_failure_on_the_whole_way_keeps_what_came_before(quickly, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(benchmark, "time_end_to_end", fail)
    record = measure_cell(SpeedJob(model=DEMO, cell=make_speed.cell()))
    assert record.failure == "out of memory at a batch of 2"
    assert record.timings is not None
    assert [row["metric"] for row in record.rows()] == ["persons/s", "persons/s"]


def test_given_images_are_used_instead_of_drawn_ones(quickly, tmp_path):
    import cv2
    import numpy as np

    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "one.png"), picture)
    cell = measure.configuration(
        SpeedRequest(device="cpu", batch_size=2, threads=1, quick=True, images=tmp_path)
    )
    assert len(cell.images) == 16
    record = measure_cell(SpeedJob(model=DEMO, cell=cell, images=tmp_path))
    assert record.end_to_end.data.startswith(
        f"1 {cell.images[:8]} image files, the first 120x90, 3 persons"
    )


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({"foreign_cores": 0.3}, ()),
        (
            {"foreign_cores": 0.5},
            ("other processes kept 0.5 of 4 cores busy",),
        ),
        (
            {
                "states": (
                    AcceleratorState(throttled=("heat (software)",), foreign_processes=0),
                    AcceleratorState(throttled=("power limit",), foreign_processes=2),
                )
            },
            (
                "the accelerator was slowed down: heat (software), power limit",
                "2 other processes held memory on the accelerator",
            ),
        ),
    ],
)
def test_what_else_the_machine_did_is_flagged(changes, flags):
    machine = Machine(processor="p", cores=4, threads=4, interop_threads=1, **changes)
    assert machine_flags(machine) == flags
    entry = make_records.entry()
    found = Findings(forward=make_speed.timings(flags=("quick",)))
    record = record_of(SpeedJob(model=entry.key, cell=make_speed.cell()), entry, found, machine)
    assert record.timings.flags == ("quick", *flags)
