"""explain: shares add up whatever the order, and TinyPose's real weights tell the axes apart."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from posebench.analysis.explain import explain
from posebench.analysis.shapley import PLAYERS, differing, mixed, shapley, subsets
from posebench.registry import load_registry
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol
from posebench.types.request import EvalRequest


def test_every_axis_moves_with_exactly_one_player():
    named = [axis for axes in PLAYERS.values() for axis in axes]
    axes = set(Protocol.axes())
    assert sorted(named) == sorted(axes)


def test_shares_are_the_mean_over_all_orders():
    players = ("a", "b", "c")
    worth = {chosen: float(sum(ord(x) for x in chosen) % 7 + 3 * len(chosen) ** 2)
             for chosen in subsets(players)}  # fmt: skip
    expected = dict.fromkeys(players, 0.0)
    for order in permutations(players):
        chosen = frozenset()
        for player in order:
            expected[player] += (worth[chosen | {player}] - worth[chosen]) / 6
            chosen |= {player}
    found = shapley(players, worth.__getitem__)
    assert found == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(worth[frozenset(players)] - worth[frozenset()])


def test_mixtures_reach_from_one_protocol_to_the_other():
    registry = load_registry()
    start, end = registry.protocol("paddle_gt_dark3"), registry.protocol("common")
    players = differing(start, end)
    assert players == ["boxes", "decode"]
    assert mixed(start, end, ()).hash == start.hash
    assert mixed(start, end, players).hash == end.hash
    assert mixed(start, end, ["boxes"]).box_file == "det56"
    assert mixed(start, end, ["boxes"]).decode == "dark"


def test_on_the_drawn_persons(tmp_path):
    found = explain(EvalRequest.of(model="demo_s", limit=40, protocol="demo_gt_noflip", threads=1))
    (share,) = found.shares
    assert (share.axis, share.start, share.end) == ("flip", "flip", "no flip")
    assert share.value == pytest.approx(found.measured_end - found.measured_start)
    assert found.claim == pytest.approx(59.14)
    near = [abs(cell.distance) for cell in found.grid]
    assert near == sorted(near)
    assert "flip instead of no flip" in found.sentence()


def test_tinypose_on_real_images(shared):
    """The axes that move its AP: the way back to the image, the shift, DARK; as README shows."""
    data = shared / "data"
    request = EvalRequest.of(
        model="tinypose_256x192",
        dataset="coco",
        checkpoint=data / "weights" / "tinypose_256x192.pdparams",
        data_root=data / "coco_mini",
        protocol="tinypose_gt",
        inverse="udp",
        shift=False,
        decode="quarter",
    )
    found = explain(request)
    shares = {share.axis: share.value for share in found.shares}
    assert set(shares) == {"inverse", "shift", "decode"}
    assert found.measured_start == pytest.approx(67.22, abs=0.01)
    assert sum(shares.values()) == pytest.approx(found.measured_end - found.measured_start)
    by_choice = {
        (cell.choices["shift"], cell.choices["decode"], cell.choices["inverse"]): cell.measured
        for cell in found.grid
        if cell.choices["flip"] == "flip" and cell.choices["nms"].startswith("OKS")
    }
    shifted, dark = "shifted by one cell", "DARK (kernel 3)"
    right = by_choice[shifted, dark, "affine"]
    # The corner-aligned way back alone costs 4.7 points, as recorded for these weights.
    assert right - by_choice[shifted, dark, "udp"] == pytest.approx(4.7, abs=0.1)
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    shown = readme.partition("<!-- output: explain tinypose_256x192 -->\n```text\n")[2]
    assert found.sentence() == shown.partition("\n```")[0]
    # Without the shift it costs little: the two errors nearly cancel, which the shares show.
    assert right - by_choice["no shift", dark, "udp"] < 1.5


def test_what_cannot_be_explained_is_said():
    with pytest.raises(UserError, match="--metric"):
        explain(
            EvalRequest.of(model="demo_s", limit=3, protocol="demo_gt_noflip"), metric="PCKh@0.5"
        )
    with pytest.raises(UserError, match="whole images"):
        explain(EvalRequest.of(model="higherhrnet_hrnet_w32_512", protocol="common"))
