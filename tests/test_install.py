"""The commands that add an optional part work where the user is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from posebench import install
from posebench.inference.plugin_tables import RUNTIMES

pytestmark = pytest.mark.light
ROOT = Path(__file__).resolve().parent.parent
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
# As an installed wheel's metadata has them.
DECLARED = [
    "torch>=2.2",
    "PyYAML>=6.0",
    'ray>=2.9; extra == "ray"',
    "numpy<2; extra == 'openmmlab'",
    'opencv-python-headless<4.12 ; python_version >= "3.10" and extra == "openmmlab"',
    'tool[more]>=1; extra == "two-words"',
]


def test_in_a_clone_its_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "posebench").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setattr(install, "__file__", str(tmp_path / "posebench" / "install.py"))
    monkeypatch.chdir(tmp_path)
    assert install.install_command("ray") == 'pip install -e ".[ray]"'
    monkeypatch.chdir(tmp_path / "posebench")
    assert install.install_command("ray") == f'pip install -e "{tmp_path.as_posix()}[ray]"'


def test_beside_a_wheel_the_packages_are_named(tmp_path, monkeypatch):
    (tmp_path / "posebench").mkdir()
    monkeypatch.setattr(install, "__file__", str(tmp_path / "posebench" / "install.py"))
    monkeypatch.setattr(install.metadata, "requires", lambda name: DECLARED)
    assert install.clone_folder() is None
    assert install.install_command("ray") == 'pip install "ray>=2.9"'
    both = 'pip install "numpy<2" "opencv-python-headless<4.12"'
    assert install.install_command("openmmlab") == both
    assert install.requirements()[-1] == ("tool", ">=1", "two-words")
    assert install.requirements()[:2] == [("torch", ">=2.2", ""), ("pyyaml", ">=6.0", "")]


def test_every_extra_that_is_named_exists():
    section = PROJECT.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", section, re.MULTILINE))
    package = (ROOT / "posebench").rglob("*.py")
    code = "\n".join(path.read_text(encoding="utf-8") for path in package)
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in pages)
    asked = set(re.findall(r"install_command\(['\"](\w+)['\"]\)", code))
    asked |= {RUNTIMES[name].extra for name in RUNTIMES.built_in}
    told = set(re.findall(r'pip install -e "\.\[(\w+)\]"', text))
    assert {"openmmlab", "ray", "runtimes", "fetch"} <= asked <= extras
    assert {"openmmlab", "ray", "runtimes", "fetch", "gpu"} <= told <= extras
    # no index holds it, and somebody else could put another package there
    for words in (code, text):
        assert f"{install.DISTRIBUTION}[" not in words


def test_the_lowest_environment_has_the_lowest_versions_that_are_declared():
    """A version that was withdrawn may be replaced by the next patch of it."""
    requirements = pytest.importorskip("packaging.requirements")
    section = PROJECT.partition("\ndependencies = [")[2].partition("\n]")[0]
    declared = [requirements.Requirement(text) for text in re.findall(r'^ *"(.+?)"', section, re.M)]
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    tox = tox.partition("[testenv:lowest]")[2].partition("\n[")[0]
    pinned = dict(re.findall(r"^ +([\w-]+)==(?:\{env:\w+:)?([\d.]+)", tox, re.M))
    assert pinned.keys() == {each.name for each in declared}
    for each in declared:
        (least,) = (part.version for part in each.specifier if part.operator == ">=")
        assert f"{pinned[each.name]}.".startswith(f"{least}."), each
        assert pinned[each.name] in each.specifier, each
