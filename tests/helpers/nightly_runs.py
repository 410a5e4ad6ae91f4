"""Made-up nightly runs: work that answers at once, and does what a test tells it to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

import make_records as make
import numpy as np

from posebench.nightly import history, nightly_run, pages, state
from posebench.nightly.nightly_run import NightlyRun, run_nightly
from posebench.nightly.pages import publish
from posebench.nightly.suite import Cell, Run, Suite, cells
from posebench.registry.loader import shipped_registry
from posebench.types.record import ClaimResult, Record
from posebench.types.timing import BenchmarkConfiguration, Timings

START = datetime(2025, 1, 1, 3, tzinfo=timezone.utc)
FACTS = {"code of inference": "11111111", "code of networks": "22222222", "commit": "abc"}
MODELS = ("demo/demo_s", "demo/demo_m", "demo/demo_bottom_up")
# 1 % between nights
NOISE = np.random.default_rng(5).normal(1, 0.01, 4096)


def suite(**changes) -> Suite:
    runs = (Run(entries=MODELS), Run(entries=MODELS[:2], accuracy=False, speed=True))
    return Suite(**({"name": "made_up", "exact": True, "runs": runs} | changes))


def cells_of(what: Suite) -> tuple[Cell, ...]:
    return cells(what, shipped_registry())


class Work:
    """Measures what the claims say, and what it is told to.

    Attributes:
        score: (entry, protocol) -> points to add.
        rate: entry -> factor.
        broken: entry -> why it fails.
        changes: Fields of the record.
        measured: Keys of what was asked for.
    """

    def __init__(
        self,
        night: int = 0,
        *,
        score: Callable[[str, str], float] = lambda entry, protocol: 0.0,
        rate: Callable[[str], float] = lambda entry: 1.0,
        broken: Mapping[str, str] | None = None,
        flags: tuple[str, ...] = (),
        **changes,
    ) -> None:
        self.night, self.score, self.rate = night, score, rate
        self.broken, self.flags, self.changes = broken or {}, flags, changes
        self.measured: list[str] = []

    def evaluate(self, wanted, folder):
        for cell in wanted:
            self.measured.append(cell.key)
            yield cell, self.broken.get(cell.entry.key) or self.evaluation(cell)

    def time(self, cell):
        self.measured.append(cell.key)
        return self.broken.get(cell.entry.key) or self.timing(cell)

    @property
    def when(self) -> datetime:
        return START + timedelta(days=self.night, minutes=5)

    def evaluation(self, cell: Cell) -> Record:
        results = tuple(
            ClaimResult(
                claim=claim,
                measured=(value := claim.value + self.score(cell.entry.key, claim.protocol)),
                difference=value - claim.value,
                verdict="reproduced" if abs(value - claim.value) < 0.06 else "differs",
            )
            for claim in cell.entry.claims
        )
        fields = {"entry": cell.entry, "claims": results, "created": self.when}
        return make.evaluation(**(fields | self.changes))

    def timing(self, cell: Cell) -> Record:
        noise = NOISE[(self.night * 7 + len(self.measured)) % len(NOISE)]
        rate = 900.0 * self.rate(cell.entry.key) * noise
        network = _timings(rate, self.flags, ceiling=50e9)
        whole = _timings(rate / 3, self.flags, scope="end to end")
        asked = BenchmarkConfiguration(device="cpu", hardware="a processor, 2 cores", batch_size=16)
        fields = {"entry": cell.entry, "created": self.when, "cell": asked, "end_to_end": whole}
        return make.timing(**(fields | self.changes | {"timings": network}))


def _timings(rate: float, flags: tuple[str, ...], **changes) -> Timings:
    return make.timing(persons_per_second=rate).timings.model_copy(
        update={"flags": flags} | changes
    )


def run(
    folder: Path,
    work: Work,
    *,
    what: Suite | None = None,
    facts: Mapping[str, str] = FACTS,
    site: Callable | None = None,
    accept: bool = False,
) -> NightlyRun:
    """A night in a folder; the site is left out unless it is given."""
    what = what or suite()
    return run_nightly(
        what,
        cells_of(what),
        work,
        folder / "out",
        folder / "history",
        facts=facts,
        protocols=shipped_registry().protocols,
        accept=accept,
        publish=lambda night, output: publish(night, output, site=site or (lambda *_: None)),
        clock=lambda: START + timedelta(days=work.night),
    )


def bad(night: NightlyRun) -> set[tuple[str, str]]:
    """What is a regression."""
    return {(check.entry, check.what) for check in night.checks if check.bad}


def lower(entry: str, protocol: str) -> float:
    """One point less for one model: what ``Work.score`` may be."""
    return -1.0 * (entry == "demo/demo_m")


class Moment:
    """Does something before the n-th thing that a night does to a file.

    Args:
        moment: n, from 0; an append counts twice, half-way through and after it.
        then: What to do; a kill, say.
    """

    def __init__(self, moment: int, then: Callable[[], None]) -> None:
        self.left, self.then = moment, then

    def count(self) -> None:
        self.left -= 1
        if self.left == -1:
            self.then()

    def install(self, patch: Callable) -> None:
        """Put itself in front of all that writes; ``patch`` is ``setattr`` or monkeypatch's."""

        def before(function):
            def counted(*given, **named):
                self.count()
                return function(*given, **named)

            return counted

        for module in (state, pages):
            patch(module, "write_whole", before(module.write_whole))
        patch(pages, "save_all", before(pages.save_all))
        patch(state.State, "remove", before(state.State.remove))
        patch(nightly_run, "append", self.half(history.append))

    def half(self, append):
        def counted(file, observations):
            append(file, observations)
            whole = file.read_bytes()
            # in place: a kill in the middle of this must not cost earlier lines either
            os.truncate(file, len(whole) - len(whole.splitlines()[-1]) // 2)
            self.count()
            append(file, observations)
            self.count()

        return counted
