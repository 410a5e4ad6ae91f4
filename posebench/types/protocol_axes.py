"""Keyword arguments that override choices of evaluation, for checking types and values.

Written by ``python tools/protocol_axes.py`` from ``posebench.types.protocol.Protocol``; a test
compares the two.
"""

from __future__ import annotations

from pydantic import ConfigDict
from typing_extensions import TypedDict

from posebench.types.base import Flag, Real, Whole
from posebench.types.protocol import (
    FlipMerge,
    Inverse,
    Nms,
    NoPeak,
    Rescoring,
    ResultArea,
    Sanitise,
)


class ProtocolAxes(TypedDict, total=False):
    """Choices of evaluation to override, see ``Protocol``; None is not an override."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]

    sanitise: Sanitise | None
    dummy_boxes: Flag | None
    box_score_threshold: Real | None
    flip: Flag | None
    shift: Flag | None
    flip_merge: FlipMerge | None
    decode: str | None
    no_peak: NoPeak | None
    dark_kernel: Whole | None
    softargmax_beta: Real | None
    inverse: Inverse | None
    coordinate_bias: Real | None
    rescoring: Rescoring | None
    visibility_threshold: Real | None
    nms: Nms | None
    nms_threshold: Real | None
    max_detections: Whole | None
    result_area: ResultArea | None
    scorer: str | None
