"""Tools of the repository, on input whose answer is known."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.light
FILE = Path(__file__).resolve().parent.parent / "tools" / "code_lines.py"
SPEC = importlib.util.spec_from_file_location("code_lines", FILE)
tool = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tool)

# Lines that count end with a number, the others do not.
SOURCE = '''"""Docstring of the module.

More of it.
"""

# a comment
from os import (  # 1
    path,  # 2

    # a comment inside a statement
    sep,  # 3
)  # 4


class Some:  # 5
    """Docstring of a class."""

    text = """not a docstring: 6

    7
    """  # 8

    async def run(self):  # 9
        "Docstring in " \\
            "two pieces."
        return path if sep else (  # 10
            "a text"  # 11
        )  # 12


def short(): "Docstring after code."  # 13
'''


def test_lines_that_hold_code_are_counted():
    assert tool.code_lines(SOURCE) == 13
    assert tool.code_lines("") == tool.code_lines('"""Docstring alone."""\n\n# comment\n') == 0
    assert tool.code_lines('"""Docstring."""\n"a second text is code"\n') == 1


def test_rooms_are_folders_and_modules_of_the_first_level():
    files = {"posebench/a/b.py": "x = 1\n", "posebench/a/c/d.py": "x = 1\ny = 2\n",
             "posebench/files.py": "x = 1\n", "tests/a/test_b.py": "x = 1\n"}  # fmt: skip
    assert tool.by_room(files) == {"posebench/a": 3, "posebench/files.py": 1, "tests/a": 1}


def cells(text):
    return [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]


def test_the_table_has_differences_and_totals():
    old = Counter({"posebench/a": 1200, "posebench/gone": 5, "tests/a": 1})
    new = Counter({"posebench/a": 1300, "posebench/new": 7, "tests/a": 1})
    assert cells(tool.table({"one": old, "two": new})) == [
        ["room", "one", "two", "difference"],
        ["posebench/a", "1,200", "1,300", "+100"],
        ["posebench/gone", "5", "0", "-5"],
        ["posebench/new", "0", "7", "+7"],
        ["tests/a", "1", "1", "+0"],
        ["total posebench", "1,205", "1,307", "+102"],
        ["total tests", "1", "1", "+0"],
        ["total", "1,206", "1,308", "+102"],
    ]
    assert cells(tool.table({"one": old}))[-1] == ["total", "1,206"]


def test_a_revision_and_the_working_tree_are_compared(tmp_path, monkeypatch, capsys):
    if shutil.which("git") is None:
        pytest.skip("needs git")
    file = tmp_path / "posebench" / "a.py"
    for folder in ("posebench", "tests"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text("x = 1\n")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    file.write_text(SOURCE)
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["code_lines.py", "HEAD"])
    tool.main()
    rows = cells(capsys.readouterr().out)
    assert rows[0] == ["room", "HEAD", "working tree", "difference"]
    assert rows[1] == ["posebench/a.py", "1", "13", "+12"]
    assert rows[-1] == ["total", "2", "14", "+12"]
