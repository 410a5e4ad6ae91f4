"""``explain``: which choices of evaluation stand between a claim and another protocol."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from posebench.records.words import axis_words
from posebench.registry import load_registry
from posebench.run.data import Sources, open_dataset
from posebench.run.evaluation import dataset_of, model_of, options_of
from posebench.run.outcome import Job, ProgressOf, evaluate_protocols
from posebench.run.protocols import claim_protocols, common_protocol, requested_protocols, unbuilt
from posebench.run.shapley import PLAYERS, differing, mixed, shapley, subsets
from posebench.types.entry import Claim, Entry
from posebench.types.errors import UserError
from posebench.types.explanation import Cell, Explanation, Share
from posebench.types.protocol import Protocol

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
    model: str,
    *,
    dataset: str | None = None,
    protocol: str = "common",
    metric: str | None = None,
    boxes: Path | None = None,
    checkpoint: Path | None = None,
    data_root: Path | None = None,
    annotations: Path | None = None,
    images: Path | None = None,
    device: str = "cpu",
    batch_size: int = 64,
    threads: int | None = None,
    limit: int | None = None,
    registry: Sequence[Path] = (),
    progress: ProgressOf | None = None,
    **choices: Any,
) -> Explanation:
    """Split the points between the claim's protocol and another one over the choices.

    One forward pass for each source of boxes; everything else is computed from it.

    Args:
        model: Id or short name of the registry.
        dataset: Dataset of the entry.
        protocol: The other protocol: ``common`` or a name.
        metric: The primary claim's if not given.
        boxes: Detector's JSON file, where it is not in the usual place.
        checkpoint: Weights file as the zoo publishes it.
        data_root: As for ``evaluate``, as are the arguments up to ``progress``.
        annotations: Annotation file.
        images: Image folder.
        device: ``cpu`` or ``cuda:N``.
        batch_size: Persons a forward pass.
        threads: That read and crop.
        limit: Only the first images.
        registry: Folders of further rows.
        progress: Called with (what, done, all).
        **choices: Axes of the other protocol to override.

    Raises:
        UserError: As ``evaluate``; also where the claim's protocol is not built, or nothing
            differs.
    """
    known = load_registry(tuple(registry))
    entry = known.find(model, dataset)
    start = _start(entry, claim_protocols(entry, known) or (common_protocol(entry, known),))
    end = requested_protocols(entry, known, protocol, choices)[0]
    sources = Sources(data_root, annotations, images, boxes, limit)
    options = options_of(device, batch_size, threads)
    pose_model = model_of(entry, known, checkpoint)
    spec = dataset_of(known, entry, dataset)
    data = open_dataset(spec, sources, start.annotations)
    job = Job(pose_model, data, spec, sources, options, progress=progress, with_intervals=False)
    claim = _claim(entry, start, metric)
    name = metric or (claim.metric if claim else "AP")
    grid = _grid(start, end)
    chain = {chosen: mixed(start, end, chosen) for chosen in subsets(differing(start, end))}
    wanted = {p.hash: p for p in (*chain.values(), *grid, start, end)}
    outcomes = dict(zip(wanted, evaluate_protocols(job, list(wanted.values())), strict=True))
    measured = {key: outcome.scores.values.get(name) for key, outcome in outcomes.items()}
    for each in (start, end):
        if measured[each.hash] is None:
            raise UserError(f"{each.scorer} does not measure {name}.", "Give another --metric.")
    shares = shapley(differing(start, end), lambda chosen: _value(measured[chain[chosen].hash]))
    met = outcomes[start.hash].protocol
    return Explanation(
        entry=entry.key,
        dataset=data.id,
        metric=name,
        claim=claim.value if claim else None,
        start=met,
        end=outcomes[end.hash].protocol,
        measured_start=_value(measured[start.hash]),
        measured_end=_value(measured[end.hash]),
        shares=tuple(
            Share(axis=p, start=axis_words(start, p), end=axis_words(end, p), value=value)
            for p, value in sorted(shares.items(), key=lambda item: -abs(item[1]))
        ),
        grid=_cells(grid, measured, claim.value if claim else None),
        unmet=tuple(f"{a}: {old} -> {new}" for a, (old, new) in start.differences(met).items()),
        persons=outcomes[start.hash].scores.persons,
        complete=data.complete,
        notes=pose_model.notes,
    )


def _start(entry: Entry, protocols: Sequence[Protocol]) -> Protocol:
    """The primary claim's protocol, if it is one of boxes and built."""
    start = protocols[0]
    if start.boxes == "none":
        raise UserError(
            f"{entry.key} groups joints of whole images; explain compares choices of boxes.",
            "Take a top-down model.",
        )
    missing = unbuilt(start)
    if missing:
        raise UserError(f"Protocol {start.key} needs {', '.join(missing)}, which is not built yet.")
    return start


def _claim(entry: Entry, start: Protocol, metric: str | None) -> Claim | None:
    """The claim made under the start protocol, of the metric asked for."""
    made = [c for c in entry.claims if c.is_accuracy and c.protocol == start.key]
    return next((c for c in made if metric in (None, c.metric)), None)


def _grid(start: Protocol, end: Protocol) -> list[Protocol]:
    """Every combination of the two protocols' choices and those of ``TRIED``, each once."""
    ranked = start.scorer != "mpii_pckh"  # PCKh looks at no score and keeps everybody
    tried = {p: c for p, c in TRIED.items() if ranked or p not in ("rescoring", "nms")}
    if start.inverse == "alpha_pose":
        del tried["inverse"]
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
        words = {player: axis_words(protocol, player) for player in PLAYERS if player != "scorer"}
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
