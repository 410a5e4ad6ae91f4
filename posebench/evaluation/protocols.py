"""Which protocols a request means, and which claims they can be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from posebench.inference.plugin_tables import DECODERS
from posebench.registry import Registry
from posebench.scoring.plugin_tables import SCORERS
from posebench.types.dataset import DatasetSpec
from posebench.types.entry import Claim, Entry
from posebench.types.errors import UserError
from posebench.types.protocol import DECODE_OF_OUTPUT, GROUPINGS, Protocol

# What a network that gives persons has done already.
DONE_INSIDE = ("flip", "shift", "decode")
# Boxes that belong to the dataset or are not used at all: no detector file can stand for them.
FIXED_BOXES = ("annotation", "none")


def claim_protocols(entry: Entry, registry: Registry) -> tuple[Protocol, ...]:
    """Return the distinct protocols of an entry's accuracy claims, the primary one first.

    Without an accuracy claim, the protocol that the row names for its evaluation.
    """
    keys = dict.fromkeys(c.protocol for c in entry.claims if c.is_judged and c.protocol)
    if not keys and entry.protocol:
        keys = {entry.protocol: None}
    return tuple(registry.protocol(key) for key in keys)


def common_protocol(entry: Entry, registry: Registry) -> Protocol:
    """Return the protocol that puts every model of a dataset on one footing.

    The model keeps its own decoding, the dataset its own boxes where it has such (MPII), and the
    scorer is the dataset's official one.
    """
    common = registry.protocol("common")
    own = claim_protocols(entry, registry)
    if own and own[0].boxes in FIXED_BOXES:
        return own[0]
    of_model = [name for name, axis in Protocol.axes().items() if axis.of_model]
    changes = {name: getattr(own[0], name) for name in of_model} if own else {}
    spec = registry.dataset(entry.dataset)
    return common.model_copy(update=changes | {"scorer": spec.official_scorer})


def official_beside(spec: DatasetSpec, protocols: Sequence[Protocol]) -> tuple[Protocol, ...]:
    """Return the same evaluations with the dataset's official scorer, where a zoo uses another."""
    official = SCORERS.known(spec.official_scorer)
    return tuple(p.with_choices(scorer=official) for p in protocols if p.scorer != official)


def requested_protocols(
    entry: Entry, registry: Registry, name: str, changes: dict[str, Any]
) -> tuple[Protocol, ...]:
    """Resolve ``--protocol`` and the axis overrides.

    Args:
        entry: The model.
        registry: Where protocols are named.
        name: ``claim`` (all protocols of the entry's claims), ``common`` or a protocol's name.
        changes: Axis -> value; None means untouched.

    Returns:
        The protocols to evaluate, the one that ``Record.scores`` speaks for first.  With an
        override that is the changed primary protocol alone.

    Raises:
        UserError: The name is unknown, or a choice does not fit the model.
    """
    if name == "claim":
        protocols = claim_protocols(entry, registry) or (common_protocol(entry, registry),)
    elif name == "common":
        protocols = (common_protocol(entry, registry),)
    else:
        protocols = (registry.protocol(name),)
    if _given(changes):
        protocols = (_overridden(protocols[0], changes),)
    own = claim_protocols(entry, registry)
    for protocol in protocols:
        _check(entry, protocol)
        if entry.input.output == "persons" and own:
            _check_inside(entry, protocol, own[0])
    return protocols


def _check(entry: Entry, protocol: Protocol) -> None:
    """Raise where a protocol speaks of something unknown, or that this model does not take."""
    DECODERS.known(protocol.decode)
    SCORERS.known(protocol.scorer)
    whole = entry.input.whole
    if whole and protocol.boxes != "none":
        raise UserError(
            f"{entry.key} finds its persons in whole images; it takes no {protocol.boxes} boxes.",
            "Leave --boxes out.",
        )
    if not whole and protocol.boxes == "none":
        raise UserError(f"{entry.key} needs boxes, {protocol.key} has none.", "Give --boxes gt.")
    for axis, values, fits in (
        ("decode", GROUPINGS, whole),
        ("inverse", ("alpha_pose",), entry.input.crop == "alpha_pose_box"),
    ):
        value = getattr(protocol, axis)
        if value in values and not fits:
            raise UserError(
                f"{entry.key} crops by {entry.input.crop}, which {axis} {value} does not fit.",
                f"Choose another --{axis}.",
            )
    _check_decode(entry, protocol)
    if whole and entry.input.output == "heatmaps" and protocol.decode not in GROUPINGS:
        raise UserError(
            f"{entry.key} gives heatmaps and tags of whole images, which decode "
            f"{protocol.decode} cannot group.",
            "Leave --decode out.",
        )


def _check_inside(entry: Entry, protocol: Protocol, own: Protocol) -> None:
    """Raise where a protocol asks for other steps than the network takes by itself."""
    for axis in DONE_INSIDE:
        wanted, fixed = getattr(protocol, axis), getattr(own, axis)
        if wanted != fixed:
            raise UserError(
                f"{entry.key} gives persons: its {axis} is {str(fixed).lower()} inside the "
                f"network, not {str(wanted).lower()}.",
                f"Leave --{axis} out.",
            )


def _check_decode(entry: Entry, protocol: Protocol) -> None:
    """Raise where a decoding reads another output than the network's."""
    output, decode = entry.input.output, protocol.decode
    if decode == "own" and output != "persons":
        raise UserError(
            f"{entry.key} has a decoding of its own, which posebench does not follow.",
            "`posebench list --status runnable` shows what can be run.",
        )
    needed = DECODE_OF_OUTPUT.get(output)
    if decode != needed and (needed or decode in DECODE_OF_OUTPUT.values()):
        raise UserError(
            f"{entry.key} gives {output.replace('_', ' ')}, which decode {decode} does not read.",
            f"Give --decode {needed}." if needed else "Choose another --decode.",
        )


def _overridden(base: Protocol, changes: dict[str, Any]) -> Protocol:
    """Change axes; boxes of another kind bring the cleaning that belongs to them."""
    cleaning = base.sanitise
    if changes.get("boxes") == "detector" and base.boxes != "detector":
        cleaning = "none"
    elif changes.get("boxes") == "gt" and base.sanitise == "none":
        cleaning = "clip_before_width"
    return base.with_choices(**({"sanitise": cleaning} | _given(changes)))


def _given(changes: dict[str, Any]) -> dict[str, Any]:
    return {axis: value for axis, value in changes.items() if value is not None}


def matching_claims(
    entry: Entry, registry: Registry, evaluated: Sequence[Protocol]
) -> list[tuple[Claim, Protocol, tuple[str, ...]]]:
    """Pair accuracy claims with the evaluated protocol they can be compared with.

    Returns:
        (claim, protocol, axes): ``axes`` is empty when the protocols are equal, and names the
        detector file when only that could not be had.  Claims made under any other protocol are
        left out, and misprints.
    """
    found = []
    for claim in entry.claims:
        if not claim.is_judged or claim.protocol is None:
            continue
        claimed = registry.protocol(claim.protocol)
        for protocol in evaluated:
            differences = claimed.differences(protocol)
            if set(differences) <= {"box_file"}:
                axes = tuple(f"{a}: {old} -> {new}" for a, (old, new) in differences.items())
                found.append((claim, protocol, axes))
                break
    return found
