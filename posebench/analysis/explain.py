"""``explain``: which choices of evaluation stand between a claim and another protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

from posebench.analysis.shapley import PLAYERS, differing, mixed, shapley, subsets
from posebench.evaluation.outcome import evaluate_protocols
from posebench.evaluation.prepare import prepare
from posebench.evaluation.protocols import claim_protocols, common_protocol
from posebench.progress import Progress
from posebench.records.formatting import describe_axis, is_joint_metric
from posebench.registry import load_registry
from posebench.types.entry import Claim, Entry
from posebench.types.errors import UserError
from posebench.types.explanation import Cell, Explanation, Share
from posebench.types.protocol import DECODE_OF_OUTPUT, Protocol
from posebench.types.request import EvalRequest
from posebench.types.suggestions import suggestion

# What the grid tries besides the two protocols' own choices: player -> changes.
TRIED: dict[str, tuple[dict[str, Any], ...]] = {
    "flip": ({"flip": True}, {"flip": False}),
    "shift": ({"shift": True}, {"shift": False}),
    "decode": (
        {"decode": "quarter", "flip_merge": "heatmaps"},
        {"decode": "dark", "dark_kernel": 3, "flip_merge": "heatmaps"},
    ),
    "inverse": ({"inverse": "affine"}, {"inverse": "udp"}),
    "rescoring": ({"rescoring": "box_times_mean_visible", "visibility_threshold": 0.2},),
    "nms": ({"nms": "oks", "nms_threshold": 0.9}, {"nms": "none"}),
}


def explain(
    request: EvalRequest, *, metric: str | None = None, progress: Progress | None = None
) -> Explanation:
    """Split the points between the claim's protocol and another one over the choices.

    One forward pass for each source of boxes; everything else is computed from it.

    Args:
        request: Model and data; its protocol and choices are the other protocol.
        metric: The primary claim's if not given.
        progress: Called with (what, done, all).

    Raises:
        UserError: As ``evaluate``; also for a model of whole images.
    """
    known = load_registry(tuple(request.registry))
    entry = known.find(request.model, request.dataset)
    start = _start(entry, claim_protocols(entry, known) or (common_protocol(entry, known),))
    prepared = prepare(request, progress=progress, with_intervals=False)
    end = prepared.protocols[0]
    claim = _claim(entry, start, metric)
    name = metric or (claim.metric if claim else "AP")
    grid = _grid(start, end)
    chain = {chosen: mixed(start, end, chosen) for chosen in subsets(differing(start, end))}
    wanted = {p.hash: p for p in (*chain.values(), *grid, start, end)}
    outcomes = dict(zip(wanted, evaluate_protocols(prepared, list(wanted.values())), strict=True))
    measured = {key: outcome.scores.values.get(name) for key, outcome in outcomes.items()}
    for each in (start, end):
        if measured[each.hash] is None:
            values = outcomes[each.hash].scores.values
            metrics = [metric for metric in values if not is_joint_metric(metric)]
            raise UserError(
                f"{each.scorer} does not measure {name}.",
                f"{suggestion(name, metrics)} Give another --metric: {', '.join(metrics)}.".strip(),
            )
    shares = shapley(differing(start, end), lambda chosen: _value(measured[chain[chosen].hash]))
    met = outcomes[start.hash].protocol
    return Explanation(
        entry=entry.key,
        dataset=prepared.dataset.id,
        metric=name,
        claim=claim.value if claim else None,
        start=met,
        end=outcomes[end.hash].protocol,
        measured_start=_value(measured[start.hash]),
        measured_end=_value(measured[end.hash]),
        shares=tuple(
            Share(axis=p, start=describe_axis(start, p), end=describe_axis(end, p), value=value)
            for p, value in sorted(shares.items(), key=lambda item: -abs(item[1]))
        ),
        grid=_cells(grid, measured, claim.value if claim else None),
        unmet=tuple(f"{a}: {old} -> {new}" for a, (old, new) in start.differences(met).items()),
        persons=outcomes[start.hash].scores.persons,
        complete=prepared.dataset.complete,
        notes=prepared.model.notes,
    )


def _start(entry: Entry, protocols: Sequence[Protocol]) -> Protocol:
    """The primary claim's protocol, if it is one of boxes."""
    start = protocols[0]
    if start.boxes == "none":
        raise UserError(
            f"{entry.key} groups joints of whole images; explain compares choices of boxes.",
            "Take a top-down model.",
        )
    return start


def _claim(entry: Entry, start: Protocol, metric: str | None) -> Claim | None:
    """The claim made under the start protocol, of the metric asked for."""
    made = [c for c in entry.claims if c.is_judged and c.protocol == start.key]
    return next((c for c in made if metric in (None, c.metric)), None)


def _grid(start: Protocol, end: Protocol) -> list[Protocol]:
    """Every combination of the two protocols' choices and those of ``TRIED``, each once."""
    ranked = start.scorer != "mpii_pckh"  # PCKh looks at no score and keeps everybody
    tried = {p: c for p, c in TRIED.items() if ranked or p not in ("rescoring", "nms")}
    if start.inverse == "alpha_pose":
        del tried["inverse"]
    if start.decode in DECODE_OF_OUTPUT.values():
        del tried["decode"]
    values = []
    for player, axes in PLAYERS.items():
        if player == "scorer":
            continue
        own = [{axis: getattr(p, axis) for axis in axes} for p in (start, end)]
        other = [own[0] | changes for changes in tried.get(player, ())]
        values.append(list({str(v): v for v in (*own, *other)}.values()))
    found: dict[str, Protocol] = {}
    for combination in product(*values):
        changes = {axis: value for part in combination for axis, value in part.items()}
        if not changes["flip"]:
            changes |= {"shift": True, "flip_merge": "heatmaps"}  # without effect then
        mixture = start.model_copy(update=changes)
        found.setdefault(mixture.hash, mixture)
    return list(found.values())


def _cells(
    grid: Sequence[Protocol], measured: dict[str, float | None], claim: float | None
) -> tuple[Cell, ...]:
    """The grid's results, nearest to the claim first, or best first without a claim."""
    cells = []
    for protocol in grid:
        value = _known(measured[protocol.hash])
        distance = None if value is None or claim is None else value - claim
        words = {
            player: describe_axis(protocol, player) for player in PLAYERS if player != "scorer"
        }
        if not protocol.flip:
            words["shift"] = "-"
        cells.append(Cell(choices=words, measured=value, distance=distance))

    def order(cell: Cell) -> float:
        if cell.measured is None:
            return float("inf")
        return -cell.measured if cell.distance is None else abs(cell.distance)

    return tuple(sorted(cells, key=order))


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _value(value: float | None) -> float:
    if _known(value) is None:
        raise UserError("Nothing that counts was annotated: there is no number to explain.")
    return float(value or 0.0)
