"""Outputs recorded from the zoos' own code, and which of them each registry row is compared with.

A clone and an installed package carry samples of each output. The full records are found beside
the repository, or where ``POSEBENCH_SHARED`` says.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posebench.types.entry import Entry
from posebench.types.errors import UserError

_PACKAGE = Path(__file__).resolve().parent.parent
ROWS = "rows.json"
SHARED = "POSEBENCH_SHARED"


@dataclass(frozen=True)
class Output:
    """One recorded output, float32.

    Attributes:
        shape: (N, channels, height, width).
        mean: Over all elements.
        std: The same; differences are given in this unit.
        positions: Flat indices of the samples.
        values: There.
        file: Name of the full output.
    """

    shape: tuple[int, ...]
    mean: float
    std: float
    positions: tuple[int, ...]
    values: tuple[float, ...]
    file: str

    def difference(self, output: NDArray[np.float32]) -> float:
        """Return the largest difference to the samples and to the mean, over ``std``."""
        samples = output.reshape(-1)[list(self.positions)].astype(np.float64)
        worst = float(np.abs(samples - np.array(self.values)).max())
        return max(worst, abs(float(output.mean(dtype=np.float64)) - self.mean)) / self.std


@dataclass(frozen=True)
class Golden:
    """What one original computes from recomputed weights.

    Attributes:
        id: ``<zoo>/<model>`` of the record.
        gain: Of the fill, see ``posebench.networks.deterministic_weights``.
        input: (N, 3, H, W).
        weights_sha256: Digest of the filled weights under their published names: it is met only
            with the names and layouts of the original's manifest.
        outputs: In the network's order.
    """

    id: str
    gain: float
    input: tuple[int, int, int, int]
    weights_sha256: str
    outputs: tuple[Output, ...]

    @property
    def full(self) -> Path | None:
        """Folder of the full record, where there is one on this machine."""
        shared = shared_folder()
        folder = shared / "goldens" / self.id if shared else None
        return folder if folder and (folder / "manifest.json").is_file() else None


@dataclass(frozen=True)
class Recording:
    """What a registry row is compared with.

    Attributes:
        golden: None where nothing was recorded for the row.
        arguments: Of the network where the recorded one differs from the row's in width.
        parameters: That the original has, where they were counted and no output recorded.
    """

    golden: Golden | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    parameters: int | None = None


def find_recording(entry: Entry) -> Recording:
    """Return what a row is compared with.

    A row that the table does not name shares the record of one with the same network.
    """
    row = _rows().get(entry.key)
    if row is None:
        row = next((_rows()[key] for key in _same_network(entry) if key in _rows()), None)
    if row is None:
        return Recording()
    golden = load_golden(row["golden"]) if row["golden"] else None
    return Recording(golden, row.get("arguments", {}), row.get("parameters"))


def _same_network(entry: Entry) -> list[str]:
    from posebench.registry.loader import shipped_registry

    return [
        other.key
        for other in shipped_registry().entries
        if (other.network, other.adapter) == (entry.network, entry.adapter)
        and (_rows().get(other.key) or {}).get("golden")
    ]


@cache
def load_golden(name: str) -> Golden:
    """Read a compact record.

    Raises:
        UserError: Nothing was recorded under that name.
    """
    path = goldens_folder() / f"{name}.json"
    if not path.is_file():
        raise UserError(
            f"The record {name} is missing.", "Install posebench again, or restore tests/goldens."
        )
    content = json.loads(path.read_text())
    several = content.get("outputs", [content])
    return Golden(
        id=name,
        gain=content["gain"],
        input=tuple(content["input"]),
        weights_sha256=content["weights_sha256"],
        outputs=tuple(_output(each, index, len(several)) for index, each in enumerate(several)),
    )


def _output(content: Mapping[str, Any], index: int, count: int) -> Output:
    return Output(
        shape=tuple(content["output"]["shape"]),
        mean=content["output"]["mean"],
        std=content["output"]["std"],
        positions=tuple(content["positions"]),
        values=tuple(content["values"]),
        file="output.npy" if count == 1 else f"output_{index}.npy",
    )


def goldens_folder() -> Path:
    """Return the folder of compact records: inside the wheel, or in the repository."""
    inside = _PACKAGE / "_goldens"
    return inside if inside.is_dir() else _PACKAGE.parent / "tests" / "goldens"


def shared_folder() -> Path | None:
    """Return the folder of full records, None where there is none.

    Raises:
        UserError: ``POSEBENCH_SHARED`` names no folder.
    """
    named = os.environ.get(SHARED)
    if named:
        if not Path(named).is_dir():
            raise UserError(
                f"{SHARED} is '{named}', which is not a folder.", "Correct or unset it."
            )
        return Path(named)
    beside = _PACKAGE.parent.parent / "shared"
    return beside if (_PACKAGE.parent / "registry").is_dir() and beside.is_dir() else None


@cache
def _rows() -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = json.loads((goldens_folder() / ROWS).read_text())
    return rows
