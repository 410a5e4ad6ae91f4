"""The table that finds networks, readers, scorers, decoders, runtimes and adapters by name."""

from __future__ import annotations

import doctest
import operator
import subprocess
import sys
from types import ModuleType

import pytest
from plug_points import install

import posebench.plugins
from posebench.plugins import PluginTable, UnknownName, resolve
from posebench.types.errors import UserError

pytestmark = pytest.mark.light
GROUP = "posebench.tests"


@pytest.fixture
def table():
    return PluginTable("rule", GROUP, {"half": "operator:truediv", "sum": operator.add})


@pytest.fixture
def module(monkeypatch):
    """A module of another package, with a function."""
    module = ModuleType("elsewhere")
    module.double = lambda x: 2 * x
    module.number = 3
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    return module


def unread(monkeypatch):
    """Let reading entry points fail the test."""
    monkeypatch.setattr("posebench.plugins.installed_points", lambda group: pytest.fail("read"))


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(posebench.plugins) == (0, 6)


def test_what_is_built_in_is_found_without_reading_entry_points(table, monkeypatch):
    unread(monkeypatch)
    assert table["half"] is operator.truediv
    assert table["sum"] is operator.add
    assert "half" in table
    assert "half" in table.names
    assert table.names, "whether there are names is known without reading them"
    assert table.owner("half") == "posebench"
    assert table.known("half") == "half"


def test_nothing_is_imported_before_it_is_looked_up(monkeypatch):
    table = PluginTable("rule", GROUP, {"mine": "no_such_module_:rule"})
    install(monkeypatch, table, ("theirs", "no_such_module_:rule", "some-package"))
    assert list(table) == ["mine", "theirs"]
    assert "theirs" in table
    assert len(table) == 2
    with pytest.raises(ModuleNotFoundError):
        table["mine"]


def test_an_installed_package_adds_a_name(table, monkeypatch, module):
    install(monkeypatch, table, ("double", "elsewhere:double", "some-package"))
    assert table["double"](4) == 8
    assert list(table) == ["half", "sum", "double"]
    assert table.owner("double") == "some-package 1.0"
    monkeypatch.setattr("posebench.plugins.installed_points", lambda group: pytest.fail("again"))
    assert "nothing" not in table, "entry points are read once"


def test_an_unknown_name(table, monkeypatch):
    install(monkeypatch, table, ("third", "elsewhere:double"))
    with pytest.raises(UserError, match="Unknown rule 'hlf'") as caught:
        table["hlf"]
    assert caught.value.hint == "Did you mean half?"
    with pytest.raises(UserError, match="'thrid'") as caught:
        table.owner("thrid")
    assert caught.value.hint == "Did you mean third?"
    with pytest.raises(UnknownName) as caught:
        table.known("xyz")
    assert caught.value.hint == "Known: half, sum, third."
    assert str(caught.value) == "Unknown rule 'xyz'. Known: half, sum, third."
    assert table.get("xyz") is None
    assert 3 not in table


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            [("half", "a:b", "some-package")],
            "The rule 'half' of some-package 1.0 is already registered by posebench.",
        ),
        (
            [("mine", "a:b", "one"), ("mine", "c:d", "two")],
            "The rule 'mine' of two 1.0 is already registered by one 1.0.",
        ),
        ([("Mine!", "a:b", "one")], "one 1.0 offers a rule named 'Mine!'."),
    ],
)
def test_a_clash_names_both_owners(table, monkeypatch, points, message):
    install(monkeypatch, table, *points)
    for look in (lambda: "other" in table, lambda: list(table), lambda: table["mine"]):
        with pytest.raises(UserError) as caught:
            look()
        assert caught.value.message == message
        assert not isinstance(caught.value, UnknownName)


def test_a_reserved_name_is_taken_too(monkeypatch):
    table = PluginTable("rule", GROUP, {}, reserved=("own",))
    assert table.known("own") == "own"
    assert "own" not in table
    assert list(table.names) == ["own"]
    with pytest.raises(UserError, match="already registered by posebench"):
        table.register("own", operator.add)
    install(monkeypatch, table, ("own", "a:b", "one"))
    with pytest.raises(UserError, match="already registered by posebench"):
        list(table)


def test_the_same_plug_in_seen_twice_is_one(table, monkeypatch):
    # an editable install can leave its metadata in two places
    install(monkeypatch, table, ("mine", "a:b", "one"), ("mine", "a:b", "one"))
    assert list(table) == ["half", "sum", "mine"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module_:rule", "ModuleNotFoundError: No module named 'no_such_module_'"),
        ("elsewhere:nothing", "AttributeError: module 'elsewhere' has no attribute 'nothing'"),
    ],
)
def test_a_plug_in_that_cannot_be_imported(table, monkeypatch, module, value, reason):
    install(monkeypatch, table, ("mine", value, "some-package"))
    with pytest.raises(UserError) as caught:
        table["mine"]
    whose = "The rule 'mine' of some-package 1.0"
    assert caught.value.message == f"{whose} cannot be loaded from {value}: {reason}."
    assert caught.value.hint == "Update or uninstall some-package."


def test_a_plug_in_of_another_type(table, monkeypatch, module):
    install(monkeypatch, table, ("mine", "elsewhere:number", "some-package"))
    with pytest.raises(UserError, match=r"some-package 1\.0 is of type int, not a function\."):
        table["mine"]

    def check(name, value):
        if value > 2:
            raise ValueError(f"{value} is too large")

    numbers = PluginTable("number", GROUP, {"two": 2}, wanted=int, check=check)
    install(monkeypatch, numbers, ("three", "elsewhere:number"), ("f", "elsewhere:double"))
    with pytest.raises(UserError, match=r"'three' of elsewhere cannot be used: 3 is too large\."):
        numbers["three"]
    with pytest.raises(UserError, match=r"is of type function, not a builtins\.int\."):
        numbers["f"]


def test_a_script_registers_a_name(table, monkeypatch):
    install(monkeypatch, table, ("third", "elsewhere:double", "some-package"))
    table.register("minus", operator.sub)
    table.register("times", "operator:mul")
    assert table["minus"](3, 2) == 1
    assert table["times"](3, 2) == 6
    assert list(table) == ["half", "sum", "third", "minus", "times"]
    assert table.owner("minus") == f"module {__name__}"
    table.register("minus", operator.floordiv)  # as a cell that is run again
    assert table["minus"](3, 2) == 1
    assert table["minus"] is operator.floordiv
    for name, owner in (("half", "posebench"), ("third", r"some-package 1\.0")):
        with pytest.raises(UserError, match=f"{name}.* is already registered by {owner}"):
            table.register(name, operator.sub)
    register = eval("lambda t: t.register('minus', abs)", {"__name__": "other"})
    with pytest.raises(UserError, match=f"module other is already registered by module {__name__}"):
        register(table)
    with pytest.raises(UserError, match="is of type int, not a function"):
        table.register("four", 4)
    with pytest.raises(UserError, match="offers a rule named 'A b'"):
        table.register("A b", operator.sub)
    assert "four" not in table


def test_a_target_inside_a_class():
    assert resolve("datetime:date.fromisoformat")("2020-02-03").day == 3


def test_the_names_of_decoders_scorers_and_runtimes_cost_nothing_heavy():
    code = (
        "import sys\n"
        "from posebench.inference.plugin_tables import DECODERS, RUNTIMES\n"
        "from posebench.scoring.plugin_tables import SCORERS\n"
        "from posebench.network_families import NETWORKS\n"
        "for table in (DECODERS, RUNTIMES, SCORERS, NETWORKS):\n"
        "    assert list(table) and table.names\n"
        "sys.exit(bool({'torch', 'pandas', 'numpy'} & set(sys.modules)))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
