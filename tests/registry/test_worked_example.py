"""CONTRIBUTING's example row is one row, and enough."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from posebench.networks import NETWORKS
from posebench.registry import shipped_folder
from posebench.registry.loader import registry_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def example(tmp_path):
    """The shipped registry with the example's row at the end of LPN's file."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (row,) = re.findall(r"^```yaml\n(  - id: .*?)^```$", text, re.MULTILINE | re.DOTALL)
    folder = tmp_path / "registry"
    shutil.copytree(shipped_folder(), folder)
    with (folder / "zoos" / "lpn.yaml").open("a") as file:
        file.write(f"\n{row}")
    return registry_of(folder)


def test_the_row_adds_one_model_of_a_built_family(example):
    before = registry_of(shipped_folder())
    assert len(example.entries) == len(before.entries) + 1
    entry = example.find("lpn_50_retrained")
    assert entry.network.name in NETWORKS
    assert entry.network == before.find("lpn_50", "coco").network
    assert entry.primary is not None
    assert entry.primary.value == pytest.approx(70.2)
    assert example.protocol(entry.primary.protocol).decode == "softargmax"
    assert entry.checkpoint.location == "https://example.org/lpn_50_retrained.pth"
