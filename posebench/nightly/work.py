"""The measuring itself: by a launcher; each timing in a process of its own, here or on a node."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from posebench.nightly.suite import Cell
from posebench.types.errors import UserError
from posebench.types.record import Record

if TYPE_CHECKING:
    from posebench.run.request import Request


class Work(Protocol):
    """Measures cells; what goes wrong with one of them is its answer, in words."""

    def evaluate(self, cells: Sequence[Cell], folder: Path) -> Iterator[tuple[Cell, Record | str]]:
        """Evaluate cells; finished parts that lie in the folder are not estimated again."""
        ...

    def time(self, cell: Cell) -> Record | str:
        """Time a cell."""
        ...


class Measuring:
    """Measures for real.

    Args:
        launcher: Of the cluster to measure on; None measures in this process.
        registry: Folders of further rows.
        shares: Tasks an evaluation.
        report: Of ``posebench.launch.many.evaluate_all``.
        command: For the records.
    """

    def __init__(
        self,
        launcher: Any,
        *,
        registry: Sequence[Path] = (),
        shares: int = 1,
        report: Any = None,
        command: str = "",
    ) -> None:
        self._launcher = launcher
        self._registry = tuple(registry)
        self._shares = shares
        self._report = report
        self._command = command

    def evaluate(self, cells: Sequence[Cell], folder: Path) -> Iterator[tuple[Cell, Record | str]]:
        """Yield what each cell gave, in their order."""
        from posebench.launch.many import evaluate_all

        found = evaluate_all(
            [self._request(cell) for cell in cells],
            self._launcher,
            folder,
            shares=self._shares,
            report=self._report,
            command=self._command,
        )
        yield from zip(cells, found, strict=True)

    def time(self, cell: Cell) -> Record | str:
        """Return a record, a failure in it or not; words where this machine cannot do it."""
        run = cell.run
        asked = {
            "device": cell.device,
            "batch_size": run.batch_size,
            "threads": run.threads,
            "quick": run.quick,
            "images": None,
        }
        try:
            return self._timed(cell.entry.key, asked)
        except UserError as error:
            return str(error)
        except Exception as error:  # one broken entry must not end a night's work
            return f"{type(error).__name__}: {error}"

    def _timed(self, model: str, asked: dict[str, Any]) -> Record:
        """Time here, or on a node of the cluster that evaluations run on."""
        if not hasattr(self._launcher, "nodes"):
            from posebench.run.speed import measure_speed

            return measure_speed(model, registry=self._registry, command=self._command, **asked)
        from posebench.launch.speed import Order, measure_on_ray

        with tempfile.TemporaryDirectory(prefix="posebench-") as folder:
            order = Order(
                asked,
                Path(folder),
                again=True,
                registry=self._registry,
                command=self._command,
            )
            (timed,) = measure_on_ray(self._launcher, [model], order)
        return timed.record

    def _request(self, cell: Cell) -> Request:
        from posebench.run.request import Request

        run = cell.run
        return Request(
            cell.entry.key,
            dataset=cell.dataset,
            protocol=run.protocol,
            checkpoint=cell.path(run.checkpoint),
            data_root=cell.path(run.data_root),
            device=cell.device,
            batch_size=run.batch_size,
            threads=run.threads,
            limit=run.limit,
            registry=self._registry,
        )
