"""Entry and file to model."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import golden_cases
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from posebench.adapters import load_weights, random_model
from posebench.evaluation.prepare import load_entry
from posebench.networks import build_network
from posebench.types.entry import Checkpoint, Entry, InputSpec, NetworkSpec
from posebench.types.errors import UserError

ARGUMENTS = {"layers": [1, 1, 1, 1], "joints": 3}


def entry(checkpoint: dict[str, Any] | None = None, **changes: Any) -> Entry:
    fields = {
        "id": "tiny",
        "zoo": "test",
        "short": "tiny",
        "title": "tiny",
        "dataset": "coco",
        "network": NetworkSpec(name="lpn", arguments=ARGUMENTS),
        "adapter": "native",
        "input": InputSpec(size=(64, 48)),
        "checkpoint": Checkpoint(**({"id": "tiny", "container": "torch"} | (checkpoint or {}))),
        "claims": (),
        "licence": "none",
        "citation": "",
    }
    return Entry(**(fields | changes))


def weights() -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return build_network("lpn", **ARGUMENTS).state_dict()


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "lpn_tiny.pth"
    torch.save(weights(), path)
    return path


def test_model_is_what_the_file_says(file):
    model = load_weights(entry(), file)
    state = weights()
    assert all(torch.equal(value, state[n]) for n, value in model.network.state_dict().items())
    assert model.coverage.fraction == 1.0
    expected = sum(v.numel() for n, v in state.items() if not n.endswith("num_batches_tracked"))
    assert model.coverage.expected == expected
    assert model.checkpoint_name == "lpn_tiny.pth"
    assert model.checkpoint_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert not any(part.training for part in model.network.modules())
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}
    assert model.entry == entry()


def test_half_precision_file_gives_a_float32_network(tmp_path):
    path = tmp_path / "half.safetensors"
    save_file({n: v.half() for n, v in weights().items() if v.is_floating_point()}, path)
    model = load_weights(entry(), path)
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}
    assert model.coverage.fraction == 1.0


def test_the_published_digest_is_checked_before_opening(file, monkeypatch):
    opened = []
    monkeypatch.setattr("posebench.checkpoints.read_checkpoint", lambda *_: opened.append(1))
    for wrong in ({"sha256": "0" * 64}, {"size": 1}, {"sha1": "00000000"}):
        with pytest.raises(UserError, match="the published file has"):
            load_weights(entry(wrong), file)
    assert not opened


def test_the_published_digest_may_agree(file):
    data = file.read_bytes()
    known = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
        "sha1": hashlib.sha1(data).hexdigest()[:8],
    }
    assert load_weights(entry(known), file).coverage.fraction == 1.0


def test_wrong_architecture_names_the_file(tmp_path):
    path = tmp_path / "resnet.pth"
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(UserError, match="does not fit the network") as caught:
        load_weights(entry(), path)
    assert str(path) in caught.value.message
    assert "another kind of network" in caught.value.hint


def test_every_loader_error_reaches_the_user(file):
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged torch file"):
        load_weights(entry(), file)
    with pytest.raises(UserError, match="No such file"):
        load_weights(entry(), file.with_name("nowhere.pth"))
    with pytest.raises(UserError, match="is a folder"):
        load_weights(entry(), file.parent)


class TestNoFile:
    @pytest.mark.parametrize(
        ("location", "said"),
        [
            ("https://example.org/w.pth", "from https://example.org/w.pth (w.pth)"),
            ("gdrive:1dldL", "from https://drive.google.com/file/d/1dldL (w.pth)"),
            ("gdrive-folder:1_Vu", "from https://drive.google.com/drive/folders/1_Vu (w.pth)"),
            (None, "--checkpoint FILE"),
        ],
    )
    def test_hint_says_where_it_is_published(self, location, said):
        with pytest.raises(UserError, match="test/tiny needs its weights file") as caught:
            load_entry(entry({"location": location, "file_name": "w.pth"}))
        assert said in caught.value.hint
        assert "--checkpoint FILE" in caught.value.hint

    def test_random_weights_only_when_asked_for(self):
        model = random_model(entry())
        assert model.coverage is None
        assert model.checkpoint_name is None
        assert model.checkpoint_sha256 is None
        assert not model.network.training

    def test_random_weights_are_always_the_same(self):
        torch.manual_seed(1)
        first = random_model(entry()).network.state_dict()
        following = torch.rand(1)
        torch.manual_seed(1)
        assert torch.equal(torch.rand(1), following), "the caller's generator was touched"
        torch.manual_seed(2)
        second = random_model(entry()).network.state_dict()
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_an_entry_without_weights_needs_no_file(self):
        assert load_entry(entry({"container": "none"})).coverage is None


class TestShipped:
    @pytest.fixture
    def package(self, tmp_path, monkeypatch) -> Path:
        root = tmp_path / "package"
        (root / "assets").mkdir(parents=True)
        torch.save(weights(), root / "assets/tiny.pth")
        torch.save(weights(), tmp_path / "outside.pth")
        monkeypatch.setattr("importlib.resources.files", lambda _: root)
        return root

    def test_weights_of_the_package_are_found(self, package):
        model = load_entry(entry({"location": "package:assets/tiny.pth"}))
        assert model.coverage.fraction == 1.0
        assert model.checkpoint_name == "tiny.pth"

    def test_a_file_of_the_user_comes_first(self, package, file):
        model = load_weights(entry({"location": "package:assets/tiny.pth"}), file)
        assert model.checkpoint_name == file.name

    @pytest.mark.parametrize("path", ["assets/none.pth", "assets/link.pth", "assets"])
    def test_nothing_outside_the_package(self, package, path):
        (package / "assets/link.pth").symlink_to(package.parent / "outside.pth")
        with pytest.raises(UserError, match="not inside the package"):
            load_entry(entry({"location": f"package:{path}"}))

    @pytest.mark.parametrize("path", ["../outside.pth", "/etc/hosts"])
    def test_no_row_can_name_such_a_place(self, package, path):
        with pytest.raises(ValidationError, match="a path"):
            entry({"location": f"package:{path}"})


def test_a_wrong_stride_is_an_error(file):
    wrong = entry(input=InputSpec(size=(64, 48), stride=2), origin="zoos/test.yaml:7")
    with pytest.raises(UserError, match="says stride 2, its network 'lpn' has stride 4") as caught:
        load_weights(wrong, file)
    assert "zoos/test.yaml:7" in caught.value.hint


def test_unknown_adapter_and_network(file):
    with pytest.raises(UserError, match="Unknown adapter 'padddle'"):
        load_weights(entry(adapter="padddle"), file)
    with pytest.raises(UserError, match="Unknown network 'lqn'"):
        load_weights(entry(network=NetworkSpec(name="lqn")), file)


def test_real_trained_weights_load(shared):
    case = golden_cases.find("tinypose_256x192")
    path = shared / "data/weights/tinypose_256x192.pdparams"
    model = load_weights(golden_cases.entry(case), path)
    assert model.coverage.fraction == 1.0
    # the export behind this file folded its BatchNorms
    assert torch.equal(model.network.backbone.stem.conv1.norm.running_mean, torch.zeros(32))


def test_parts_that_serve_training_alone_are_named(monkeypatch):
    """SWAHR's file holds layers that no heatmap depends on; the record says that they are there."""
    from posebench.networks.demo import DemoNet
    from posebench.registry import load_registry

    monkeypatch.setattr(DemoNet, "training_only", ("scale.0", "scale.1"), raising=False)
    model = load_entry(load_registry().find("demo_s"))
    assert model.notes == ("scale.0, scale.1: loaded, used in training only",)
