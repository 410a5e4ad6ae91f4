"""The README and its sisters do what they say."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import make_records as make
import pytest

from posebench.cli import main as cli
from posebench.cli.parser import Parser
from posebench.records import store

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
DOCS = (
    "cluster",
    "fetching",
    "hardening",
    "mmpose",
    "nightly",
    "predictions",
    "report",
    "scoring",
    "uncertainty",
)
PAGES = {
    name: (ROOT / name).read_text()
    for name in ("README.md", "CONTRIBUTING.md", *(f"docs/{page}.md" for page in DOCS))
}
NUMBER = re.compile(r"[+-]?\d+\.\d+")
DIGEST = re.compile(r"(?<=-)[0-9a-f]{8}(?=\.json)")  # of a record, which names the hardware


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = [
        line
        for text in PAGES.values()
        for block in blocks(text, "sh")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    # what follows > is the shell's
    return [line.partition(" > ")[0] for line in lines if line.startswith("posebench ")]


@pytest.mark.light
@pytest.mark.parametrize("command", commands())
def test_every_command_is_one_the_program_takes(command):
    parse(command)


def parse(command: str) -> argparse.Namespace:
    verb, *options = shlex.split(command)[1:]
    module = import_module(f"posebench.cli.{verb}")
    parser = Parser(verb, cli.COMMANDS[verb], module.EXAMPLES)
    module.add_arguments(parser)
    return parser.parse_args(options)


@pytest.mark.light
@pytest.mark.parametrize(
    "command", [c for c in commands() if c.split()[1] in ("list", "show", "cite")]
)
def test_every_command_that_needs_no_data_runs(command, capsys):
    assert cli.main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out


@pytest.mark.light
def test_the_build_runs_exactly_the_test_command_of_the_readme():
    test_command = "pip install tox && tox"
    assert f"```sh\n{test_command}\n```" in README
    assert test_command in (ROOT / ".ci" / "run").read_text().splitlines()
    assert "```sh\npip install torch==2.13.0 -e . && posebench demo\n```" in README
    assert "deps = torch==2.13.0" in (ROOT / "tox.ini").read_text()


@pytest.mark.light
def test_the_contract_names_only_options_that_exist(capsys):
    contract = next(b for b in blocks(README, "text") if b.startswith("posebench eval"))
    with pytest.raises(SystemExit):
        cli.main(["eval", "--help"])
    help_text = capsys.readouterr().out
    options = set(re.findall(r"--[\w-]+", contract))
    assert len(options) >= 17
    assert not {option for option in options if f"{option}" not in help_text}


@pytest.mark.light
@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#:]+)\)", PAGES[page]):
        assert ((ROOT / page).parent / link).exists(), link
    for path in re.findall(r"`((?:docs|registry|tools|posebench)/[\w./-]+\.\w+)`", PAGES[page]):
        assert (ROOT / path).exists(), path


def test_the_evaluation_prints_what_the_readme_shows(shared, tmp_path, monkeypatch, capsys):
    command = next(c for c in commands() if c.startswith("posebench eval"))
    shown = README.partition("<!-- output: eval tinypose_256x192 -->\n```text\n")[2]
    shown = shown.partition("```")[0].rstrip()
    monkeypatch.chdir(tmp_path)
    weights = shared / "data" / "weights" / "tinypose_256x192.pdparams"
    (tmp_path / weights.name).symlink_to(weights)
    (tmp_path / "coco").symlink_to(shared / "data" / "coco_mini")

    assert cli.main(shlex.split(command)[1:]) == 0

    printed, shown = DIGEST.sub("#", capsys.readouterr().out.rstrip()), DIGEST.sub("#", shown)
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", shown)
    for now, then in zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=True):
        assert float(now) == pytest.approx(float(then), abs=0.05)
    (record,) = store.load_records(tmp_path / "runs")
    assert record.scores["AP"] == pytest.approx(67.22, abs=0.05)
    assert record.coverage == 1.0
    assert record.verdict == "consistent (n=68)"


def test_the_report_command_makes_a_page(tmp_path, monkeypatch):
    command = next(c for c in commands() if c.startswith("posebench report"))
    monkeypatch.chdir(tmp_path)
    store.save_all(make.demo(), tmp_path / "runs")
    assert cli.main(shlex.split(command)[1:]) == 0
    assert (tmp_path / "reports" / "site" / "index.html").is_file()


@pytest.mark.light
def test_what_the_commands_write_and_read_is_ignored_by_git(tmp_path):
    """A clone is as clean after the README's commands as before."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    places = {f"{place}/record.json" for place in written_or_read()}
    assert {"runs/record.json", "runs/history/record.json", "coco/record.json"} <= places
    found = subprocess.run(
        ["git", "check-ignore", "--stdin"], input="\n".join(places),
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert places - set(found.stdout.splitlines()) == set()


def written_or_read() -> set[str]:
    """Folders and files that the commands of README and docs name or use without being told."""
    places = set()
    for text in PAGES.values():
        for block in blocks(text, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if not line.startswith("posebench "):
                    continue
                command, _, target = line.partition(" > ")
                parsed = parse(command)
                names = ("output", "history", "data_root", "checkpoint")
                places |= {str(getattr(parsed, name, None) or "runs") for name in names}
                places |= {target.strip() or "runs"}
    return {place for place in places if not place.startswith("/")} - {"docs/mmpose_rows.md"}


def test_the_example_of_a_predictions_file_is_read(tmp_path, monkeypatch):
    from posebench.records.predictions import load_predictions

    (code,) = blocks(PAGES["docs/predictions.md"], "python")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/predictions.md", "exec"), {})
    assert len(load_predictions(tmp_path / "predictions.npz")) == 2


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The models that come with the package, with a cache of their own for the drawn dataset."""
    import posebench

    if not [entry for entry in posebench.list_entries() if entry.zoo == "demo"]:
        pytest.skip("the registry has no shipped models yet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POSEBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_the_python_example_runs(shipped):
    (code,) = blocks(README, "python")
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["record"].scores["AP"] > 20
    assert names["record"].dataset.images == 20


def test_the_demo_on_a_few_images_writes_its_page(shipped, tmp_path, capsys):
    assert cli.main(["demo", "--limit", "20", "--output", str(tmp_path / "demo")]) == 0
    text = capsys.readouterr().out
    assert "No claim was judged" in text
    assert text.count("too few images (n=") == 11
    html = (tmp_path / "demo" / "index.html").read_text()
    assert all(name in html for name in ("demo_s", "demo_m", "demo_l"))
    assert len(store.load_records(tmp_path / "demo" / "records")) == 4
