"""Adapters are found by name; installed packages may add some."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from plug_points import install

import posebench
from posebench.adapters import ADAPTERS, naming
from posebench.adapters.gluon import gluon
from posebench.adapters.loading import load_weights
from posebench.registry import load_registry
from posebench.types.errors import UserError


def test_built_in():
    assert set(ADAPTERS) == {"gluon", "mmpose", "native", "paddle"}
    assert ADAPTERS["native"] is naming.native
    assert ADAPTERS["paddle"] is naming.paddle
    assert ADAPTERS["gluon"] is gluon


def test_a_plug_in_is_found(monkeypatch):
    install(monkeypatch, ADAPTERS, ("mine", "posebench.adapters.naming:native"))
    assert set(ADAPTERS) == {"gluon", "mmpose", "native", "paddle", "mine"}
    assert ADAPTERS["mine"] is naming.native


def names_alone(state, network):
    return list(state)


def test_an_adapter_that_gives_something_else(monkeypatch):
    package = ModuleType("mine")
    package.scheme = names_alone
    monkeypatch.setitem(sys.modules, "mine", package)
    install(monkeypatch, ADAPTERS, ("mine", "mine:scheme", "mine-package"))
    entry = load_registry().find("demo/demo_s").model_copy(update={"adapter": "mine"})
    weights = Path(posebench.__file__).parent / "assets" / "demo" / "demo_s.safetensors"
    with pytest.raises(UserError, match=r"'mine' of mine-package 1\.0 gave an object of type list"):
        load_weights(entry, weights)


def test_the_names_cost_no_torch():
    code = (
        "import sys; from posebench.adapters import ADAPTERS; assert 'native' in ADAPTERS;"
        "assert 'zzz' not in ADAPTERS; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
