"""The base of every frozen, validated type, and the numbers that stand in registry rows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    ValidationError,
)

from posebench.types.errors import UserError, WrongArgument
from posebench.types.suggestions import suggestion

# Rows come from strangers: text, true and 1.0 are not taken for whole numbers, nor text or an
# infinity for a number. ``within`` adds their bounds.
Whole = Annotated[int, Strict()]
Real = Annotated[float, Strict(), AllowInfNan(False)]
Flag = Annotated[bool, Strict()]
# What plug-ins are found by: a decoder, a scorer, a reader, a runtime. Whether one has that name
# is checked where it is looked up, so that a record can be read without the package.
NAME_PATTERN = r"[a-z0-9_.]{1,100}"
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]


def within(low: float, high: float) -> Any:
    """Return the bounds of a number, for its annotation; the refusal names both of them."""

    def check(value: float) -> float:
        if not low <= value <= high:
            raise ValueError(f"it must be from {low:,} to {high:,}")
        return value

    return AfterValidator(check)


def _path(value: Any) -> Any:
    if not isinstance(value, str | os.PathLike):
        raise ValueError("it must be a path: text or a pathlib.Path")
    try:
        return Path(value).expanduser()
    except RuntimeError as error:  # ~nobody
        raise ValueError(f"{error}") from error


StrPath = str | os.PathLike[str]


def required_path(value: StrPath) -> Path:
    """Return a path that a caller gave, ``~`` expanded.

    Raises:
        UserError: It is not a path.
    """
    path = given_path(value)
    if path is None:
        raise UserError("None is not a path.", "Give text or a pathlib.Path.")
    return path


def required_paths(name: str, values: Iterable[StrPath]) -> tuple[Path, ...]:
    """Return the folders that a caller listed, ``~`` expanded.

    Args:
        name: Of the argument.
        values: One path by itself is refused: its letters would be taken for folders.

    Raises:
        UserError: It is one path, or one of them is not a path.
    """
    if isinstance(values, str | os.PathLike):
        raise UserError(f"{name} {str(values)!r} is one folder.", "Give a list of folders.")
    return tuple(required_path(value) for value in values)


def given_path(value: StrPath | None) -> Path | None:
    """Return a path that a caller gave, ``~`` expanded; None stays None.

    Raises:
        UserError: It is not a path.
    """
    try:
        return None if value is None else _path(value)
    except ValueError as error:
        raise UserError(f"{value!r} cannot be used: {error}.") from None


# A path that a caller gives: text or ``Path``; ``~`` is the home folder.
GivenPath = Annotated[Path, PlainValidator(_path)]


def refusal(error: ValidationError, *, known: Iterable[str] = (), of: str = "") -> UserError:
    """Say in one sentence why a caller's values were refused.

    Args:
        error: Of a type that was built from them; its first problem is told.
        known: The names that may be given, to guess what an unknown one was meant to be.
        of: Where the value stands, e.g. ``" of its request"``.
    """
    first = error.errors(include_url=False)[0]
    place = [str(part) for part in first["loc"] if part != "choices"]
    if first["type"] == "extra_forbidden":
        name, known = place[-1], list(known)
        return UserError(
            f"There is no argument {name[:60]!r}{of}.",
            suggestion(name, known) or f"Known: {', '.join(known)}.",
        )
    name = "".join(place[:1])
    if first["type"] == "missing":
        return WrongArgument(name, f"is missing{of}.")
    if first["type"] == "axis":
        name, value = first["ctx"]["axis"], repr(first["ctx"]["value"])
    else:
        value = repr(first["input"])
    shown = value if len(value) <= 60 else f"{value[:57]}..."
    if first["type"] == "literal_error":
        words = re.findall(r"'([^']*)'", first["ctx"]["expected"])
        guess = suggestion(str(first["input"]), words)
        hint = f"{guess} Known: {', '.join(words)}.".strip()
        return WrongArgument(name, f"cannot be {shown}{of}.", hint)
    reason = first["msg"].removeprefix("Value error, ").replace("Input should be", "it must be")
    reason = reason.rstrip(".").replace("a valid boolean", "true or false")
    return WrongArgument(
        name,
        f"cannot be {shown}{of}: {reason[:1].lower()}{reason[1:]}.",
        "Give another value, or leave it out.",
    )


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Return where the first problem of a refused value is, its names joined by dots, and what."""
    first = error.errors(include_url=False, include_input=False)[0]
    return ".".join(map(str, first["loc"])), first["msg"]


class Frozen(BaseModel):
    """A value that is validated once and never changes; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
