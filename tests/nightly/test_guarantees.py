"""The tests that docs/nightly.md names for its guarantees exist."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs" / "nightly.md"


def test_the_tests_of_all_guarantees_exist():
    rows = PAGE.read_text().partition("| Guarantee |")[2].splitlines()[2:]
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row)}
    there = {
        name
        for file in HERE.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert all(re.search(r"`test_\w+` \|$", row) for row in rows)
    assert sorted(named - there) == []
