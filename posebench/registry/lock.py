"""The lock of released protocols: their hashes, so that an edit is noticed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from posebench.registry.loader import shipped_folder
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol

LOCK = "protocols.lock"


def read_lock(folder: Path | None = None) -> dict[str, str]:
    """Return ``name@version`` -> hash of every released protocol of a registry folder."""
    path = (folder or shipped_folder()) / LOCK
    if not path.is_file():
        return {}
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


def check_lock(protocols: Mapping[str, Protocol], locked: Mapping[str, str]) -> None:
    """Refuse changed and missing protocols.

    Args:
        protocols: The protocols as they are now.
        locked: The hashes of the released ones.

    Raises:
        UserError: A released protocol was edited or removed.
    """
    for key, digest in locked.items():
        if key not in protocols:
            raise UserError(
                f"The released protocol {key} is gone from protocols.yaml.",
                "Put it back: stored records and claims speak of it.",
            )
        protocol = protocols[key]
        if protocol.hash != digest:
            raise UserError(
                f"The released protocol {key} was edited (hash {protocol.hash[:12]}, "
                f"locked {digest[:12]}).",
                f"Undo the edit and add {protocol.name}@{protocol.version + 1} below it.",
            )


def write_lock(protocols: Mapping[str, Protocol], folder: Path | None = None) -> list[str]:
    """Add the hashes of new protocols to the lock and return their keys.

    Raises:
        UserError: A released protocol was edited or removed.
    """
    folder = folder or shipped_folder()
    locked = read_lock(folder)
    check_lock(protocols, locked)
    new = [key for key in protocols if key not in locked]
    locked |= {key: protocols[key].hash for key in new}
    text = json.dumps(dict(sorted(locked.items())), indent=2) + "\n"
    (folder / LOCK).write_text(text, encoding="utf-8")
    return new
