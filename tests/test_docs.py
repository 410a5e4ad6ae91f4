"""Every guarantee that the documentation lists names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAD = "| Guarantee | Test |"
PAGES = ("cluster", "fetching", "hardening")
NAME = re.compile(r"`([^`]*)`")


def guarantees(text: str) -> list[tuple[str, list[str]]]:
    """Rows of a page's tables of guarantees, each with the tests that it names."""
    found, inside = [], False
    for line in text.splitlines():
        if line.strip() == HEAD:
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|--"):
            guarantee, tests = line.strip("|").rsplit("|", 1)
            found.append((guarantee.strip(), NAME.findall(tests)))
    return found


@cache
def functions(file: Path) -> frozenset[str]:
    """Names of the functions of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def missing(text: str) -> list[tuple[str, str]]:
    """Guarantees of a page that name no test, or one that does not exist."""
    found = []
    for guarantee, tests in guarantees(text):
        for test in tests or [""]:
            path, _, name = test.partition("::")
            file = ROOT / path
            named = path.startswith("tests/") and name.startswith("test_") and file.is_file()
            if not named or name not in functions(file):
                found.append((guarantee, test))
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_guarantee_names_tests_that_exist(page):
    assert missing((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES)
def test_these_pages_list_their_guarantees(page):
    assert len(guarantees((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))) > 20


@pytest.mark.parametrize(
    ("tests", "wrong"),
    [
        ("`tests/test_docs.py::test_every_guarantee_names_tests_that_exist`", []),
        ("`tests/test_docs.py::test_gone`", ["tests/test_docs.py::test_gone"]),
        ("`tests/test_docs.py::missing`", ["tests/test_docs.py::missing"]),
        ("`tests/gone.py::test_x`", ["tests/gone.py::test_x"]),
        ("by eye", [""]),
    ],
)
def test_a_guarantee_without_its_test_is_found(tests, wrong):
    page = f"# A page\n\n{HEAD}\n|---|---|\n| it holds | {tests} |\n\n| other | table |\n"
    assert missing(page) == [("it holds", test) for test in wrong]
