"""The base of every frozen, validated type, and the numbers that stand in registry rows."""

from __future__ import annotations

from typing import Annotated

from pydantic import AllowInfNan, BaseModel, ConfigDict, Strict

# Rows come from strangers: text, true and 1.0 are not taken for whole numbers, nor text or an
# infinity for a number. Bounds are added where a field is declared.
Whole = Annotated[int, Strict()]
Real = Annotated[float, Strict(), AllowInfNan(False)]
Flag = Annotated[bool, Strict()]


class Frozen(BaseModel):
    """A value that is validated once and never changes; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
