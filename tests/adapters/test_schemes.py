"""Adapters are found by name; installed packages may add some."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from posebench.adapters import naming, schemes
from posebench.adapters.gluon import gluon
from posebench.types.errors import UserError


@pytest.fixture
def installed(monkeypatch):
    """Pretend that packages with these entry points are installed."""

    def install(*points: tuple[str, str]) -> schemes.AdapterCatalogue:
        found = [EntryPoint(name, value, schemes.GROUP) for name, value in points]
        monkeypatch.setattr(
            "importlib.metadata.entry_points",
            lambda *, group: found if group == schemes.GROUP else [],
        )
        fresh = schemes.AdapterCatalogue()
        monkeypatch.setattr(schemes, "ADAPTERS", fresh)
        return fresh

    return install


def test_built_in(installed):
    adapters = installed()
    assert set(adapters) == {"gluon", "mmpose", "native", "paddle"}
    assert len(adapters) == 4
    assert schemes.find_adapter("native") is naming.native
    assert schemes.find_adapter("paddle") is naming.paddle
    assert schemes.find_adapter("gluon") is gluon


def test_a_plug_in_is_found(installed):
    adapters = installed(("mine", "posebench.adapters.naming:native"))
    assert "mine" in adapters
    assert set(adapters) == {"gluon", "mmpose", "native", "paddle", "mine"}
    assert len(adapters) == 5
    assert schemes.find_adapter("mine") is naming.native


def test_unknown(installed):
    adapters = installed()
    assert "padle" not in adapters
    with pytest.raises(UserError, match="no adapter named 'padle'") as caught:
        schemes.find_adapter("padle")
    assert caught.value.hint == "Did you mean paddle?"
    with pytest.raises(UserError) as caught:
        schemes.find_adapter("zzz")
    assert caught.value.hint == "Known: gluon, mmpose, native, paddle."


@pytest.mark.parametrize(
    "points",
    [[("paddle", "other:adapter")], [("mine", "one:adapter"), ("mine", "two:adapter")]],
)
def test_a_clash_is_an_error(installed, points):
    adapters = installed(*points)
    with pytest.raises(UserError, match=f"'{points[0][0]}' comes from"):
        "elsewhere" in adapters  # noqa: B015


def test_the_same_plug_in_seen_twice_is_none(installed):
    # an editable install can leave its metadata in two places
    assert "mine" in installed(("mine", "one:adapter"), ("mine", "one:adapter"))


@pytest.mark.parametrize("value", ["no_such_module_:adapter", "posebench.adapters.naming:nothing"])
def test_a_broken_plug_in_is_an_error(installed, value):
    installed(("mine", value))
    with pytest.raises(UserError, match="'mine' cannot be loaded"):
        schemes.find_adapter("mine")


def test_the_names_cost_no_torch():
    code = (
        "import sys; from posebench.adapters import ADAPTERS; assert 'native' in ADAPTERS;"
        "assert 'zzz' not in ADAPTERS; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
