"""The base of every frozen, validated type, and the numbers that stand in registry rows."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
)

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


def first_problem(error: ValidationError) -> tuple[str, str]:
    """Return where the first problem of a refused value is, its names joined by dots, and what."""
    first = error.errors(include_url=False, include_input=False)[0]
    return ".".join(map(str, first["loc"])), first["msg"]


class Frozen(BaseModel):
    """A value that is validated once and never changes; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
