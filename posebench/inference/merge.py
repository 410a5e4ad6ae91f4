"""Plain and mirrored heatmaps -> cells: what is averaged, heatmaps or coordinates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from posebench.inference.decode import Decoded
from posebench.inference.flip import average, flip_back
from posebench.inference.plugin_tables import COMBINED, DECODERS
from posebench.keypoints import KeypointSet
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol


def decode_merged(
    plain: Tensor, mirrored: Tensor | None, protocol: Protocol, keypoints: KeypointSet
) -> Decoded:
    """Decode heatmaps as a protocol merges and decodes them.

    Args:
        plain: (N, K, H, W) output for the crops.
        mirrored: Output for the mirrored crops, not yet flipped back; used if the protocol flips.
        protocol: Its flip, shift, flip_merge and decode axes are used.
        keypoints: The K joints.

    Returns:
        Cells (N, K, 2), x before y, and joint scores (N, K).

    Raises:
        UserError: The decoder is unknown, or gives something else.
    """
    back = None
    if protocol.flip:
        if mirrored is None:
            raise ValueError("a flip test needs the output for the mirrored crops")
        back = flip_back(mirrored, keypoints.flip_index(), shift=protocol.shift)
    if protocol.decode == COMBINED:
        return _by_part(plain, back, protocol, keypoints.body_and_feet())
    return _decode(plain, back, protocol, protocol.decode, protocol.flip_merge)


def _by_part(plain: Tensor, back: Tensor | None, protocol: Protocol, split: int) -> Decoded:
    """Peaks for body and feet, integrals for face and hands.

    Source: AlphaPose scripts/validate.py (``combined_loss``).
    """
    parts = (
        (slice(0, split), "quarter", "heatmaps"),
        (slice(split, None), "integral_sigmoid", "coordinates"),
    )
    found = [
        _decode(plain[:, rows], None if back is None else back[:, rows], protocol, decode, merge)
        for rows, decode, merge in parts
    ]
    coords, scores = (torch.cat(each, dim=1) for each in zip(*found, strict=True))
    return coords, scores


def _decode(
    plain: Tensor, back: Tensor | None, protocol: Protocol, decode: str, merge: str
) -> Decoded:
    if back is None:
        return _decoded(plain, protocol, decode)
    if merge == "heatmaps":
        return _decoded(average(plain, back), protocol, decode)
    one, other = _decoded(plain, protocol, decode), _decoded(back, protocol, decode)
    return average(one[0], other[0]), average(one[1], other[1])


def _decoded(heatmaps: Tensor, protocol: Protocol, name: str) -> Decoded:
    """Decode, and refuse what are not cells and scores: a decoder may be of another package."""
    found: Any = DECODERS[name](heatmaps, protocol)
    wanted = [(*heatmaps.shape[:2], 2), tuple(heatmaps.shape[:2])]
    pair = isinstance(found, tuple) and len(found) == 2
    if not pair or not all(isinstance(part, Tensor) for part in found):
        given = f"an object of type {type(found).__name__}"
    elif [tuple(part.shape) for part in found] != wanted:
        given = " and ".join(str(tuple(part.shape)) for part in found)
    elif not all(part.is_floating_point() and part.device == heatmaps.device for part in found):
        given = " and ".join(f"{part.dtype} on {part.device}" for part in found)
    else:
        cells, scores = found
        return cells, scores
    raise UserError(
        f"The decoder {name!r} of {DECODERS.owner(name)} gave {given}, not cells {wanted[0]} and "
        f"joint scores {wanted[1]} as floating-point tensors on {heatmaps.device}.",
        "Update the package that brings it.",
    )
