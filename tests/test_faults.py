"""The list of seeded faults fits the code: each text is there once, and its tests exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "tools" / "faults.yaml").read_text(encoding="utf-8")
FAULTS = yaml.safe_load(TEXT)


def test_every_fault_still_applies():
    gone = [
        fault["name"]
        for fault in FAULTS
        if (ROOT / fault["file"]).read_text(encoding="utf-8").count(fault["old"]) != 1
    ]
    assert gone == []


def test_the_tests_that_must_notice_exist():
    missing = [
        (fault["name"], path)
        for fault in FAULTS
        for path in fault["tests"].split()
        if path.startswith("tests/") and not (ROOT / path.partition("::")[0]).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("key", ["file", "old", "new", "tests"])
def test_no_fault_has_a_key_twice(key):
    """YAML would take the last one in silence: the wrong tests would be run."""
    assert len(re.findall(rf"^  {key}:", TEXT, re.MULTILINE)) == len(FAULTS)
