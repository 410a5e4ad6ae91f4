"""Flip test: the prediction of the mirrored crop, brought back and averaged."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from posebench.inference.transfer import constant


def flip_back(heatmaps: Tensor, flip_index: Sequence[int], *, shift: bool) -> Tensor:
    """Bring the heatmaps of mirrored crops back to the plain crop's frame.

    The biased crop puts cell 0 half a stride off the mirror axis, so that the mirrored map comes
    back one cell to the left; ``shift`` moves it right again and leaves column 0 as it is.
    The result is a new tensor: a shift in place reads columns it has already overwritten.

    Args:
        heatmaps: (N, K, H, W) output for the mirrored crops.
        flip_index: K positions; joint k of the plain crop is joint ``flip_index[k]`` here.
        shift: Move by one cell.

    Returns:
        (N, K, H, W).

    Source: deep-high-resolution-net.pytorch lib/core/function.py.
    """
    index = constant(tuple(flip_index), torch.int64, heatmaps.device)
    back = heatmaps.flip(-1).index_select(1, index)
    if shift:
        back = torch.cat([back[..., :1], back[..., :-1]], dim=-1)
    return back


def average(plain: Tensor, flipped_back: Tensor) -> Tensor:
    """Mean of two heatmap stacks, coordinates or scores, as (a + b) * 0.5."""
    return (plain + flipped_back) * 0.5
