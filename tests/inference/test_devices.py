"""Names of devices, and the settings of torch that predictions are made with."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

import make
import pytest
import torch
from refusals import assert_mentions, refused
from torch import nn

from posebench.cli import main as cli
from posebench.datasets.boxes import ground_truth_persons
from posebench.datasets.coco import load_coco
from posebench.inference import forms
from posebench.inference.bottom_up import predict_images
from posebench.inference.devices import accelerator_index, check_device, computing_on
from posebench.inference.forms import exact_form
from posebench.inference.predict import Options, predict
from posebench.launch.on_ray import on_accelerator
from posebench.types.entry import InputSpec
from posebench.types.model import PoseModel
from posebench.types.timing import Form

UNKNOWN = ("cudafoo", "cuda:", "cuda:-1", "cuda:01", "cuda:1.0", "cuda: 1", "cuda:٣", "CUDA:0",
           "gpu", "mps", "", "cpu:0", "cuda:99999999999999999999", "cuda:0\n")  # fmt: skip


@pytest.fixture
def two_cards(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {device}")


@pytest.mark.parametrize("name", UNKNOWN)
def test_another_name_is_refused_with_the_devices_there_are(name, two_cards):
    for refuse in (accelerator_index, check_device, on_accelerator):
        with refused("device", repr(name), hint=("cpu", "cuda:0 (Card 0)", "cuda:1 (Card 1)")):
            refuse(name)


def test_a_device_that_is_not_there_is_refused_likewise(two_cards):
    assert [check_device(name) for name in ("cpu", "cuda", "cuda:1")] == ["cpu", "cuda:0", "cuda:1"]
    with refused("cuda:7", hint=("cpu", "cuda:0 (Card 0)", "cuda:1 (Card 1)")):
        check_device("cuda:7")
    # it may be on the machine that does the work
    assert accelerator_index("cuda:7") == 7


@pytest.mark.parametrize("name", ["cuda:7", "cudafoo", "cuda:-1", "gpu"])
def test_the_command_line_says_it_in_one_sentence(name, two_cards, capsys):
    assert cli.main(["eval", "--model", "demo_s", "--device", name]) == 2
    sentence, hint = capsys.readouterr().err.splitlines()
    assert name in sentence
    assert_mentions(hint, "cpu", "cuda:0 (Card 0)")


def test_without_cuda_the_cpu_is_what_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with refused("cuda:0", "CUDA", "torch", hint="cpu") as error:
        check_device("cuda:0")
    assert "cuda" not in error.value.hint


# --- float32 stays float32 ------------------------------------------------------------------------


def settings():
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.fixture
def rounded():
    """Torch as a training script may have left it."""
    before = settings()
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    yield ("medium", True)
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


class Asking(nn.Module):
    """Notes torch's settings while it computes."""

    def __init__(self, network):
        super().__init__()
        self.network, self.seen = network, []

    def forward(self, x):
        self.seen.append(settings())
        return self.network(x)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = make.write_coco(tmp_path_factory.mktemp("coco"))
    file = root / "annotations" / "person_keypoints_val2017.json"
    return load_coco(file, root / "val2017", dataset_id="coco", keypoint_set="coco_17", joints=17)


@pytest.mark.parametrize(("tf32", "inside"), [(False, ("highest", False)), (True, ("high", True))])
def test_persons_are_predicted_in_float32_and_settings_come_back(dataset, rounded, tf32, inside):
    network = Asking(make.Probe()).eval()
    model = PoseModel(network, make.entry())
    persons = ground_truth_persons(dataset, model.entry.input, "clip_before_width")
    predict(model, dataset, persons, [make.protocol()], Options(tf32=tf32))
    assert set(network.seen) == {inside}
    assert settings() == rounded


class Nobody(nn.Module):
    def forward(self, x):
        return x.new_zeros(len(x), 34, x.shape[2] // 2, x.shape[3] // 2)


def test_whole_images_too(dataset, rounded):
    network = Asking(Nobody()).eval()
    model = PoseModel(network, make.entry(InputSpec(size=(64, 64), crop="whole_image", stride=2)))
    grouping = make.protocol(
        boxes="none", sanitise="none", shift=False, decode="associative_embedding",
        rescoring="none", nms="none",
    )  # fmt: skip
    predict_images(model, dataset, [grouping])
    assert set(network.seen) == {("highest", False)}
    assert settings() == rounded


def test_a_form_is_compared_in_float32(rounded):
    network = Asking(make.Probe()).eval()
    exact_form(PoseModel(network, make.entry()), Form(channels_last=True), batch_size=1, threads=1)
    assert network.seen and set(network.seen) == {("highest", False)}
    assert settings() == rounded


NEWER_NAMES = """
import sys, torch
from posebench.inference.devices import _newer_switches, computing_on

exec(sys.argv[1])
before = [switch.fp32_precision for switch in _newer_switches()]
with computing_on("cpu"):
    inside = {switch.fp32_precision for switch in _newer_switches()}
    assert not inside & {"tf32", "bf16"}, inside
after = [switch.fp32_precision for switch in _newer_switches()]
assert after == before, (before, after)
"""


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="names of torch 2.9")
@pytest.mark.parametrize(
    "asked",
    [
        "",
        "torch.backends.fp32_precision = 'tf32'",
        "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
        "torch.set_float32_matmul_precision('medium')",
    ],
)
def test_torchs_newer_names_are_understood(asked):
    """Torch refuses to read the older names after some of these; a process for each."""
    command = [sys.executable, "-c", NEWER_NAMES, asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_an_accelerator_is_the_current_device_meanwhile(monkeypatch):
    log = []

    @contextmanager
    def current(device):
        log.append(device)
        yield
        log.append("before")

    monkeypatch.setattr(torch.cuda, "device", current)
    with computing_on("cpu"):
        pass
    assert log == []
    with computing_on("cuda:1"):
        log.append("work")
    assert log == ["cuda:1", "work", "before"]


# --- one tolerance --------------------------------------------------------------------------------


def test_forms_may_differ_by_what_timings_may(monkeypatch):
    assert forms.allowed_difference("cpu") == 1e-5
    assert forms.allowed_difference("cuda:0") == 1e-4
    monkeypatch.setattr(forms, "difference", lambda found, expected: 5e-5)
    model = make.probe_model()
    with refused("5.0e-05", "1e-05"):
        exact_form(model, Form(folded=True), batch_size=1, threads=1)
    monkeypatch.setattr(forms, "allowed_difference", {"cpu": 1e-4}.get)
    assert exact_form(model, Form(folded=True), batch_size=1, threads=1) is not model
