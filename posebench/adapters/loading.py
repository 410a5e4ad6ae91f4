"""Entry and file to PoseModel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from posebench.adapters.catalogue import FOREIGN, build_foreign, find_adapter
from posebench.adapters.provenance import provenance_of
from posebench.checkpoints.cache import Cache
from posebench.checkpoints.download_drive import drive_page
from posebench.networks import STRIDES, build_network
from posebench.types.entry import Checkpoint, Entry
from posebench.types.errors import UserError
from posebench.types.model import PoseModel

if TYPE_CHECKING:
    from torch import nn

NATIVE = "native"
RANDOM_SEED = 0


def load_model(
    entry: Entry,
    checkpoint: Path | None = None,
    *,
    rows: Sequence[Entry] = (),
    allow_random: bool = False,
) -> PoseModel:
    """Build an entry's network and fill it from its weights file, strictly.

    Size and digests that the registry knows are compared before the file is opened; of a copy
    that ``posebench convert`` made, those of the file it came from, and the row it was made for.

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
    network = _build(entry)
    held = Cache().find(entry.checkpoint) if checkpoint is None else None
    path = checkpoint or _shipped(entry.checkpoint) or (held.path if held else None)
    if path is None:
        if allow_random or entry.checkpoint.container == "none":
            return PoseModel(network=network, entry=entry)
        raise UserError(f"{entry.key} needs its weights file.", _where(entry))

    # not above: building and refusing work without the readers' libraries
    from posebench.adapters.repair import repaired
    from posebench.checkpoints import load_strict, read_checkpoint, sha256_of
    from posebench.networks.variants import check_variant

    found = provenance_of(path, entry, rows, downloaded_sha256=held.sha256 if held else None)
    origin = found.origin
    # a copy of ours has the network's own names already
    adapter = find_adapter(entry.adapter if origin is None else NATIVE)
    state = adapter(read_checkpoint(path), network)
    check_variant(network, state, source=str(path))
    state, notes = repaired(state, entry.checkpoint.repair)
    coverage = load_strict(network, state, source=str(path))
    return PoseModel(
        network=network,
        entry=entry,
        coverage=coverage,
        checkpoint_name=path.name,
        checkpoint_sha256=sha256_of(path),
        verified=found.verified,
        named_as=found.named_as,
        notes=(*(origin.notes if origin else ()), *notes, *_unused(network)),
    )


def _unused(network: nn.Module) -> tuple[str, ...]:
    """Say which loaded parts serve training alone, so that nothing is dropped in silence."""
    parts = getattr(network, "training_only", ())
    return (f"{', '.join(parts)}: loaded, used in training only",) if parts else ()


def _build(entry: Entry) -> nn.Module:
    """Build with the same random weights every time, without touching the caller's generator."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        if entry.network.name in FOREIGN:
            return build_foreign(entry).float().eval()
        network = build_network(entry.network.name, **entry.network.arguments)
    stride = STRIDES[entry.network.name]
    if entry.input.stride != stride:
        raise UserError(
            f"{entry.key} says stride {entry.input.stride}, its network "
            f"'{entry.network.name}' has stride {stride}.",
            f"Correct the row{f' in {entry.origin}' if entry.origin else ''}.",
        )
    return network.float().eval()


def _shipped(checkpoint: Checkpoint) -> Path | None:
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
