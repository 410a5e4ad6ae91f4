"""The weights file of an entry: given, shipped or in the cache; and the model with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from posebench.adapters import load_weights, random_model
from posebench.downloads.cache import Cache
from posebench.downloads.drive import drive_page
from posebench.types.entry import Checkpoint, Entry
from posebench.types.errors import UserError
from posebench.types.model import PoseModel


def load_entry(
    entry: Entry,
    checkpoint: Path | None = None,
    *,
    rows: Sequence[Entry] = (),
    allow_random: bool = False,
) -> PoseModel:
    """Build an entry's network with its weights.

    Args:
        entry: The registry row.
        checkpoint: The file, in the format its zoo publishes; None for weights that posebench
            ships, that ``posebench fetch`` brought into the cache, or for entries that need none.
        rows: All rows of the registry: they tell whether the file's name is that of other weights.
        allow_random: Give random weights (always the same) where no file is at hand, for
            timing.

    Returns:
        The network in evaluation mode, float32, on the CPU; its coverage is None only for
        random weights.

    Raises:
        UserError: No file, a wrong or damaged one, or one that does not fit the network.
    """
    cached = Cache().find(entry.checkpoint) if checkpoint is None else None
    path = checkpoint or shipped_file(entry.checkpoint) or (cached.path if cached else None)
    if path is not None:
        sha256 = cached.sha256 if cached else None
        return load_weights(entry, path, rows=rows, downloaded_sha256=sha256)
    if allow_random or entry.checkpoint.container == "none":
        return random_model(entry)
    raise UserError(f"{entry.key} needs its weights file.", _where(entry))


def shipped_file(checkpoint: Checkpoint) -> Path | None:
    """Return the file inside the package that ``package:<path>`` names.

    Raises:
        UserError: The path leaves the package, or nothing is there.
    """
    if not checkpoint.shipped:
        return None
    from importlib.resources import files

    root = Path(str(files("posebench"))).resolve()
    path = (root / checkpoint.shipped).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise UserError(
            f"The checkpoint '{checkpoint.id}' is not inside the package: '{checkpoint.location}'.",
            "Install posebench again, or correct the location.",
        )
    return path


def _where(entry: Entry) -> str:
    """Say where the file is published and how to hand it over."""
    checkpoint = entry.checkpoint
    if checkpoint.location is None:
        return "Nobody published it where posebench knows; pass yours with --checkpoint FILE."
    location = drive_page(checkpoint.location)
    file = f" ({checkpoint.file_name})" if checkpoint.file_name else ""
    return (
        f"`posebench fetch {entry.key}` gets it, or download it from {location}{file} and pass it "
        "with --checkpoint FILE."
    )
