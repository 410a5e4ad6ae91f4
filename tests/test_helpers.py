"""Helpers: an index that is complete, one way to import them, and facts that are found whole."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from refusals import assert_mentions, mentions, refused

from posebench.types.errors import UserError

TESTS = Path(__file__).resolve().parent
HELPERS = TESTS / "helpers"
MODULES = sorted(path.stem for path in HELPERS.glob("*.py"))
FILES = sorted(TESTS.rglob("*.py"))


def imported(file: Path) -> set[str]:
    """Full names of the modules that a file imports, a dot before relative ones."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def test_the_index_names_every_helper_once():
    text = (HELPERS / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == MODULES


def test_every_helper_is_used():
    users = {file: imported(file) for file in FILES}
    texts = "\n".join(file.read_text(encoding="utf-8") for file in FILES)
    # a module is imported, or run as a program
    unused = [
        name
        for name in MODULES
        if not any(name in names for names in users.values()) and f'"{name}.py"' not in texts
    ]
    assert unused == []


def test_helpers_are_imported_by_their_bare_names_alone():
    wrong = [
        (file.name, name)
        for file in FILES
        for name in imported(file)
        if name.startswith((".", "tests.", "test_")) or name == "tests"
    ]
    assert wrong == []


def test_modules_that_are_no_tests_are_helpers():
    other = [
        path.relative_to(TESTS).as_posix()
        for path in FILES
        if path.parent != HELPERS
        and TESTS / "plugin_package" not in path.parents  # a package of its own, to be installed
        and not path.name.startswith("test_")
        and path.name != "conftest.py"
    ]
    assert other == []


@pytest.mark.parametrize(
    ("fact", "found"),
    [
        ("5", False),
        ("51", True),
        (51, True),
        ("4", False),
        ("key", False),
        ("keypoints", True),
        ("'all'", True),
        ("41", True),
        ("0.5", True),
        ("p.json:3", True),
        ("p.json:30", False),
        ("--limit", True),
        ("000", False),
        ("5,000", True),
        ("width", True),
    ],
)
def test_a_fact_is_found_whole_or_not_at_all(fact, found):
    text = "/a/p.json:3: a@1.width of 41 is 'all' for keypoints, not 51 in 0.5 of 5,000 (--limit)."
    assert mentions(text, fact) == found


def test_a_message_that_lost_a_fact_fails():
    with pytest.raises(AssertionError, match="'7'"):
        assert_mentions("image 5 has no width.", "image 5", "7")


@pytest.mark.parametrize(
    "error",
    [
        UserError("The limit is wrong.", "Give a number from 1 up."),
        UserError("--limit 0 is wrong.", "Give a number."),
        UserError("--limit 0 is wrong", "Give a number from 1 up."),
        UserError("--limit 0\nis wrong.", "Give a number from 1 up."),
    ],
    ids=["no value", "no next step", "no sentence", "two lines"],
)
def test_a_refusal_without_value_next_step_or_sentence_fails(error):
    with pytest.raises(AssertionError), refused("--limit", "0", hint="from 1 up"):
        raise error


def test_a_refusal_with_value_and_next_step_passes():
    with refused("--limit", "0", hint=("number", "from 1 up")) as caught:
        raise UserError("--limit 0 is wrong.", "Give a number from 1 up.")
    assert isinstance(caught.value, UserError)
