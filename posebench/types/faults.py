"""What of a dataset cannot be used: single images, single annotations, single rows of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from posebench.types.errors import UserError

OnError = Literal["fail", "skip"]
LISTED = 20  # faults that a message names; more would push the first ones off the screen


@dataclass(frozen=True)
class Fault:
    """One image or annotation, or one row of a box or results file, that cannot be used.

    Attributes:
        kind: What it is.
        text: What is wrong with it, beginning with its name; no absolute path.
        persons: Ids of the ground-truth rows that stand for it and that no one can estimate.
        image: Row in ``Dataset.images`` whose persons no one can estimate.
    """

    kind: Literal["image", "annotation", "row"]
    text: str
    persons: tuple[int, ...] = ()
    image: int | None = None


def refuse(where: str, faults: Sequence[Fault], hint: str = "") -> UserError:
    """Return the error that lists faults, each once.

    Args:
        where: The file or dataset they were found in.
        faults: At least one.
        hint: What to do next; by default how to go on without them.
    """
    words = counted(faults)
    listed = "; ".join(fault.text for fault in faults[:LISTED])
    more = f"; and {len(faults) - LISTED:,} more" if len(faults) > LISTED else ""
    return UserError(
        f"{where} has {words} that cannot be used: {listed}{more}.",
        hint or "Mend them, or give --on-error skip: they then count as missed.",
    )


def counted(faults: Sequence[Fault]) -> str:
    """Return ``2 images and 1 annotation``."""
    kinds = [fault.kind for fault in faults]
    numbers = [(kinds.count(kind), kind) for kind in dict.fromkeys(sorted(kinds, reverse=True))]
    return " and ".join(f"{n:,} {kind}{'' if n == 1 else 's'}" for n, kind in numbers)
