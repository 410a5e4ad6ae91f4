"""Suites say what to measure; what is wrong with one is told with its line."""

from __future__ import annotations

import pytest

from posebench.nightly.suite import cells, read_suite
from posebench.registry.loader import shipped_registry
from posebench.types.errors import UserError

pytestmark = pytest.mark.light


def write(folder, text):
    (folder / "s.yaml").write_text(text)
    return str(folder / "s.yaml")


def keys(name):
    return [cell.key for cell in cells(read_suite(name), shipped_registry())]


def test_the_shipped_suite_evaluates_every_shipped_model():
    suite = read_suite("demo")
    assert suite.exact
    assert suite.claims_must_hold
    found = keys("demo")
    rows = [entry for entry in shipped_registry().entries if entry.zoo == "demo"]
    assert [key for key in found if key.startswith("eval")] == [
        f"eval {entry.key} on {entry.dataset}, claim, cpu" for entry in rows
    ]
    assert [key for key in found if key.startswith("speed")] == [
        f"speed demo/demo_{size}, cpu, batch 16, 2 threads, quick" for size in "sml"
    ]


def test_cells_are_entries_times_datasets_times_devices(tmp_path):
    text = (
        "name: x\nruns:\n  - {entries: [demo/demo_s], datasets: [synthetic, coco], speed: true,\n"
        "     devices: [cpu, 'cuda:0'], protocol: common, limit: 3, batch_size: 8}\n"
    )
    assert keys(write(tmp_path, text)) == [
        "eval demo/demo_s on synthetic, common, cpu, batch 8, 3 images by SHA-256 of the id",
        "eval demo/demo_s on coco, common, cpu, batch 8, 3 images by SHA-256 of the id",
        "eval demo/demo_s on synthetic, common, cuda:0, batch 8, 3 images by SHA-256 of the id",
        "eval demo/demo_s on coco, common, cuda:0, batch 8, 3 images by SHA-256 of the id",
        "speed demo/demo_s, cpu, batch 8",
        "speed demo/demo_s, cuda:0, batch 8",
    ]


def test_paths_are_relative_to_the_suite(tmp_path):
    text = "name: x\nruns:\n  - {entries: [demo/demo_s], checkpoint: w.pth, data_root: d}\n"
    (run,) = read_suite(write(tmp_path, text)).runs
    assert (run.checkpoint, run.data_root) == (tmp_path / "w.pth", tmp_path / "d")


def test_patterns_may_overlap(tmp_path):
    text = "name: x\nruns:\n  - {entries: ['demo/demo_[sm]', demo/demo_s, 'demo/demo_?']}\n"
    assert keys(write(tmp_path, text)) == [
        f"eval demo/demo_{size} on synthetic, claim, cpu" for size in "sml"
    ]


RUN = "name: x\nruns:\n  - {entries: [%s]}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RUN % "demo/demo_z", "'demo/demo_z' fits no entry.*Did you mean demo/demo_s"),
        (RUN.replace("]}", "], datasets: [cocoo]}") % "demo/demo_s", "Unknown dataset 'cocoo'"),
        (RUN.replace("]}", "], checkpoint: w}") % "demo/*", "checkpoint w .*8"),
        (RUN.replace("]}", "], accuracy: false}") % "demo/*", "suite x measures nothing.*speed"),
        (RUN.replace("]}", "], devices: []}") % "demo/*", "suite x measures nothing.*device"),
        ("name: x\nrun: []\n", "s.yaml:2: unknown key 'run'.*runs"),
        ("name: x\nruns: []\n", "s.yaml:2: runs"),
        ("name: a/b\nruns: []\n", "s.yaml:1: name"),
        (RUN % "demo/demo_s" + "speed: {drop: 2}\n", "s.yaml:4: speed.drop is 2"),
        (RUN % "demo/demo_s" + "  - {entries: [demo/*], threads: 2}\n", "measures twice"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, text, message):
    with pytest.raises(UserError) as error:
        keys(write(tmp_path, text))
    import re

    assert re.search(message, str(error.value)), str(error.value)


def test_an_unknown_suite_is_told():
    with pytest.raises(UserError, match=r"no suite 'demos'\. Did you mean demo\?"):
        read_suite("demos")
    with pytest.raises(UserError, match=r"no suite 'none\.yaml'"):
        read_suite("none.yaml")
