"""One nightly run: measure what is missing, compare, append to the histories, write the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from posebench.nightly.changes import Check, baseline, compare, disturbed
from posebench.nightly.history import SUFFIX, append, read_history
from posebench.nightly.observation import Observation, observe
from posebench.nightly.reasons import changed_facts, with_reasons
from posebench.nightly.state import State
from posebench.nightly.suite import Cell, Suite
from posebench.nightly.work import Measuring
from posebench.progress import Progress
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol
from posebench.types.record import Record

FINE, REGRESSION, NOT_RUN = 0, 1, 2
WORK = "work"


@dataclass(frozen=True)
class NightlyRun:
    """What a nightly run found.

    Attributes:
        id: When it began, UTC.
        observations: This night's, one a cell.
        checks: Every number, compared with earlier nights.
        records: Behind the observations; cells that failed have none.
        past: Key -> good and other nights before this one, from old to new.
        changed: Of what surrounds the numbers: (fact, old -> new), whether or not one moved.
    """

    suite: Suite
    id: str
    observations: tuple[Observation, ...]
    checks: tuple[Check, ...]
    records: tuple[Record, ...]
    past: Mapping[str, Sequence[Observation]]
    changed: tuple[tuple[str, str], ...]

    @property
    def status(self) -> int:
        """0 fine, 1 a regression, 2 something could not be run."""
        if any(check.bad for check in self.checks):
            return REGRESSION
        return NOT_RUN if any(check.state == "failed" for check in self.checks) else FINE


def run_nightly(
    suite: Suite,
    cells: Sequence[Cell],
    work: Measuring,
    output: Path,
    history: Path,
    *,
    facts: Mapping[str, str],
    protocols: Mapping[str, Protocol],
    accept: bool = False,
    say: Progress | None = None,
    publish: Callable[[NightlyRun, Path], None],
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> NightlyRun:
    """Make a nightly run, or the rest of one that was interrupted.

    Whenever it is killed, the same call later measures only what is missing and ends with the
    same histories and pages.

    Args:
        suite: With its thresholds.
        cells: What to measure.
        work: Measures.
        output: Folder for pages, and for what is under way.
        history: Folder of the histories.
        facts: Of the code, for the observations.
        protocols: ``name@version`` -> protocol.
        accept: Take this night's numbers for the usual ones from now on.
        say: Called with (what, done, all).
        publish: Writes the pages into the output folder.
        clock: Tells the time.

    Raises:
        UserError: Another run is under way there, or something cannot be read or written.
    """
    output.mkdir(parents=True, exist_ok=True)
    files = [history / f"{cell.slug}{SUFFIX}" for cell in cells]
    try:
        with FileLock(output / ".nightly.lock").acquire(timeout=0):
            past = [read_history(file) for file in files]  # a damaged one is told before hours pass
            rows = [[cell.key, cell.entry.model_dump(mode="json")] for cell in cells]
            what = [suite.model_dump(mode="json"), rows, dict(facts)]
            state = State(output / WORK, what, clock())
            night = _NightlyRun(suite, tuple(zip(cells, past, strict=True)), state, facts, clock)
            night.measure(work, say or (lambda *_: None))
            run = night.judged(protocols)
            for file, line in zip(files, _marked(run, accept=accept), strict=True):
                append(file, [line])
            publish(run, output)
            state.remove()
            return run
    except Timeout as error:
        raise UserError(
            f"Another nightly is at work in {output}.",
            "Wait for it, or give another folder with --output.",
        ) from error


@dataclass(frozen=True)
class _NightlyRun:
    """A run under way: its cells with their histories, and what they gave on the disk."""

    suite: Suite
    cells: Sequence[tuple[Cell, Sequence[Observation]]]
    state: State
    facts: Mapping[str, str]
    clock: Callable[[], datetime]

    def measure(self, work: Measuring, say: Progress) -> None:
        """Measure what is missing."""
        missing = [each for each in self.cells if self.state.kept(each[0]) is None]
        evaluations = [cell for cell, _ in missing if cell.kind == "eval"]
        if evaluations:
            say("evaluating", 0, len(evaluations))
            for cell, found in work.evaluate(evaluations, self.state.parts):
                self.state.keep(cell, found, self.clock())
        timings = [each for each in missing if each[0].kind == "speed"]
        for done, (cell, past) in enumerate(timings):
            say(f"timing {cell.entry.key}", done, len(timings))
            self.state.keep(cell, self._timed(cell, past, work), self.clock())

    def _timed(self, cell: Cell, past: Sequence[Observation], work: Measuring) -> Record | str:
        """Time again what looks slower, and take the middle one: one timing proves nothing."""
        tries: list[tuple[bool, float, Record]] = []
        for _ in range(1 + self.suite.speed.repeats):
            found = work.time(cell)
            if isinstance(found, str) or found.failure or found.timings is None:
                return found
            seen = observe(cell, found, self.state.night, self.facts, found.created)
            checks = compare(seen, past, self.suite)
            if not any(check.bad or check.state == "not judged" for check in checks):
                return found
            tries.append((bool(disturbed(seen)), found.timings.persons_per_second, found))
        calm = [each for each in tries if not each[0]] or tries
        return sorted(calm, key=lambda each: each[1])[len(calm) // 2][2]

    def judged(self, protocols: Mapping[str, Protocol]) -> NightlyRun:
        """Compare everything that was measured with the histories.

        Raises:
            UserError: What a cell gave is missing.
        """
        checks: list[Check] = []
        records: list[Record] = []
        now, before, past = {}, {}, {}
        for cell, earlier in self.cells:
            if (kept := self.state.kept(cell)) is None:
                raise UserError(f"What {cell.key} gave is gone.", "Run the same command again.")
            seen = observe(cell, kept[0], self.state.night, self.facts, kept[1])
            records += [kept[0]] if isinstance(kept[0], Record) else []
            checks += compare(seen, earlier, self.suite)
            now[seen.key] = seen
            past[seen.key] = [o for o in earlier if o.key == seen.key and o.night != seen.night]
            if good := baseline(seen, earlier):
                before[seen.key] = good[-1]
        ran = [key for key in before if now[key].failure is None]  # a failure knows no facts
        changed = {f: c for key in ran for f, c in changed_facts(now[key], before[key])}
        return NightlyRun(
            suite=self.suite,
            id=self.state.night,
            observations=tuple(now.values()),
            checks=tuple(with_reasons(checks, now, before, protocols)),
            records=tuple(records),
            past=past,
            changed=tuple(changed.items()),
        )


def _marked(run: NightlyRun, *, accept: bool) -> Iterator[Observation]:
    """The observations, and whether later nights may be compared with them."""
    bad = {check.key for check in run.checks if check.bad}
    for seen in run.observations:
        good = seen.failure is None and not disturbed(seen) and (accept or seen.key not in bad)
        yield seen.model_copy(update={"good": good, "accepted": good and accept})
