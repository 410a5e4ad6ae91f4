"""list, show and cite on the registry that is shipped."""

from __future__ import annotations

import json

import pytest

from posebench.cli import main as cli
from posebench.cli import tables

pytestmark = pytest.mark.light


@pytest.fixture
def ask(capsys):
    def run(*words: str, status: int = 0):
        assert cli.main([*words, "--json"]) == status
        return json.loads(capsys.readouterr().out)

    return run


def test_list_tells_what_each_model_needs(ask):
    rows = ask("list")
    by_key = {row["key"]: row for row in rows}
    assert len(by_key) == len(rows) >= 70
    tinypose = by_key["paddledetection/tinypose_256x192"]
    assert tinypose["status"] == "needs checkpoint"
    assert tinypose["input_size"] == [256, 192]
    assert tinypose["claim"]["metric"] == "AP"
    assert tinypose["claim"]["value"] == 68.8
    assert {row["zoo"] for row in rows} >= {
        "alphapose", "gluoncv", "paddledetection", "fpd", "lpn",
    }  # fmt: skip


def test_filters_narrow_the_list(ask):
    everything = ask("list")
    for name, value in (("zoo", "lpn"), ("dataset", "mpii"), ("status", "needs checkpoint")):
        rows = ask("list", f"--{name}", value)
        assert 0 < len(rows) < len(everything)
        assert all(row[name] == value for row in rows)
    both = ask("list", "--zoo", "lpn", "--dataset", "mpii")
    assert all(row["zoo"] == "lpn" and row["dataset"] == "mpii" for row in both)
    apache = ask("list", "--licence", "APACHE")
    assert apache
    assert all("apache" in row["licence"].casefold() for row in apache)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--zoo", "lpm"], "Did you mean lpn?"),
        (["--zoo", "mmpos"], "Did you mean mmpose?"),
        (["--dataset", "coc"], "Did you mean coco?"),
        (["--status", "runable"], "Did you mean runnable?"),
        (["--dataset", "imagenet"], "Known:"),
        (["--zoo", "lpn", "--dataset", "halpe_136"], "Drop one of the filters."),
    ],
)
def test_a_filter_without_rows_says_what_there_is(words, hint, ask):
    content = ask("list", *words, status=2)
    assert words[1] in content["error"]
    assert hint in content["hint"]


def test_the_table_has_a_line_for_every_row(ask, capsys):
    rows = ask("list", "--zoo", "lpn")
    assert cli.main(["list", "--zoo", "lpn"]) == 0
    text = capsys.readouterr().out
    assert all(row["key"] in text for row in rows)
    assert f"\n{len(rows)} models." in text


def test_show_has_every_claim_with_its_protocol(ask, capsys):
    content = ask("show", "tinypose_256x192")
    assert content["claims"][0]["raw"] == "68.8"
    key = content["claims"][0]["protocol"]
    assert content["protocols"][key]["decode"] == "dark"
    assert len(content["protocols"][key]["hash"]) == 64

    assert cli.main(["show", "tinypose_256x192"]) == 0
    text = capsys.readouterr().out
    assert "68.8 %" in text
    assert "ground-truth boxes" in text
    assert "DARK (kernel 3)" in text
    assert "posebench eval --model paddledetection/tinypose_256x192" in text


def test_a_short_name_needs_the_dataset_where_it_is_shared(ask):
    content = ask("show", "lpn_50", status=2)
    assert "lpn/lpn_50_coco_256x192" in content["error"] + content["hint"]
    assert ask("show", "lpn_50", "--dataset", "coco")["key"] == "lpn/lpn_50_coco_256x192"


@pytest.mark.parametrize("verb", ["show", "cite"])
def test_a_misspelt_model_is_guessed(verb, ask):
    content = ask(verb, "tinypsoe", status=2)
    assert "'tinypsoe'" in content["error"]
    assert content["hint"].startswith("Did you mean tinypose")


def test_a_text_narrows_the_list_as_filters_do(ask):
    rows = ask("list", "rtmpose", "--dataset", "mpii")
    assert rows
    assert all("rtmpose" in row["id"] and row["dataset"] == "mpii" for row in rows)
    content = ask("list", "zzzz", status=2)
    assert "'zzzz'" in content["error"] and "`posebench list`" in content["hint"]
    assert ask("list", "rtmpoze", status=2)["hint"].startswith("Did you mean rtmpose?")
    assert ask("list", "lpn wholebod3", status=2)["hint"].startswith("Did you mean wholebody?")
    content = ask("list", "tinypose", "--dataset", "mpii", status=2)
    assert content["hint"] == "Drop one of the filters."


def test_datasets_and_protocols_are_listed_too(ask, capsys):
    by_id = {row["id"]: row for row in ask("list", "--datasets")}
    assert by_id["coco"]["images"] == 5000
    assert by_id["coco"]["models"] == len(ask("list", "--dataset", "coco"))
    assert [row["id"] for row in ask("list", "crowdpose", "--datasets")] == ["crowdpose"]
    by_key = {row["key"]: row for row in ask("list", "--protocols")}
    assert by_key["tinypose_gt@1"]["decode"] == "dark"
    assert len(by_key["tinypose_gt@1"]["hash"]) == 64
    assert set(ask("list", "--protocols", "det56")[0]["key"].split("@")[1]) == {"1"}

    for what, names in (("--datasets", by_id), ("--protocols", by_key)):
        assert cli.main(["list", what]) == 0
        text = capsys.readouterr().out
        assert all(f"{name} " in text for name in names)
        content = ask("list", what, "--zoo", "lpn", status=2)
        assert content["error"] == "--zoo chooses between models."
        assert "The nearest are" in ask("list", what, "zzzz", status=2)["hint"]
    assert ask("list", "--datasets", "--protocols", status=2)


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 140, 240])
def test_the_table_fits_the_terminal_and_keeps_what_matters(columns, monkeypatch, capsys):
    monkeypatch.setattr(tables, "width", lambda: columns)
    assert cli.main(["list", "hourglass"]) == 0
    text = capsys.readouterr().out
    head, *rows = text.partition("\n\n")[0].splitlines()
    longest = max(len(row.split()[0]) for row in rows)
    assert max(map(len, (head, *rows))) <= max(columns, longest)
    assert "mmpose/td_hm_hourglass52_8xb32_210e_coco_384x384" in text
    gone = [name for name in ("licence", "input", "dataset", "claim", "status") if name not in head]
    said = " ".join(text.split())  # the line is wrapped
    assert ("left out on this terminal: " + ", ".join(gone) in said) is bool(gone)
    assert ("status" in head) is (columns >= 80)
    assert ("licence" in head) is (columns >= 140)


def test_piped_tables_are_complete(capsys):
    assert cli.main(["list"]) == 0
    text = capsys.readouterr().out
    assert "licence" in text.splitlines()[0]
    assert "left out" not in text and "..." not in text


def test_cite_gives_bibtex_of_the_paper_and_posebench(ask, capsys):
    content = ask("cite", "lpn_50", "--dataset", "coco")
    assert content["bibtex"].count("@") >= 2
    assert "posebench" in content["bibtex"]

    assert cli.main(["cite", "lpn_50", "--dataset", "coco"]) == 0
    assert capsys.readouterr().out.strip() == content["bibtex"].strip()
