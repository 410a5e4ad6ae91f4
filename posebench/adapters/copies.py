"""Copies that ``posebench convert`` made: safetensors files under the network's own names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from posebench.types.entry import Checkpoint
from posebench.types.errors import UserError

FORMAT = "posebench-copy-1"
CONVERT_AGAIN = "Convert the published file of this model."


@dataclass(frozen=True)
class Origin:
    """The published file that a copy was made from.

    Attributes:
        zoo: Of the row it was converted for.
        model: Id of that row.
        name: File name.
        sha256: Its digest.
        sha1: The same.
        size: Bytes.
        notes: What was done to the weights besides copying them.
    """

    zoo: str
    model: str
    name: str
    sha256: str
    sha1: str
    size: int
    notes: tuple[str, ...] = ()

    @property
    def row(self) -> str:
        """``zoo/id`` of the row it was converted for."""
        return f"{self.zoo}/{self.model}"

    def metadata(self) -> dict[str, str]:
        """Return what the copy says about itself (safetensors: text to text)."""
        return {
            "format": "pt",
            "copy": FORMAT,
            "zoo": self.zoo,
            "model": self.model,
            "source_name": self.name,
            "source_sha256": self.sha256,
            "source_sha1": self.sha1,
            "source_size": str(self.size),
            "notes": json.dumps(self.notes),
        }

    def check(self, known: Checkpoint, path: Path) -> None:
        """Compare the copied file's digests with those that the registry knows.

        Raises:
            UserError: The copy was made from another file.
        """
        from posebench.checkpoints.files import mismatch

        wrong = mismatch(
            self.size,
            {"sha256": self.sha256, "sha1": self.sha1}.__getitem__,
            size=known.size,
            sha256=known.sha256,
            sha256_prefix=known.sha256_prefix,
            sha1=known.sha1,
        )
        if wrong is not None:
            found, expected = wrong
            raise UserError(
                f"{path} is a copy of a file with {found}, the published file has {expected}.",
                CONVERT_AGAIN,
            )


def origin_of(metadata: Mapping[str, str], path: Path) -> Origin | None:
    """Read a copy's metadata; None for any other safetensors file.

    Raises:
        UserError: The metadata is incomplete.
    """
    if metadata.get("copy") != FORMAT:
        return None
    try:
        return Origin(
            zoo=metadata["zoo"],
            model=metadata["model"],
            name=metadata["source_name"],
            sha256=metadata["source_sha256"],
            sha1=metadata["source_sha1"],
            size=int(metadata["source_size"]),
            notes=tuple(map(str, json.loads(metadata["notes"]))),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} does not say which published file it is a copy of ({error}).", CONVERT_AGAIN
        ) from error
