"""What networks give, by ``InputSpec.output``: its shape, its mirror image, its decoding.

Heatmaps have many decoders (``posebench.inference.decode``); every other output has one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from posebench.inference.decode import Decoded, argmax
from posebench.inference.flip import average, flip_back
from posebench.inference.merge import decode_merged
from posebench.inference.transfer import constant, gaussian
from posebench.keypoints import keypoint_set
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol

# mmpose mmpose/codecs/udp_heatmap.py: an offset of 1 is this share of the heatmap's longer side.
OFFSET_RADIUS = 0.0546875


def check_output(output: Tensor, spec: InputSpec, network: str) -> None:
    """Refuse an output that does not fit the entry.

    Args:
        output: Of N crops, as ``InputSpec.output`` describes it.
        spec: Of the weights.
        network: Its name, for the message.

    Raises:
        UserError: Another number of joints, or another size.
    """
    joints, (height, width) = len(keypoint_set(spec.keypoints)), spec.size
    found = tuple(output.shape[1:])
    maps = {"heatmaps": (joints, *spec.heatmap_size), "coordinates": (joints, 3)}
    maps["offset_heatmaps"] = (3 * joints, *spec.heatmap_size)
    if spec.output == "simcc":
        bins = found[-1] if len(found) == 2 and found[-1] % (height + width) == 0 else width
        maps["simcc"] = (joints, max(bins, height + width))
    if found != maps[spec.output]:
        raise UserError(
            f"{network} gave {spec.output.replace('_', ' ')} {found}, but "
            f"{spec.keypoints} at {spec.size} needs {maps[spec.output]}.",
            "The checkpoint belongs to another keypoint set or the registry row is wrong.",
        )


def decode_output(
    plain: Tensor, mirrored: Tensor | None, protocol: Protocol, spec: InputSpec
) -> Decoded:
    """Decode a network's output for crops and, where the protocol flips, their mirror images.

    Args:
        plain: (N, ...) as ``InputSpec.output`` describes it.
        mirrored: The same for the mirrored crops; used if the protocol flips.
        protocol: Its decoding axes.
        spec: Of the weights.

    Returns:
        Cells (N, K, 2), x before y, where ``spec.stride`` input pixels are a cell; joint scores
        (N, K).
    """
    keypoints = keypoint_set(spec.keypoints)
    if spec.output == "heatmaps":
        return decode_merged(plain, mirrored, protocol, keypoints)
    flip, decode = _OTHERS[spec.output]
    if protocol.flip:
        if mirrored is None:
            raise ValueError("a flip test needs the output for the mirrored crops")
        index = constant(tuple(keypoints.flip_index()), torch.int64, plain.device)
        plain = average(plain, flip(mirrored, index, protocol, spec))
    return decode(plain, protocol, spec)


def _sides(simcc: Tensor, spec: InputSpec) -> tuple[Tensor, Tensor]:
    height, width = spec.size
    across = simcc.shape[-1] * width // (width + height)
    return simcc[..., :across], simcc[..., across:]


def _flip_simcc(simcc: Tensor, index: Tensor, protocol: Protocol, spec: InputSpec) -> Tensor:
    across, down = _sides(simcc[:, index], spec)
    return torch.cat([across.flip(-1), down], dim=-1)


def _simcc(simcc: Tensor, protocol: Protocol, spec: InputSpec) -> Decoded:
    """Highest bin along each side; the joint score is the lower of the two peaks.

    Source: mmpose mmpose/codecs/simcc_label.py.
    """
    (peak_x, x), (peak_y, y) = (side.max(dim=-1) for side in _sides(simcc, spec))
    scores = torch.minimum(peak_x, peak_y)
    bins = simcc.shape[-1] / sum(spec.size)
    coords = torch.stack([x, y], dim=-1).to(simcc.dtype)
    empty = -1.0 if protocol.no_peak == "outside" else 0.0
    return torch.where((scores > 0)[..., None], coords, empty) / bins, scores


def _flip_coordinates(values: Tensor, index: Tensor, protocol: Protocol, spec: InputSpec) -> Tensor:
    """Mirror x; ``Protocol.shift`` moves it left by an input pixel.

    Source: mmpose mmpose/models/utils/tta.py (``flip_coordinates``).
    """
    x = 1.0 - values[:, index, :1]
    if protocol.shift:
        x = x - 1.0 / spec.size[1]
    return torch.cat([x, values[:, index, 1:]], dim=-1)


def _coordinates(values: Tensor, protocol: Protocol, spec: InputSpec) -> Decoded:
    size = constant(spec.size[::-1], values.dtype, values.device)
    return values[..., :2] * size, values[..., 2]


def _flip_offsets(maps: Tensor, index: Tensor, protocol: Protocol, spec: InputSpec) -> Tensor:
    parts = maps.unflatten(1, (-1, 3))
    sign = constant((1.0, -1.0, 1.0), maps.dtype, maps.device).view(3, 1, 1)
    back = flip_back(parts[:, index].flatten(0, 1), (0, 1, 2), shift=protocol.shift)
    return (back.unflatten(0, parts.shape[:2]) * sign).flatten(1, 2)


def _udp_offsets(maps: Tensor, protocol: Protocol, spec: InputSpec) -> Decoded:
    """Peak of the blurred heatmap, plus the offset that the network predicts there.

    Source: mmpose mmpose/codecs/udp_heatmap.py (``combined``).
    """
    parts = maps.unflatten(1, (-1, 3))
    coords, scores = argmax(_blurred(parts[:, :, 0], 2 * protocol.dark_kernel + 1), protocol)
    height, width = maps.shape[-2:]
    x, y = coords.long().unbind(-1)
    joint = torch.arange(parts.shape[1], device=maps.device) * height * width
    # A joint without a peak reads the joint before, as the reference's one long array does.
    place = (joint + y * width + x) % (parts.shape[1] * height * width)
    offsets = [parts[:, :, axis].flatten(1).gather(1, place) for axis in (1, 2)]
    return coords + torch.stack(offsets, dim=-1) * (OFFSET_RADIUS * max(width, height)), scores


def _blurred(maps: Tensor, side: int) -> Tensor:
    """Gaussian blur, mirrored at the border without repeating it (OpenCV's default)."""
    weights, pad = gaussian(side, torch.float32, maps.device), side // 2
    flat = functional.pad(maps.flatten(0, 1)[:, None], (pad, pad, pad, pad), mode="reflect")
    flat = functional.conv2d(flat, weights.view(1, 1, 1, -1))
    return functional.conv2d(flat, weights.view(1, 1, -1, 1)).view(maps.shape)


_OTHERS = {
    "simcc": (_flip_simcc, _simcc),
    "coordinates": (_flip_coordinates, _coordinates),
    "offset_heatmaps": (_flip_offsets, _udp_offsets),
}
