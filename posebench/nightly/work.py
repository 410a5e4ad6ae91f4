"""The measuring itself: by a launcher; each timing in a process of its own, here or on a node."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posebench.nightly.suite import Cell
from posebench.types.errors import UserError
from posebench.types.record import Record
from posebench.types.request import EvalRequest, SpeedRequest


@dataclass(frozen=True)
class Measuring:
    """Measures cells; what goes wrong with one of them is its answer, as text.

    Attributes:
        launcher: Of the cluster to measure on; None measures in this process.
        registry: Folders of further rows.
        shares: Tasks an evaluation.
        report: Of ``posebench.launch.many.evaluate_all``.
        command: For the records.
    """

    launcher: Any
    registry: tuple[Path, ...] = ()
    shares: int = 1
    report: Any = None
    command: str = ""

    def evaluate(self, cells: Sequence[Cell], folder: Path) -> Iterator[tuple[Cell, Record | str]]:
        """Yield what each cell gave, in their order.

        Args:
            cells: To evaluate.
            folder: For parts; those that are finished there are not estimated again.
        """
        from posebench.launch.many import evaluate_all

        found = evaluate_all(
            [self._request(cell) for cell in cells],
            self.launcher,
            folder,
            shares=self.shares,
            report=self.report,
            command=self.command,
        )
        yield from zip(cells, found, strict=True)

    def time(self, cell: Cell) -> Record | str:
        """Return a record, a failure in it or not; text where this machine cannot do it."""
        run = cell.run
        try:
            request = SpeedRequest(
                models=(cell.entry.key,),
                registry=self.registry,
                device=cell.device,
                batch_size=run.batch_size,
                threads=run.threads,
                quick=run.quick,
            )
            return self._timed(request)
        except UserError as error:
            return str(error)
        except Exception as error:  # one broken entry must not end a night's work
            return f"{type(error).__name__}: {error}"

    def _timed(self, request: SpeedRequest) -> Record:
        """Time here, or on a node of the cluster that evaluations run on."""
        with tempfile.TemporaryDirectory(prefix="posebench-") as folder:
            if hasattr(self.launcher, "nodes"):
                from posebench.launch.speed import Order, measure_on_ray

                order = Order(request, Path(folder), again=True, command=self.command)
                (timed,) = measure_on_ray(self.launcher, order)
            else:
                from posebench.timing.measure import measure_speeds

                (timed,) = measure_speeds(request, output=Path(folder), command=self.command)
        return timed.record

    def _request(self, cell: Cell) -> EvalRequest:
        run = cell.run
        return EvalRequest(
            model=cell.entry.key,
            dataset=cell.dataset,
            protocol=run.protocol,
            checkpoint=run.checkpoint,
            data_root=run.data_root,
            device=cell.device,
            batch_size=run.batch_size,
            threads=run.threads,
            limit=run.limit,
            registry=self.registry,
        )
