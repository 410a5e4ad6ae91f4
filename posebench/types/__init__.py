"""The frozen types that flow from room to room.

``posebench.types.arrays`` (numpy) is not imported here, so that the registry and the command
line's light commands stay fast.
"""

from __future__ import annotations

from posebench.types.entry import (
    Checkpoint,
    Claim,
    Entry,
    InputSpec,
    NetworkSpec,
    Source,
)
from posebench.types.errors import UserError
from posebench.types.model import Coverage, PoseModel
from posebench.types.protocol import Protocol

__all__ = [
    "Checkpoint",
    "Claim",
    "Coverage",
    "Entry",
    "InputSpec",
    "NetworkSpec",
    "PoseModel",
    "Protocol",
    "Source",
    "UserError",
]
