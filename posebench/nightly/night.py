"""One night: measure what is missing, compare, append to the histories, write the pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from posebench.nightly.work import Work
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol
from posebench.types.record import Record

FINE, REGRESSION, NOT_RUN = 0, 1, 2
WORK = "work"

Say = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Places:
    """Where a night reads and writes.

    Attributes:
        output: For pages, and for what is under way.
        history: Of the histories.
    """

    output: Path
    history: Path

    def of(self, cell: Cell) -> Path:
        """Return the history of a cell."""
        return self.history / f"{cell.slug}{SUFFIX}"


@dataclass(frozen=True)
class Night:
    """What a night found.

    Attributes:
        id: When it began, UTC.
        observations: This night's, one a cell.
        checks: Every number, held against earlier nights.
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


def run_night(
    suite: Suite,
    cells: Sequence[Cell],
    work: Work,
    places: Places,
    *,
    facts: Mapping[str, str],
    protocols: Mapping[str, Protocol] | None = None,
    accept: bool = False,
    say: Say | None = None,
    publish: Callable[[Night, Path], None],
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> Night:
    """Go through a night, or through the rest of one that was interrupted.

    Whenever it is killed, the same call later measures only what is missing and ends with the
    same histories and pages.

    Args:
        suite: With its thresholds.
        cells: What to measure.
        work: Measures.
        places: Where to read and write.
        facts: Of the code, for the observations.
        protocols: ``name@version`` -> protocol.
        accept: Take this night's numbers for the usual ones from now on.
        say: Called with (what, done, all).
        publish: Writes the pages into the output folder.
        clock: Tells the time.

    Raises:
        UserError: Another night is under way there, or something cannot be read or written.
    """
    places.output.mkdir(parents=True, exist_ok=True)
    lock = FileLock(places.output / ".nightly.lock")
    try:
        with lock.acquire(timeout=0):
            state = State(places.output / WORK, suite, cells, facts, clock())
            measured = _Measured(suite, places, state, facts, clock)
            measured.evaluations(cells, work, say)
            measured.timings(cells, work, say)
            night = judged(suite, cells, measured.observed, measured.records, places, protocols)
            for cell, seen in zip(cells, _marked(night, accept=accept), strict=True):
                append(places.of(cell), [seen])
            publish(night, places.output)
            state.remove()
    except Timeout as error:
        raise UserError(
            f"Another nightly is at work in {places.output}.",
            "Wait for it, or give another folder with --output.",
        ) from error
    return night


class _Measured:
    """What is measured so far."""

    def __init__(
        self,
        suite: Suite,
        places: Places,
        state: State,
        facts: Mapping[str, str],
        clock: Callable[[], datetime],
    ) -> None:
        self.observed: dict[str, Observation] = {}
        self.records: list[Record] = []
        self.state = state
        self._suite, self._places = suite, places
        self._facts, self._clock = facts, clock

    def evaluations(self, cells: Sequence[Cell], work: Work, say: Say | None) -> None:
        """Evaluate what is missing."""
        wanted = [cell for cell in cells if cell.kind == "eval"]
        missing = [cell for cell in wanted if self.state.kept(cell) is None]
        if missing:
            if say:
                say("evaluating", len(wanted) - len(missing), len(wanted))
            for cell, found in work.evaluate(missing, self.state.parts):
                self.state.keep(cell, found, self._clock())
        for cell in wanted:
            self._take(cell)

    def timings(self, cells: Sequence[Cell], work: Work, say: Say | None) -> None:
        """Time what is missing, again where it looks slower: one run proves nothing."""
        wanted = [cell for cell in cells if cell.kind == "speed"]
        for index, cell in enumerate(wanted):
            if self.state.kept(cell) is None:
                if say:
                    say(f"timing {cell.entry.key}", index, len(wanted))
                self.state.keep(cell, self._timed(cell, work), self._clock())
            self._take(cell)

    def _timed(self, cell: Cell, work: Work) -> Record | str:
        past = others(read_history(self._places.of(cell)), self.state.night)
        tries: list[tuple[bool, float, Record]] = []
        for _ in range(1 + self._suite.speed.repeats):
            found = work.time(cell)
            if isinstance(found, str) or found.failure or found.timings is None:
                return found
            seen = observe(cell, found, self.state.night, self._facts, self._clock())
            checks = compare(seen, past, self._suite)
            if not any(check.bad or check.state == "not judged" for check in checks):
                return found
            tries.append((bool(disturbed(seen)), found.timings.persons_per_second, found))
        return _middle(tries)

    def _take(self, cell: Cell) -> None:
        kept = self.state.kept(cell)
        if kept is None:
            raise UserError(
                f"What {cell.key} gave is not in {self._places.output / WORK} any more.",
                "Run the same command again.",
            )
        found, when = kept
        self.observed[cell.key] = observe(cell, found, self.state.night, self._facts, when)
        if isinstance(found, Record):
            self.records.append(found)


def _middle(tries: Sequence[tuple[bool, float, Record]]) -> Record:
    """The one of median rate, of those that nobody disturbed if there are any.

    Args:
        tries: (disturbed, rate, record).
    """
    calm = [each for each in tries if not each[0]] or tries
    ordered = sorted(calm, key=lambda each: each[1])
    return ordered[len(ordered) // 2][2]


def others(past: Sequence[Observation], night: str) -> list[Observation]:
    """Return the observations of other nights than this one."""
    return [each for each in past if each.night != night]


def judged(
    suite: Suite,
    cells: Sequence[Cell],
    observed: Mapping[str, Observation],
    records: Sequence[Record],
    places: Places,
    protocols: Mapping[str, Protocol] | None = None,
) -> Night:
    """Hold everything that was measured against the histories.

    Args:
        suite: With its thresholds.
        cells: Of the night.
        observed: Key of a cell -> observation.
        records: Behind them.
        places: Of the histories.
        protocols: ``name@version`` -> protocol.
    """
    checks: list[Check] = []
    now, before, past = {}, {}, {}
    for cell in cells:
        seen = observed[cell.key]
        earlier = others(read_history(places.of(cell)), seen.night)
        good = baseline(earlier, seen.key)
        now[seen.key], past[seen.key] = seen, [o for o in earlier if o.key == seen.key]
        if good:
            before[seen.key] = good[-1]
        checks += compare(seen, earlier, suite)
    ran = [key for key in before if now[key].failure is None]  # a failure knows no facts
    changed = {f: c for key in ran for f, c in changed_facts(now[key], before[key])}
    return Night(
        suite=suite,
        id=observed[cells[0].key].night,
        observations=tuple(observed[cell.key] for cell in cells),
        checks=tuple(with_reasons(checks, now, before, protocols or {})),
        records=tuple(records),
        past=past,
        changed=tuple(changed.items()),
    )


def _marked(night: Night, *, accept: bool) -> list[Observation]:
    """The observations, and whether later nights may be held against them."""
    bad = {check.key for check in night.checks if check.bad}
    found = []
    for seen in night.observations:
        whole = seen.failure is None and not disturbed(seen)
        good = whole and (accept or seen.key not in bad)
        found.append(seen.model_copy(update={"good": good, "accepted": good and accept}))
    return found
