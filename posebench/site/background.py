"""What a page knows beside its records: the registry's rows, and what was verified or recorded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posebench.files import strict_json
from posebench.registry import Registry, shipped_registry
from posebench.types.dataset import DatasetSpec
from posebench.types.entry import Entry
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol
from posebench.types.record import Record
from posebench.verification.goldens import goldens_folder

VERIFIED = "verified.json"  # beside the records: what `posebench verify --all --json` printed
CHAINS = "chains.json"


@dataclass(frozen=True)
class Reference:
    """Scores that the original code reached from image file to score, with the same weights.

    Attributes:
        protocol: Key of the protocol it was run under.
        annotations_sha256: Digest of the annotations it was scored with.
        scores: Metric -> percent, the digits as they were written down.
    """

    protocol: str
    annotations_sha256: str
    scores: Mapping[str, str]

    def equals(self, record: Record) -> bool:
        """Whether a record reached the same numbers, to the digits that were written down."""
        if record.protocol is None or record.dataset is None:
            return False
        same = (record.protocol.key, record.dataset.annotations_sha256)
        if same != (self.protocol, self.annotations_sha256):
            return False
        return all(_prints_as(record.scores.get(name), raw) for name, raw in self.scores.items())


@dataclass(frozen=True)
class Background:
    """See the module.

    Attributes:
        entries: Rows to show on the page of zoos, with and without records.
        titles: Zoo -> its name in words.
        protocols: Key -> protocol, for claims whose record does not carry theirs.
        datasets: Id -> dataset.
        verified: ``zoo/id`` -> ``ok``, ``structure only`` or ``failed``.
        references: ``zoo/id`` -> what the original reached.
    """

    entries: tuple[Entry, ...] = ()
    titles: Mapping[str, str] = field(default_factory=dict)
    protocols: Mapping[str, Protocol] = field(default_factory=dict)
    datasets: Mapping[str, DatasetSpec] = field(default_factory=dict)
    verified: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, tuple[Reference, ...]] = field(default_factory=dict)


def registry_background(
    registry: Registry, verified: Mapping[str, str] | None = None
) -> Background:
    """Return everything that the registry and the recorded references say."""
    return Background(
        entries=registry.entries,
        titles={slug: zoo.title for slug, zoo in registry.zoos.items()},
        protocols=registry.protocols,
        datasets=registry.datasets,
        verified=verified or {},
        references=read_references(goldens_folder() / CHAINS),
    )


def shipped_background(records: Iterable[Record]) -> Background:
    """Return what the shipped registry says about the zoos that some records speak of."""
    known = registry_background(shipped_registry())
    zoos = {record.entry.zoo for record in records}
    return Background(
        entries=tuple(entry for entry in known.entries if entry.zoo in zoos),
        titles=known.titles,
        protocols=known.protocols,
        datasets=known.datasets,
        references=known.references,
    )


def read_verified(path: Path) -> dict[str, str]:
    """Read what ``posebench verify --json`` printed.

    Args:
        path: The file.

    Returns:
        ``zoo/id`` -> status.

    Raises:
        UserError: The file is missing or something else.
    """
    try:
        rows: Sequence[Any] = strict_json(path.read_bytes(), finite=True)
        return {str(row["key"]): str(row["status"]) for row in rows}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", _HINT) from error
    except (ValueError, TypeError, LookupError) as error:
        raise UserError(f"{path} is not what `posebench verify --json` prints.", _HINT) from error


_HINT = "`posebench verify --all --json > verified.json` writes such a file."


def read_references(path: Path) -> dict[str, tuple[Reference, ...]]:
    """Read the recorded scores of original code; nothing where there is no such file."""
    if not path.is_file():
        return {}
    content: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
    return {
        key: tuple(
            Reference(row["protocol"], row["annotations_sha256"], row["scores"]) for row in rows
        )
        for key, rows in content.items()
    }


def _prints_as(value: float | None, raw: str) -> bool:
    decimals = len(raw.partition(".")[2])
    return value is not None and f"{value:.{decimals}f}" == raw
