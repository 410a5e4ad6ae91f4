"""Timings of one kind -> what a model's page says about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from posebench.site.claims import hardware_of, record_name
from posebench.site.points import CHAIN, remarks, rerun
from posebench.site.svg import history, strip
from posebench.types.record import Record
from posebench.types.timing import Timings


@dataclass(frozen=True)
class Timed:
    """One timing, the newest of its kind.

    Attributes:
        rate: How fast, on what; empty where it failed.
        spread: Draws its samples.
        quotable: Whether nothing speaks against quoting the network's rate.
        flags: (what was timed, why not to quote it).
        past: Draws earlier ones of the same kind; may be empty.
    """

    title: str
    rate: str
    quotable: bool
    facts: tuple[tuple[str, str], ...]
    spread: Markup
    flags: tuple[tuple[str, str], ...]
    failure: str
    past: Markup
    record: str
    command: str


def timed(past: Sequence[Record]) -> Timed:
    """Describe the newest of some timings of the same kind, from old to new."""
    record = past[-1]
    timing, cell = record.timings, record.cell
    title, against = hardware_of(record), remarks(record)
    rates = [(r.created, r.timings.persons_per_second) for r in past if r.timings]
    form = timing.form if timing else (cell.form.words if cell else "")
    batch = timing.batch_size if timing else (cell.batch_size if cell else 0)
    rate = ""
    if timing:
        rate = (
            f"{timing.persons_per_second:,.4g} {timing.counted}/s on {title}, "
            f"batch {batch}, {form} network"
        )
    return Timed(
        title=f"{title}, {form} network, batch {batch}",
        rate=rate,
        facts=_timing_facts(record, timing) if timing else (),
        spread=_spread(timing) if timing else Markup(""),
        quotable=timing is not None and not any("speed" in remark.fields for remark in against),
        flags=tuple((remark.what, remark.why) for remark in against),
        failure=record.failure or "",
        past=history(rates, f"{timing.counted if timing else 'persons'}/s")
        if len(rates) > 1 else Markup(""),
        record=record_name(record),
        command=rerun(record),
    )  # fmt: skip


def _spread(timing: Timings) -> Markup:
    milli = [1000 * second for second in timing.seconds]
    marks = [(f"{name} {1000 * s:.3g} ms", 1000 * s) for name, s in timing.percentiles.items()]
    return strip(milli, marks)


def _timing_facts(record: Record, timing: Timings) -> tuple[tuple[str, str], ...]:
    whole, share = record.end_to_end, timing.share_of_ceiling
    percentiles = ", ".join(f"{n} {1000 * s:,.3g}" for n, s in timing.percentiles.items())
    memory = ", ".join(f"{n} {b / 2**20:,.0f} MiB" for n, b in timing.memory.items())
    threads = (
        f"{timing.threads} thread{'' if timing.threads == 1 else 's'}, "
        if timing.device == "cpu"
        else ""
    )
    facts = [
        ("network alone", f"{timing.persons_per_second:,.4g} {timing.counted}/s"),
        (
            CHAIN,
            f"{whole.persons_per_second:,.4g} persons/s ({whole.data})" if whole else "",
        ),
        ("ms a batch", percentiles),
        ("spread", f"{100 * timing.relative_iqr:.1f} % between the quartiles"),
        ("samples", f"{len(timing.seconds):,} after {timing.warm_up} untimed"),
        ("with flip", "each person also mirrored" if timing.flip else ""),
        ("parameters", f"{timing.parameters / 1e6:,.3g} million"),
        ("GMAC a person", "" if timing.gmacs is None else f"{timing.gmacs:,.4g}"),
        ("of the machine's rate", "" if share is None else f"{100 * share:.0f} %"),
        (
            "energy",
            ""
            if timing.joules_per_1000 is None
            else f"{timing.joules_per_1000:,.4g} J for 1,000 persons",
        ),
        ("peak memory", memory),
        (
            "largest error",
            ""
            if timing.error is None or timing.tolerance is None
            else f"{timing.error:.1e} of the peak, {timing.tolerance:.0e} allowed",
        ),
        ("machine", f"{threads}{_machine(record)}"),
        ("measured", f"{record.created:%Y-%m-%d %H:%M} UTC"),
    ]
    return tuple((name, words) for name, words in facts if words)


def _machine(record: Record) -> str:
    machine, ran = record.machine, record.environment
    words = [] if machine is None else [machine.accelerator or machine.processor]
    if machine and machine.foreign_cores:
        words.append(f"others kept {machine.foreign_cores:.1f} cores busy")
    return ", ".join([*words, f"torch {ran.torch}", ran.platform])
