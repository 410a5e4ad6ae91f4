"""The choices of a protocol: one declaration each, from which everything else follows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

from posebench.types.protocol import Protocol, Stage
from posebench.types.protocol_axes import ProtocolAxes

pytestmark = pytest.mark.light

ROOT = Path(__file__).resolve().parents[2]
# No choice of evaluation: neither hashed nor compared.
LABELS = {"name", "version", "summary", "tolerance"}
BASE = Protocol(
    name="base", boxes="gt", flip=True, shift=True, decode="quarter", rescoring="none", nms="none"
)


def other_value(axis: str) -> object:
    """A value of an axis that is not the base's."""
    kind, value = Protocol.model_fields[axis].annotation, getattr(BASE, axis)
    if get_origin(kind) is Literal:
        return next(choice for choice in get_args(kind) if choice != value)
    if isinstance(value, bool):
        return not value
    return value + 2 if isinstance(value, int | float) else f"{value}_other"


def changed(axis: str) -> Protocol:
    return BASE.model_copy(update={axis: other_value(axis)})


def test_every_choice_has_one_stage_and_a_line_of_help():
    axes = Protocol.axes()
    assert set(axes) == set(Protocol.model_fields) - LABELS
    stages = [set(Protocol.axes(stage)) for stage in get_args(Stage)]
    assert set.union(*stages) == set(axes)
    assert sum(map(len, stages)) == len(axes)
    assert all(axis.help for axis in axes.values())


@pytest.mark.parametrize("axis", Protocol.axes())
def test_another_value_changes_the_key_of_its_stage_and_the_hash(axis):
    other = changed(axis)
    stages = {stage: BASE.key_of(stage) != other.key_of(stage) for stage in get_args(Stage)}
    assert [stage for stage, moved in stages.items() if moved] == [Protocol.axes()[axis].stage]
    assert other.hash != BASE.hash
    assert BASE.differences(other).keys() == {axis}


def test_what_moves_predictions_is_part_of_decoding():
    """Two protocols that share a forward pass's result must not differ in any of these."""
    expected = {
        *("flip", "shift", "flip_merge", "decode", "no_peak", "dark_kernel"),
        *("softargmax_beta", "inverse", "coordinate_bias"),
    }
    assert set(Protocol.axes("decoding")) == expected


def test_a_model_keeps_what_it_was_trained_with():
    kept = {name for name, axis in Protocol.axes().items() if axis.of_model}
    assert kept == set(Protocol.axes("decoding")) - {"flip", "shift"} | {"annotations"}


def test_players_split_all_choices():
    players = Protocol.players()
    named = [axis for axes in players.values() for axis in axes]
    assert sorted(named) == sorted(Protocol.axes())
    assert all(player in axes for player, axes in players.items())


def test_the_keywords_for_type_checkers_are_those_of_protocol(tmp_path):
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import protocol_axes
    finally:
        sys.path.pop(0)
    assert protocol_axes.text() == protocol_axes.FILE.read_text(encoding="utf-8")
    options = {name for name, axis in Protocol.axes().items() if axis.option}
    assert set(ProtocolAxes.__annotations__) == options


def test_a_dropped_declaration_is_noticed(tmp_path):
    """The field stays, its declaration goes: no list is left in which it could be forgotten."""
    source = (ROOT / "posebench" / "types" / "protocol.py").read_text(encoding="utf-8")
    line = '    flip: Annotated[Flag, Axis("decoding", "average with the mirrored crop")]\n'
    assert source.count(line) == 1
    code = source.replace(line, "    flip: Flag\n") + "\nprint('flip' in Protocol.axes())\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
