"""BibTeX of a row: the paper, the dataset and posebench."""

from __future__ import annotations

import re

import pytest

from posebench.registry import cite, shipped_registry

pytestmark = pytest.mark.light


def _keys(text: str) -> list[str]:
    return re.findall(r"^@\w+\{(\w+),$", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("lpn_101", ["zhang2019lpn", "lin2014coco", "posebench"]),
        ("lpn_50_mpii_256x256", ["zhang2019lpn", "andriluka2014mpii", "posebench"]),
        (
            "dark_hrnet_w32_256x192",
            ["sun2019hrnet", "zhang2020dark", "paddledetection2019", "lin2014coco", "posebench"],
        ),
    ],
)
def test_what_is_cited(name: str, keys: list[str]) -> None:
    registry = shipped_registry()
    assert _keys(cite(registry.find(name), registry)) == keys


def test_every_row_gives_balanced_bibtex_with_distinct_keys() -> None:
    registry = shipped_registry()
    for entry in registry.entries:
        text = cite(entry, registry)
        assert text.count("{") == text.count("}"), entry.key
        assert text.endswith("}\n")
        keys = _keys(text)
        assert len(set(keys)) == len(keys) >= 1
