"""The public API: typed, light, with examples that run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import posebench

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "posebench"
FUNCTIONS = [
    name
    for name in posebench.__all__
    if not name.startswith("_") and name not in ("Entry", "Protocol", "Record", "UserError")
]


def modules() -> list[str]:
    """All modules of the package that can be imported here."""
    return [
        found.name
        for found in pkgutil.walk_packages(posebench.__path__, "posebench.")
        if found.name != "posebench.__main__" and not found.name.startswith("posebench.mmpose")
    ]


def test_no_room_takes_the_place_of_a_function():
    """Importing posebench.x the package would replace posebench.x the function."""
    code = (
        "import importlib, sys, posebench\n"
        f"for name in {modules()!r}:\n    importlib.import_module(name)\n"
        f"wrong = [name for name in {FUNCTIONS!r} if not callable(getattr(posebench, name))]\n"
        "assert not wrong, wrong\n"
        "assert posebench.list_entries(zoo='lpn') and posebench.find_entry('demo_s')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nothing_public_is_typed_any(name):
    function = getattr(posebench, name)
    signature = inspect.signature(function)
    written = [str(p.annotation) for p in signature.parameters.values()]
    assert inspect.Parameter.empty not in (p.annotation for p in signature.parameters.values())
    for text in (*written, str(signature.return_annotation)):
        assert "Any" not in text and text != "", f"{name}: {text}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_has_an_example_that_runs(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    function = getattr(posebench, name)
    (test,) = doctest.DocTestFinder(recurse=False).find(function, name, globs={})
    assert test.examples, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test)
    assert runner.failures == 0


@pytest.mark.parametrize(
    ("module", "name"),
    [("posebench.types.request", "EvalRequest"), ("posebench.types.request", "ScoringContext")],
)
def test_examples_of_types_run(module, name):
    found = getattr(importlib.import_module(module), name)
    (test,) = doctest.DocTestFinder(recurse=False).find(found, name, globs={name: found})
    runner = doctest.DocTestRunner()
    runner.run(test)
    assert test.examples and runner.failures == 0


def test_the_example_of_the_package_runs_as_it_stands(tmp_path):
    lines = [line.strip() for line in (posebench.__doc__ or "").splitlines()]
    code = "\n".join(lines[lines.index("import posebench") :])
    assert "evaluate(" in code
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)


GOOD = """
import posebench

entries = posebench.list_entries(zoo="lpn")
entry: posebench.Entry = posebench.find_entry("lpn_50", dataset="coco")
record: posebench.Record = posebench.evaluate("demo_s", data_root="~/coco", flip=False, limit=3)
scored = posebench.score("a.npz", dataset="coco", nms="none")
difference = posebench.compare("a.npz", "b.npz", dataset="coco").differences[0].difference + 1.0
errors = posebench.diagnose("a.npz").found + 1
shares = [share.value for share in posebench.explain("demo_s", metric="AP").shares]
timed = posebench.measure_speed("demo_s", device="cpu", quick=True)
findings = [finding.status for finding in posebench.verify("lpn_50", dataset="coco")]
items = [item.state for item in posebench.fetch("demo_s")]
page = posebench.report("runs", "site").page.name
model = posebench.load_model("demo_s")
points = model.predict("image.jpg", [[0, 0, 10, 10]], flip=True).keypoints.shape
text: str = entry.title + page + record.verdict
try:
    posebench.merge(["a", "b"], data_root="coco")
except posebench.UserError as error:
    print(error.hint)
"""
BAD = {
    'posebench.evaluate("demo_s", limt=3)': "limt",
    'posebench.evaluate("demo_s", flip="no")': "flip",
    'posebench.evaluate("demo_s", decode=3)': "decode",
    'posebench.evaluate("demo_s", on_error="fial")': "on_error",
    "posebench.evaluate(3)": "evaluate",
    'posebench.list_entrys(zoo="lpn")': "list_entrys",
    'posebench.find_entry("lpn_50").titel': "titel",
    'posebench.evaluate("demo_s").scors': "scors",
    'posebench.measure_speed("demo_s", batchsize=2)': "batchsize",
    'posebench.score("a.npz", dataset=3)': "dataset",
}


def mypy(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("mypy")
    file = folder / "script.py"
    file.write_text(code)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_a_script_of_many_functions_is_well_typed(tmp_path):
    done = mypy(GOOD, tmp_path)
    assert done.returncode == 0, done.stdout


def test_each_misuse_is_an_error_for_a_type_checker(tmp_path):
    lines = ["import posebench", *BAD]
    done = mypy("\n".join(lines) + "\n", tmp_path)
    assert done.returncode == 1
    for number, (line, word) in enumerate(BAD.items(), 2):
        told = [text for text in done.stdout.splitlines() if f"script.py:{number}: error" in text]
        assert told and word in told[0], f"{line}: {told}"


def test_importing_posebench_stays_light():
    code = (
        "import sys, posebench\n"
        "assert not {'torch', 'pandas', 'numpy', 'cv2', 'pydantic'} & set(sys.modules)\n"
        "posebench.UserError, posebench.Record, posebench.Entry\n"
        "assert not {'torch', 'pandas', 'cv2'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_evaluation_passes_through_few_files_and_contributing_names_them():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "trace_files.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    traced = re.findall(r"^ +\d+ +(\S+\.py)", done.stdout, re.MULTILINE)
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.partition("## The way of an evaluation")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `(\S+\.py)` \|", section, re.MULTILINE)) == sorted(traced)
    long = [file for file in traced if len((PACKAGE / file).read_text().splitlines()) > 400]
    assert not long


def test_contributing_names_every_room():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.partition("## Rooms and floors")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if re.match(r"\| \d+ \|", line)]
    named = {name for line in table for name in re.findall(r"`([\w.]+)`", line.split("|")[2])}
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    files = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert named == folders | files
