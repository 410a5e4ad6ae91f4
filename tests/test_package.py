"""What holds for the package as a whole: version, lazy API, floors."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import posebench

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.light
def test_the_version_stands_in_one_place_and_the_citation_agrees():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {posebench.__version__}\n" in citation
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text()


def test_the_installed_distribution_has_the_version_of_the_package():
    assert importlib.metadata.version("posebench-zoo") == posebench.__version__


@pytest.mark.light
def test_the_public_functions_are_loaded_on_first_use():
    code = (
        "import sys, posebench\n"
        "assert 'posebench.evaluation' not in sys.modules\n"
        "assert callable(posebench.list_entries)\n"
        "assert 'posebench.evaluation' in sys.modules and 'torch' not in sys.modules\n"
        "assert set(posebench.__all__) <= set(dir(posebench))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = posebench.no_such_thing


@pytest.mark.light
def test_modules_stay_small():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "posebench").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


@pytest.mark.light
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("get_close_matches(", "types/suggestions.py"),
        (".numel() for p", "networks/__init__.py"),
        ('"package:"', "types/entry.py"),
    ],
)
def test_what_several_modules_need_is_written_once(text, place):
    package = ROOT / "posebench"
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if text in path.read_text(encoding="utf-8")
    }
    assert found == {place}


@pytest.fixture
def house(tmp_path) -> Path:
    """A copy of the sources, to break a rule in."""
    ignore = shutil.ignore_patterns("__pycache__", "assets", "*.safetensors")
    shutil.copytree(ROOT / "posebench", tmp_path / "posebench", ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(command), "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


def test_imports_run_down_the_floors(house):
    done = lint(house)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("types/entry.py", "import posebench.records.store"),
        ("registry/lookup.py", "from posebench.datasets import coco"),
        ("records/store.py", "def late():\n    from posebench.evaluation import evaluate"),
        ("inference/select.py", "from posebench.scoring import coco"),
        ("networks/lpn.py", "from posebench.checkpoints import reader"),
        ("evaluation/data.py", "from posebench.cli import parser"),
    ],
)
def test_an_import_up_or_across_is_found(house, file, line):
    with (house / "posebench" / file).open("a") as source:
        source.write(f"\n{line}\n")
    done = lint(house)
    assert done.returncode == 1
    lower = "posebench." + re.sub(r"/.*", "", file)
    assert re.search(rf"{lower}[\w.]* is not allowed to import", done.stdout), done.stdout


def test_a_new_room_needs_a_floor(house):
    (house / "posebench" / "attic").mkdir()
    (house / "posebench" / "attic" / "__init__.py").write_text('"""No one gave it a floor."""\n')
    done = lint(house)
    assert done.returncode == 1
    assert "attic" in done.stdout
