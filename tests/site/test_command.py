"""posebench report: tables on stdout, what was verified, third-party rows."""

from __future__ import annotations

import json

import make_records as make
import pytest
from site_pages import Page

from posebench.cli import main as cli
from posebench.records import store


@pytest.fixture
def records(tmp_path):
    store.save_all(make.demo(), tmp_path / "records")
    return tmp_path / "records"


def test_tables_go_to_stdout_alone(records, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", "--records", str(records), "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("Claims of posebench's own models")
    assert cli.main(["report", "--records", str(records), "--format", "latex", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["records"] == 6
    assert r"\toprule" in content["text"]
    assert not (tmp_path / "reports").exists()


def levels(records, tmp_path, *words) -> str:
    output = tmp_path / "site"
    assert cli.main(["report", "--records", str(records), "--output", str(output), *words]) == 0
    page = Page((output / "zoos" / "lpn.html").read_text())
    return " ".join(page.text.split())


def test_verified_rows_are_counted_from_the_file_beside_the_records(records, tmp_path, capsys):
    assert "0 of 10network equals the original's" in levels(records, tmp_path)
    assert "Nothing was verified" in levels(records, tmp_path)
    rows = [
        {"key": "lpn/lpn_50_coco_256x192", "status": "ok"},
        {"key": "lpn/lpn_101_coco_256x192", "status": "structure only"},
        {"key": "lpn/lpn_152_coco_256x192", "status": "failed"},
    ]
    (records / "verified.json").write_text(json.dumps(rows))
    text = levels(records, tmp_path)
    assert "10 of 10listed" in text
    assert "2 of 10file format read" in text
    assert "1 of 10network equals the original's" in text
    assert "Nothing was verified" not in text

    capsys.readouterr()
    (tmp_path / "other.json").write_text("[1]")
    words = ["--verified", str(tmp_path / "other.json"), "--json"]
    assert cli.main(["report", "--records", str(records), *words]) == 2
    assert "verify --json" in json.loads(capsys.readouterr().out)["error"]
