"""Entry and weights file to PoseModel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from posebench.adapters.provenance import provenance_of
from posebench.adapters.schemes import ADAPTERS, FOREIGN, build_foreign
from posebench.networks import NETWORKS, build_network
from posebench.plugins import POSEBENCH
from posebench.types.entry import Entry
from posebench.types.errors import UserError
from posebench.types.model import PoseModel

if TYPE_CHECKING:
    from torch import nn

NATIVE = "native"
RANDOM_SEED = 0


def random_model(entry: Entry) -> PoseModel:
    """Build an entry's network with random weights, the same ones every time.

    Returns:
        The network in evaluation mode, float32, on the CPU, without coverage.

    Raises:
        UserError: The network cannot be built.
    """
    return PoseModel(network=_build(entry), entry=entry, notes=_brought(entry))


def load_weights(
    entry: Entry, path: Path, *, rows: Sequence[Entry] = (), downloaded_sha256: str | None = None
) -> PoseModel:
    """Build an entry's network and fill it from its weights file, strictly.

    Size and digests that the registry knows are compared before the file is opened; of a copy
    that ``posebench convert`` made, those of the file it came from, and the row it was made for.

    Args:
        entry: The registry row.
        path: The file, in the format its zoo publishes, or a copy of it.
        rows: All rows of the registry: they tell whether the file's name is that of other weights.
        downloaded_sha256: Digest of the file where posebench downloaded it itself.

    Returns:
        The network in evaluation mode, float32, on the CPU.

    Raises:
        UserError: The file is wrong or damaged, or does not fit the network.
    """
    network = _build(entry)

    # not above: building and refusing work without the readers' libraries
    from posebench.adapters.repair import repaired
    from posebench.checkpoints import load_strict, read_checkpoint, sha256_of
    from posebench.networks.variants import check_variant

    found = provenance_of(path, entry, rows, downloaded_sha256=downloaded_sha256)
    origin = found.origin
    # a copy of ours has the network's own names already
    scheme = entry.adapter if origin is None else NATIVE
    state = ADAPTERS[scheme](read_checkpoint(path), network)
    if not isinstance(state, dict):
        raise UserError(
            f"The adapter '{scheme}' of {ADAPTERS.owner(scheme)} gave an object of type "
            f"{type(state).__name__}, not a dict of tensors.",
            "Update the package that brings it.",
        )
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
        notes=(*(origin.notes if origin else ()), *notes, *_unused(network), *_brought(entry)),
    )


def _unused(network: nn.Module) -> tuple[str, ...]:
    """Say which loaded parts serve training alone, so that nothing is dropped in silence."""
    parts = getattr(network, "training_only", ())
    return (f"{', '.join(parts)}: loaded, used in training only",) if parts else ()


def _brought(entry: Entry) -> tuple[str, ...]:
    """Say which parts come from other packages, so that a record names them."""
    parts = (("network", NETWORKS, entry.network.name), ("adapter", ADAPTERS, entry.adapter))
    owners = [
        (kind, name, table.owner(name))
        for kind, table, name in parts
        if name in table  # others are built by an optional package
    ]
    return tuple(f"{k} {name} of {owner}" for k, name, owner in owners if owner != POSEBENCH)


def _build(entry: Entry) -> nn.Module:
    """Build with the same random weights every time, without touching the caller's generator."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(RANDOM_SEED)
        if entry.network.name in FOREIGN:
            return build_foreign(entry).float().eval()
        network = build_network(entry.network.name, **entry.network.arguments)
    stride = NETWORKS[entry.network.name].stride
    if entry.input.stride != stride:
        raise UserError(
            f"{entry.key} says stride {entry.input.stride}, its network "
            f"'{entry.network.name}' has stride {stride}.",
            f"Correct the row{f' in {entry.origin}' if entry.origin else ''}.",
        )
    return network.float().eval()
