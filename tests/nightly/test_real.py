"""Nights of shipped models through the command: a changed weights file, a dropped shift."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from safetensors.torch import load_file, save_file

from posebench.cli import main as cli
from posebench.inference import merge
from posebench.registry.loader import shipped_folder

SUITE = """\
name: small
exact: true
speed: {drop: 0.9, first_drop: 0.9}
runs:
  - {entries: [mine/demo_s], limit: 6, threads: 1, checkpoint: w.safetensors}
  - {entries: [demo/demo_m], limit: 6, threads: 1}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A suite, and a registry with a row whose file no one published a digest of."""
    made = tmp_path_factory.mktemp("nightly")
    zoo = yaml.safe_load((shipped_folder() / "zoos" / "demo.yaml").read_text())
    zoo["zoo"] = "mine"
    zoo["rows"] = [row for row in zoo["rows"] if row["id"] == "demo_s"]
    zoo.pop("checkpoints")
    for name in ("sha256", "size"):
        zoo["rows"][0]["file"].pop(name)
    (made / "mine" / "zoos").mkdir(parents=True)
    (made / "mine" / "zoos" / "mine.yaml").write_text(yaml.safe_dump(zoo))
    (made / "small.yaml").write_text(SUITE)
    assets = shipped_folder().parent / "posebench" / "assets" / "demo"
    assets = assets if assets.is_dir() else shipped_folder().parent / "assets" / "demo"
    shutil.copy(assets / "demo_s.safetensors", made / "w.safetensors")
    return made


@pytest.fixture
def nightly(folder, capsys):
    """Run a night; return its exit status and what it says as JSON."""

    def run(*options):
        capsys.readouterr()
        words = ["nightly", "--suite", folder / "small.yaml", "--registry", folder / "mine"]
        words += ["--output", folder / "out", "--history", folder / "history", *options, "--json"]
        status = cli.main([str(word) for word in words])
        return status, json.loads(capsys.readouterr().out)

    return run


def moved(said):
    """What got worse; rates go up and down with the machine's other work."""
    bad = ("changed", "worse", "failed")
    return {(c["entry"], c["protocol"]) for c in said["checks"] if c["state"] in bad}


def test_nights_of_shipped_models(folder, nightly, monkeypatch):
    first, said = nightly()
    assert first == 0
    assert len(said["checks"]) == 18
    status, said = nightly()
    assert (status, moved(said), said["changed"]) == (0, set(), {})

    shipped = (folder / "w.safetensors").read_bytes()
    weights = load_file(folder / "w.safetensors")
    name = next(name for name in weights if name.startswith("stem") and weights[name].ndim == 4)
    save_file(weights | {name: 1.1 * weights[name]}, folder / "w.safetensors")
    status, said = nightly()
    assert status == 1
    assert {entry for entry, _ in moved(said)} == {"mine/demo_s"}
    reasons = {c["reasons"][0] for c in said["checks"] if c["state"] == "changed"}
    assert len(reasons) == 1
    assert reasons.pop().startswith("weights: b68b230c0b83 -> ")
    assert set(said["changed"]) <= {"weights", "predictions"}
    (folder / "w.safetensors").write_bytes(shipped)

    kept = merge.flip_back
    with monkeypatch.context() as patch:
        patch.setattr(merge, "flip_back", lambda *a, shift: kept(*a, shift=False))
        status, said = nightly()
    assert status == 1
    flipped = ("demo_gt_flip@1", "demo_det_flip@1")
    assert moved(said) == {(m, p) for m in ("mine/demo_s", "demo/demo_m") for p in flipped}
    hint = "only protocols with a flip test shifted by one cell moved"
    assert all(hint in c["reasons"] for c in said["checks"] if c["state"] == "changed")

    status, said = nightly()
    assert (status, moved(said)) == (0, set())


def test_a_file_that_is_not_the_published_one_is_named(folder, nightly):
    suite = folder / "small.yaml"
    shutil.copy(folder / "w.safetensors", folder / "m.safetensors")
    suite.write_text(SUITE.replace("demo_m], ", "demo_m], checkpoint: m.safetensors, "))
    status, said = nightly()
    suite.write_text(SUITE)
    (failed,) = [check for check in said["checks"] if check["state"] == "failed"]
    assert status == 2
    assert failed["entry"] == "demo/demo_m"
    assert "m.safetensors" in failed["words"]
