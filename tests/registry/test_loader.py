"""Folders of YAML to a registry: merging, plug-ins, and errors that name file and line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import effort
import pytest
from plug_points import install
from refusals import refused

from posebench.registry import load_registry, loader, registry_of, shipped_folder
from posebench.types.errors import UserError

pytestmark = pytest.mark.light

ZOO = """\
zoo: mine
title: My models
licence: MIT
citations:
  paper: "@misc{me, title={Mine}}"
cite: [paper]
pages:
  table.md: {repository: https://example.org/mine, path: README.md}
inputs:
  coco: {size: [256, 192]}
tables:
  coco:
    page: table.md
    protocol: hrnet_det56@1
    hardware: a GPU
    columns:
      - {column: 2, metric: AP}
      - {column: 3, metrics: [AR, AR50]}
      - {column: 4, metric: speed, unit: images/s}
rows:
  - id: net_coco
    short: net
    title: Net
    dataset: coco
    network: {name: lpn, arguments: {layers: [3, 4, 6, 3], joints: 17}}
    input: coco
    file: {container: torch, location: "https://example.org/net.pth", licence: MIT}
    claims:
      - {table: coco, line: 7, cells: "70.10 75.0/92 120"}
"""


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(loader.VARIABLE, raising=False)


def folder_with(tmp_path: Path, zoo: str = ZOO, name: str = "extra", **files: str) -> Path:
    folder = tmp_path / name
    (folder / "zoos").mkdir(parents=True)
    (folder / "zoos" / "mine.yaml").write_text(zoo, encoding="utf-8")
    for file, text in files.items():
        (folder / f"{file}.yaml").write_text(text, encoding="utf-8")
    return folder


def test_one_row_is_enough_for_a_model(tmp_path: Path) -> None:
    registry = load_registry((folder_with(tmp_path),))
    entry = registry.find("net")
    assert entry.key == "mine/net_coco"
    assert entry.origin == "extra/zoos/mine.yaml:21"
    assert entry.checkpoint.location == "https://example.org/net.pth"
    assert entry.citation == "@misc{me, title={Mine}}\n"
    assert [(c.metric, c.raw, c.value) for c in entry.claims] == [
        ("AP", "70.10", 70.1),
        ("AR", "75.0", 75.0),
        ("AR50", "92", 92.0),
        ("speed", "120", 120.0),
    ]
    assert [(c.source.column, c.source.part) for c in entry.claims] == [
        (2, 1),
        (3, 1),
        (3, 2),
        (4, 1),
    ]
    assert [c.hardware for c in entry.claims] == [None, None, None, "a GPU"]
    assert entry.claims[0].protocol == "hrnet_det56@1"
    assert entry.claims[3].protocol is None
    assert len(registry.entries) == len(load_registry().entries) + 1


def test_the_environment_names_further_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = folder_with(tmp_path, name="one")
    two = folder_with(tmp_path, ZOO.replace("mine", "other"), name="two")
    (two / "zoos" / "mine.yaml").rename(two / "zoos" / "other.yaml")
    monkeypatch.setenv(loader.VARIABLE, os.pathsep.join((str(one), str(two))))
    zoos = load_registry((one,)).zoos
    assert {"mine", "other", "lpn"} <= set(zoos)


def test_an_entry_point_brings_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with(tmp_path)
    monkeypatch.setenv("MINE", str(folder))
    install(monkeypatch, loader.FOLDERS, ("mine_plugin", "os:environ"))
    with pytest.raises(UserError, match="'mine_plugin' of os cannot be found: TypeError"):
        load_registry()
    (tmp_path / "offering.py").write_text(
        f"from pathlib import Path\nFOLDER = Path({str(folder)!r})\n"
        "def folder():\n    return FOLDER\n\ndef nowhere():\n    return 'nowhere'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("FOLDER", "folder"):
        install(monkeypatch, loader.FOLDERS, ("mine_plugin", f"offering:{name}"))
        assert load_registry().find("net").origin == "mine_plugin/zoos/mine.yaml:21"
    install(monkeypatch, loader.FOLDERS, ("mine_plugin", "offering:nowhere"))
    with refused("offering", "'nowhere'", "folder"):
        load_registry()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"registry folder .*gone does not exist"):
        load_registry((tmp_path / "gone",))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "    title: Net\n",
            "    titel: Net\n",
            r"mine\.yaml:23: .*'titel'.*\btitle\b",
        ),
        (
            "{size: [256, 192]}",
            "{size: [256, 192], color: bgr}",
            r":10: .*'color'.*\bcolour\b",
        ),
        ("{column: 2, metric: AP}", "{column: 2, metrik: AP}", r":17: .*'metrik'.*\bmetric\b"),
        ("{container: torch,", "{kontainer: torch,", r":27: unknown key 'kontainer'.*container"),
        ("line: 7, cells", "line: 7, cell", r":29: .*'cell'.*\bcells\b"),
        ("    title: Net\n", "", r":21: the key 'title' is missing"),
        ("size: [256, 192]", "size: [256]", r":10: inputs\.coco\.size"),
        ("size: [256, 192]", "size: wide", r":10: inputs\.coco\.size.* is 'wide'"),
        ("container: torch", "container: onnx", r":27: .*container is 'onnx'"),
        ("id: net_coco", "id: Net coco", r":21: .*id is 'Net coco'"),
        ("dataset: coco", "dataset: cocoa", r":24: unknown dataset 'cocoa'"),
        ("    input: coco", "    input: cocoa", r":26: .*input.*'cocoa'.*\bcoco\b"),
        ("table: coco, line", "table: kokos, line", r":29: unknown table 'kokos'"),
        ("cite: [paper]", "cite: [papre]", r"citation.*'papre'.*\bpaper\b"),
        ("page: table.md", "page: tabel.md", r":13: unknown page 'tabel.md'"),
        ("hrnet_det56@1", "hrnet_det56", r":21: .*unknown protocol 'hrnet_det56'.*name@1"),
        ("hrnet_det56@1", "hrnet_det57@1", r"unknown protocol 'hrnet_det57@1'"),
        ("    protocol: hrnet_det56@1\n", "", r"the claim AP 70\.10 names no protocol"),
        ("75.0/92 120", "75.0/92", r":29: 2 cells, but table coco has 3"),
        ("75.0/92 120", "75.0 120", r":29: the cell '75\.0' has 1 parts for 2 metrics"),
        ("70.10", "70,10", r":29: raw is '70,10': a published number"),
        ("    file: {", "    checkpoint: net\n    file: {", r"both checkpoint and file"),
        ("    file: {", "    checkpoint: nett\n    note: {", r"unknown key|note"),
        ("table: coco, line: 7, cells", "raw: 5, cells", r":29: .*raw"),
        ("zoo: mine", "zoo: yours", r":1: .*zoo 'yours'.*mine\.yaml"),
        ("zoo: mine", "- zoo", r"mine\.yaml:\d"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    assert ZOO.count(old) == 1
    with pytest.raises(UserError, match=message):
        load_registry((folder_with(tmp_path, ZOO.replace(old, new)),))


def test_a_claim_may_stand_alone_but_not_half(tmp_path: Path) -> None:
    alone = '{page: table.md, line: 3, raw: "71.0", metric: AP, protocol: common@1}'
    table = '{table: coco, line: 7, cells: "70.10 75.0/92 120"}'
    registry = load_registry((folder_with(tmp_path, ZOO.replace(table, alone)),))
    claim = registry.find("net").claims[0]
    assert (claim.raw, claim.protocol, claim.source.column) == ("71.0", "common@1", None)
    half = ZOO.replace(table, alone.replace("metric: AP, ", ""))
    with refused("claim", "table", "'metric'"):
        load_registry((folder_with(tmp_path, half, name="half"),))


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "protocols",
            "common@1: {boxes: gt}",
            r"extra/protocols\.yaml:1: .*'flip'",
        ),
        ("protocols", "mine: {boxes: gt}", r"'mine' is not called name@version"),
        (
            "datasets",
            "coco: {title: x}",
            r"datasets\.yaml:1: .*dataset 'coco'.*datasets\.yaml:\d",
        ),
        (
            "checkpoints",
            "lpn_50_coco_256x192: {container: torch}",
            r"checkpoint .* is already defined at",
        ),
        ("checkpoints", "- a", r"checkpoints\.yaml:1: .*\bkeys\b"),
        ("checkpoints", "a: torch", r"checkpoints\.yaml:1: expected keys with values"),
    ],
)
def test_shared_files_are_checked_and_never_redefined(
    file: str, text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        load_registry((folder_with(tmp_path, **{file: text}),))


def test_zoos_rows_and_files_never_clash(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"two/zoos/mine.yaml:1: .*zoo 'mine'.*one/"):
        load_registry((folder_with(tmp_path, name="one"), folder_with(tmp_path, name="two")))
    row = ZOO[ZOO.index("  - id") :]
    twice = ZOO + row.replace("    file: {container: torch, ", "    checkpoint: net_coco\n    #")
    with pytest.raises(UserError, match=r"the row 'mine/net_coco' is already defined at .*:21"):
        load_registry((folder_with(tmp_path, twice, name="three"),))


def test_an_empty_folder_adds_nothing(tmp_path: Path) -> None:
    assert load_registry((tmp_path,)).entries == load_registry().entries


def test_the_same_folders_are_read_once() -> None:
    assert load_registry() is load_registry()


def test_reading_is_fast() -> None:
    loader._load.cache_clear()
    work = effort.calls(lambda: registry_of(shipped_folder()))
    rows = len(load_registry().entries)
    # 680 calls a row; YAML read by Python alone would be ten times as many
    assert work < 2_000 * rows, work


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, posebench.registry as r, posebench.keypoints as k;"
        "r.cite(r.load_registry().find('lpn_50', 'coco')); k.keypoint_set('coco_17');"
        "print([m for m in ('torch', 'numpy', 'pandas', 'cv2', 'scipy') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
