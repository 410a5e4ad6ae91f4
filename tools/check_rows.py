"""Which rows of an optional zoo build with random weights and run one batch, and why not others."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from posebench.adapters import random_model
from posebench.evaluation.protocols import claim_protocols
from posebench.inference.bottom_up import check_maps, persons_of
from posebench.inference.outputs import check_output, decode_output
from posebench.networks import parameter_count
from posebench.progress import Progress
from posebench.registry import load_registry
from posebench.types.entry import Entry, InputSpec
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol

RUNS = "runs"


@dataclass(frozen=True)
class Checked:
    """One row.

    Attributes:
        id: Of the row.
        dataset: Of the row.
        output: What its network gives.
        decode: How its protocol decodes that.
        parameters: Elements of its parameters; None where it was not built.
        outcome: ``runs``, or why not.
        seconds: To build it and run a batch of one person with the mirrored crop.
    """

    id: str
    dataset: str
    output: str
    decode: str
    parameters: int | None
    outcome: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def check_zoo(
    zoo: str, *, names: Sequence[str] = (), progress: Progress | None = None
) -> tuple[Checked, ...]:
    """Build every row of a zoo with random weights and run one batch through it.

    Args:
        zoo: Its slug.
        names: Ids of single rows; all if none are given.
        progress: Called with (what, done, all).

    Raises:
        UserError: No such zoo, or no such row in it.
    """
    known = load_registry()
    entries = [entry for entry in known.entries if entry.zoo == zoo]
    if not entries:
        raise UserError(f"There is no zoo {zoo!r}.", f"Known: {', '.join(known.zoos)}.")
    if names:
        entries = [known.find(f"{zoo}/{name}") for name in names]
    found = []
    for done, entry in enumerate(entries):
        if progress:
            progress("building and running", done, len(entries))
        start = time.perf_counter()
        protocols = claim_protocols(entry, known)
        outcome, parameters = _outcome(entry, protocols)
        decode = protocols[0].decode if protocols else ""
        seconds = round(time.perf_counter() - start, 2)
        row = (entry.id, entry.dataset, entry.input.output, decode, parameters, outcome, seconds)
        found.append(Checked(*row))
    return tuple(found)


def _outcome(entry: Entry, protocols: Sequence[Protocol]) -> tuple[str, int | None]:
    if entry.status.startswith("broken: "):
        return entry.status.removeprefix("broken: "), None
    try:
        network = random_model(entry).network
    except UserError as error:
        return error.message, None
    parameters = parameter_count(network)
    try:
        if not _finite(network, entry.input, protocols):
            return "decodes to numbers that are not finite", parameters
    except UserError as error:
        return error.message, parameters
    except (RuntimeError, ValueError, TypeError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}", parameters
    return RUNS, parameters


@torch.inference_mode()
def _finite(network: nn.Module, spec: InputSpec, protocols: Sequence[Protocol]) -> bool:
    """Run noise through a network and its decodings: two crops, or a whole image."""
    generator = torch.Generator().manual_seed(0)
    # Batches in which nothing varies hide shapes that only fit one.
    inputs = torch.randn(1 if spec.whole else 2, 3, *spec.size, generator=generator)
    plain, name = network(inputs), type(network).__name__
    mirrored = None if spec.output == "persons" else network(inputs.flip(-1))
    if spec.whole:
        check_maps(plain, inputs, spec, name)
        people = [persons_of(plain, mirrored, protocol, spec) for protocol in protocols]
        return all(np.isfinite(p.xy).all() and np.isfinite(p.joint_scores).all() for p in people)
    check_output(plain, spec, name)
    decoded = [decode_output(plain, mirrored, protocol, spec) for protocol in protocols]
    return all(bool(torch.isfinite(values).all()) for pair in decoded for values in pair)


def table(rows: Sequence[Checked], zoo: str, command: str) -> str:
    """Return a page of markdown: counts first, then every row."""
    reasons = Counter(row.outcome for row in rows if row.outcome != RUNS)
    runs = len(rows) - sum(reasons.values())
    lines = [f"# Rows of {zoo} that build and run", "", f"Written by `{command}`.", ""]
    lines += [f"{runs} of {len(rows)} rows build with random weights and run one batch, with the"]
    lines += ["mirrored inputs and the decoding of their protocol. The others:", ""]
    lines += [f"- {count} x {reason}" for reason, count in reasons.most_common()]
    ways = Counter((row.output, row.decode) for row in rows if row.outcome == RUNS)
    lines += ["", "| network gives | decoding | rows |", "|---|---|---|"]
    lines += [f"| {output} | {decode} | {n} |" for (output, decode), n in ways.most_common()]
    lines += ["", "| row | dataset | parameters | outcome |", "|---|---|---|---|"]
    for row in rows:
        size = "" if row.parameters is None else f"{row.parameters / 1e6:.2f} M"
        lines.append(f"| `{row.id}` | {row.dataset} | {size} | {row.outcome} |")
    return "\n".join(lines) + "\n"


def write_table(path: Path, rows: Sequence[Checked], zoo: str, command: str) -> None:
    """Write the page of ``table``."""
    path.write_text(table(rows, zoo, command), encoding="utf-8")
