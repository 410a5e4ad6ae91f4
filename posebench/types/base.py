"""The base of every frozen, validated type."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value that is validated once and never changes; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
