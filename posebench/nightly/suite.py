"""Suites: YAML files that say what a night measures, and when a difference is a change."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from pydantic import Field

from posebench.registry import Registry
from posebench.registry.documents import read
from posebench.registry.loader import shipped_folder
from posebench.registry.validate import checked, mapping, suggestion
from posebench.types.base import Frozen
from posebench.types.entry import Entry
from posebench.types.errors import UserError

FOLDER = "suites"  # of a registry folder; its files are suites that a bare name finds


class SpeedRule(Frozen):
    """When a timing is slower than it was.

    Attributes:
        window: How many good nights it is compared with.
        nights: Fewer than these, and their spread is not known: ``first_drop`` holds.
        drop: Share of the usual rate that a loss has to exceed.
        first_drop: The same while there are few nights.
        spreads: How many robust standard deviations (1.4826 MAD) it has to exceed besides.
        repeats: How often a timing that looks slower is made again before it counts.
    """

    window: int = Field(default=20, ge=2)
    nights: int = Field(default=5, ge=2)
    drop: float = Field(default=0.05, gt=0, lt=1)
    first_drop: float = Field(default=0.3, gt=0, lt=1)
    spreads: float = Field(default=3.0, gt=0)
    repeats: int = Field(default=2, ge=0)


class Run(Frozen):
    """One block of a suite: every entry on every dataset and device.

    Attributes:
        entries: ``zoo/id``; ``*`` and ``?`` as in a shell.
        datasets: To evaluate on; by default each entry's own.
        protocol: ``claim``, ``common`` or a protocol's name.
        devices: ``cpu``, ``cuda:N``.
        accuracy: Whether to evaluate.
        speed: Whether to time.
        limit: Only so many images, see ``Sample``.
        batch_size: Persons in a batch.
        threads: That read and crop; of the network too where it is timed on a CPU.
        quick: Fewer iterations of a timing.
        checkpoint: Weights file, relative to the suite; of a single entry only.
        data_root: Folder with the dataset, relative to the suite.
    """

    entries: tuple[str, ...] = Field(min_length=1)
    datasets: tuple[str, ...] = ()
    protocol: str = "claim"
    devices: tuple[str, ...] = ("cpu",)
    accuracy: bool = True
    speed: bool = False
    limit: int | None = Field(default=None, ge=1)
    batch_size: int = Field(default=64, ge=1)
    threads: int | None = Field(default=None, ge=1)
    quick: bool = False
    checkpoint: Path | None = None
    data_root: Path | None = None


class Suite(Frozen):
    """What a night measures.

    Attributes:
        name: In titles and file names.
        exact: Any other accuracy than that of the last good night is a change.
        tolerance: Percent points that accuracy may lose otherwise.
        claims_must_hold: A claim that differs is a regression on the first night too.
        speed: When a timing is slower.
    """

    name: str = Field(pattern=r"^[a-z0-9_.-]+$")
    exact: bool = False
    tolerance: float = Field(default=0.1, ge=0)
    claims_must_hold: bool = False
    speed: SpeedRule = SpeedRule()
    runs: tuple[Run, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Cell:
    """One thing to measure.

    Attributes:
        kind: ``eval`` or ``speed``.
        dataset: To evaluate on.
        run: The block it comes from.
    """

    kind: Literal["eval", "speed"]
    entry: Entry
    dataset: str
    device: str
    run: Run

    @property
    def key(self) -> str:
        """What is measured, in words that stay the same from night to night."""
        run = self.run
        if self.kind == "speed":
            words = [self.device, f"batch {run.batch_size}"]
            words += [f"{run.threads} threads"] if run.threads else []
            words += ["quick"] * run.quick
            return f"speed {self.entry.key}, {', '.join(words)}"
        words = [run.protocol, self.device]
        words += [f"batch {run.batch_size}"] if run.batch_size != 64 else []
        words += [f"{run.limit} images by SHA-256 of the id"] if run.limit else []
        return f"eval {self.entry.key} on {self.dataset}, {', '.join(words)}"

    @property
    def slug(self) -> str:
        """The key as a file name."""
        digest = hashlib.sha256(self.key.encode()).hexdigest()[:8]
        return f"{self.kind}-{self.entry.zoo}-{self.entry.id}-{digest}"


def read_suite(name: str) -> Suite:
    """Read a suite: a file, or the name of one that posebench ships.

    Returns:
        The suite; its paths are seen from the file's folder.

    Raises:
        UserError: There is no such suite, or something is wrong with it.
    """
    path = Path(name)
    shipped = shipped_folder() / FOLDER
    if not path.suffix and not path.exists():
        path = shipped / f"{name}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in shipped.glob("*.yaml"))
        hint = suggestion(name, known) or f"Give a YAML file, or one of: {', '.join(known)}."
        raise UserError(f"There is no suite {name!r}.", hint)
    document = read(path)
    suite = checked(document, Suite, (), mapping(document))
    return suite.model_copy(update={"runs": tuple(_from(path.parent, run) for run in suite.runs)})


def _from(folder: Path, run: Run) -> Run:
    paths = {"checkpoint": run.checkpoint, "data_root": run.data_root}
    return run.model_copy(update={n: folder / path for n, path in paths.items() if path})


def cells(suite: Suite, registry: Registry) -> tuple[Cell, ...]:
    """Return everything that a suite measures, each once, evaluations first.

    Raises:
        UserError: It measures nothing, a pattern fits no entry, a checkpoint is given for
            several, or one thing is measured in two ways.
    """
    found: dict[str, Cell] = {}
    for cell in (cell for run in suite.runs for cell in _of_run(run, registry)):
        if cell.key in found and found[cell.key].run != cell.run:
            raise UserError(
                f"The suite {suite.name} measures twice, in two ways: {cell.key}.",
                "Take the entry out of one of its runs.",
            )
        found[cell.key] = cell
    if not found:
        raise UserError(
            f"The suite {suite.name} measures nothing.",
            "Set accuracy: true or speed: true in one of its runs, and name a device.",
        )
    return tuple(sorted(found.values(), key=lambda cell: cell.kind))


def _of_run(run: Run, registry: Registry) -> Iterator[Cell]:
    entries = _matching(run.entries, registry)
    if run.checkpoint is not None and len(entries) > 1:
        raise UserError(
            f"The checkpoint {run.checkpoint.name} is given for {len(entries)} entries.",
            "Give each of them a run of its own.",
        )
    for entry in entries:
        for device in run.devices:
            if run.accuracy:
                for dataset in run.datasets or (entry.dataset,):
                    registry.dataset(dataset)
                    yield Cell("eval", entry, dataset, device, run)
            if run.speed:
                yield Cell("speed", entry, entry.dataset, device, run)


def _matching(patterns: Sequence[str], registry: Registry) -> list[Entry]:
    """Return the entries that fit, each once, in the order of the patterns."""
    known = {entry.key: entry for entry in registry.entries}
    found: dict[str, Entry] = {}
    for pattern in patterns:
        fitting = {key: known[key] for key in known if fnmatchcase(key, pattern)}
        if not fitting:
            hint = suggestion(pattern, known) or "`posebench list` shows every entry."
            raise UserError(f"The suite's {pattern!r} fits no entry of the registry.", hint)
        found |= fitting
    return list(found.values())
