"""What in a record cannot be: computed from its own numbers, whoever wrote it."""

from __future__ import annotations

import re

from posebench.types.record import Record

# Two timings of one run may differ by as much as one that is steady enough to be quoted.
LEEWAY = 0.05
# Metrics that are shares of what could be reached, in percent.
PERCENT = re.compile(r"(.*/)?(AP|AR)(50|75|M|L)?|PCKh?(@[0-9.]+)?(/.*)?|similarity/.*")


def impossible_timings(record: Record) -> tuple[str, ...]:
    """Return why the timings of a record cannot be right, in words; empty if nothing speaks so.

    A network does not compute faster than the machine multiplies matrices, and the whole chain
    from image file to keypoints is not faster than the network in it; both within 5 %.
    """
    timing, whole = record.timings, record.end_to_end
    found = []
    share = timing.share_of_ceiling if timing else None
    if share is not None and share > 1 + LEEWAY:
        found.append(
            f"inconsistent: {100 * share:,.0f} % of the matrix-product rate that the machine "
            "reached in the same run"
        )
    comparable = timing and whole and timing.counted == whole.counted
    if timing and whole and comparable:
        alone, chain = timing.persons_per_second, whole.persons_per_second
        if chain > alone * (1 + LEEWAY):
            found.append(
                f"inconsistent: {chain:,.4g} {whole.counted}/s from image file to keypoints, "
                f"{alone:,.4g} {timing.counted}/s with the network alone"
            )
    return tuple(found)


def impossible_score(metric: str, value: float | None) -> str:
    """Return why a score cannot be right, in words; empty if nothing speaks against it."""
    if value is None or 0 <= value <= 100 or PERCENT.fullmatch(metric) is None:
        return ""
    return f"inconsistent: {metric} of {value:,.4g} is not between 0 and 100 percent"
