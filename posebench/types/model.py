"""PoseModel: a network with its weights and where they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from posebench.types.entry import Entry

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Coverage:
    """How much of a network came from its file.

    Attributes:
        loaded: Elements of parameters and buffers found in the file (counters left out).
        expected: Elements the network has.
    """

    loaded: int
    expected: int

    @property
    def fraction(self) -> float:
        """1.0 when every element came from the file."""
        return self.loaded / self.expected if self.expected else 1.0


@dataclass(frozen=True)
class PoseModel:
    """A network in evaluation mode, float32.

    Attributes:
        network: Maps (N, 3, H, W) normalised crops to (N, K, H/stride, W/stride) heatmaps.
        entry: The registry row it was built from.
        coverage: Share of the weights that came from the file; None for random weights.
        checkpoint_name: File name of the weights, without its folder.
        checkpoint_sha256: Digest of that file.
        verified: Whether that file, or the one it is a copy of, is the published one by its
            digest; False where no digest was published, None where there is no file.
        named_as: Keys of other rows, with other weights, that the registry knows the file's name
            for; empty where its digest proves whose it is.
        notes: What was done to the weights besides copying them; belongs into every record.
    """

    network: nn.Module
    entry: Entry
    coverage: Coverage | None = None
    checkpoint_name: str | None = None
    checkpoint_sha256: str | None = None
    verified: bool | None = None
    named_as: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
