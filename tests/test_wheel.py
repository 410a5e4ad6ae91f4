"""The wheel, built and installed into an empty environment without torch."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import posebench

ROOT = Path(__file__).resolve().parent.parent
LIGHT_NEEDS = ("pydantic>=2.6,<3", "PyYAML>=6", "platformdirs>=4")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            str(ROOT),
        ],
        cwd=folder,
        check=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def test_it_carries_the_registry_and_the_assets_and_nothing_big(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    code = {name for name in sizes if name.endswith(".py")}
    sources = (ROOT / "posebench").rglob("*.py")
    assert {str(path.relative_to(ROOT)) for path in sources} == code
    registry = (path for path in (ROOT / "registry").rglob("*") if path.is_file())
    shipped = {f"posebench/_registry/{path.relative_to(ROOT / 'registry')}" for path in registry}
    assert shipped <= sizes.keys()
    goldens = (ROOT / "tests" / "goldens").rglob("*.json")
    recorded = {f"posebench/_goldens/{p.relative_to(ROOT / 'tests' / 'goldens')}" for p in goldens}
    assert recorded == {name for name in sizes if name.startswith("posebench/_goldens/")}
    assert "posebench/site/templates/index.html.j2" in sizes
    assert "posebench/py.typed" in sizes
    assert not [name for name in sizes if name.startswith(("tests/", "registry/", "tools/"))]
    assert sum(sizes.values()) < 8_000_000


def test_it_lists_the_models_from_an_empty_folder_without_torch(wheel, tmp_path):
    environment = tmp_path / "env"
    venv.create(environment, with_pip=False)
    python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    subprocess.run([*pip, *LIGHT_NEEDS], check=True)
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(python.with_name("posebench")), *words],
            cwd=empty, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("--version") == f"posebench {posebench.__version__}\n"
    rows = json.loads(run("list", "--json"))
    assert len(rows) >= 70
    assert "@" in run("cite", "tinypose_256x192")
    imported = "import posebench; print(posebench.__file__)"
    where = subprocess.run([str(python), "-c", imported], capture_output=True, text=True, cwd=empty)
    assert str(environment) in where.stdout
    assert list(empty.iterdir()) == []
