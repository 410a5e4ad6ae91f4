"""Plain and mirrored heatmaps -> cells: what is averaged, heatmaps or coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from posebench.inference.decode import DECODERS, Decoded
from posebench.inference.flip import average, flip_back
from posebench.keypoints import KeypointSet
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
    """
    back = None
    if protocol.flip:
        if mirrored is None:
            raise ValueError("a flip test needs the output for the mirrored crops")
        back = flip_back(mirrored, keypoints.flip_index(), shift=protocol.shift)
    if protocol.decode == "combined":
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
    decoder = DECODERS[decode]
    if back is None:
        return decoder(plain, protocol)
    if merge == "heatmaps":
        return decoder(average(plain, back), protocol)
    one, other = decoder(plain, protocol), decoder(back, protocol)
    return average(one[0], other[0]), average(one[1], other[1])
