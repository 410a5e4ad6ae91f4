"""Protocols and verdicts in words that a reader needs no manual for."""

from __future__ import annotations

from collections.abc import Callable

from posebench.records.verdict import (
    CONSISTENT,
    DIFFERS,
    FEWEST_IMAGES,
    NOT_COMPARABLE,
    OUTSIDE,
    REPRODUCED,
    TOLERANCE,
    is_neutral,
)
from posebench.types.entry import Claim
from posebench.types.protocol import Protocol
from posebench.types.record import ClaimResult, DatasetInfo, Record

LEEWAY = f"half of its last digit plus {TOLERANCE:g}"

_BOXES = {
    "gt": "ground-truth boxes",
    "detector": "detector boxes",
    "annotation": "the annotation's own centre and scale",
    "none": "no boxes (bottom-up)",
}
_DECODE = {
    "argmax": "the heatmap's maximum",
    "quarter": "maximum plus a quarter cell",
    "dark": "DARK",
    "softargmax": "soft-argmax plus a quarter cell",
    "integral_sigmoid": "integral over the heatmap",
    "combined": "heatmap and integral combined",
    "associative_embedding": "grouping by tags",
    "associative_embedding_filled": "grouping by tags, every joint filled",
    "quarter_each_axis": "maximum plus a quarter cell",
    "dark_udp": "DARK of UDP",
    "quarter_and_half": "maximum of the blurred heatmap plus a half and a quarter cell",
    "udp_offsets": "maximum plus the offset predicted there",
    "simcc": "maximum along each side",
    "coordinates": "regressed coordinates",
    "own": "the model's own",
}


def describe_protocol(protocol: Protocol) -> str:
    """Describe the choices of a protocol in one line."""
    flip = "no flip"
    if protocol.flip:
        flip = "flip" if not protocol.shift else "flip shifted by one cell"
    return ", ".join(
        (_describe_box(protocol), flip, _describe_decode(protocol), _describe_nms(protocol))
    )


def claimed(claim: Claim) -> str:
    """Return a claim in posebench's units with the published digits, neither more nor fewer."""
    decimals = len(claim.raw.partition(".")[2]) - (2 if claim.unit == "fraction" else 0)
    return f"{claim.value:.{max(0, decimals)}f}"


def describe_verdict(result: ClaimResult, record: Record) -> str:
    """Say in one sentence what a verdict means for its claim."""
    verdict = result.verdict
    if verdict == REPRODUCED:
        return f"Measured on the whole dataset, equal to the claim within {LEEWAY}."
    if verdict == DIFFERS:
        return "Measured on the whole dataset under the claim's protocol, and not equal to it."
    if is_neutral(verdict):
        return f"{describe_subset(record)}; {_subset_meaning(result, record)}"
    if verdict == NOT_COMPARABLE:
        axes = "; ".join(result.axes)
        if axes:
            return f"The claim was made under other conditions ({axes})."
        return "The claim's protocol is a guess, or there is no interval to compare with."
    return "Nothing published speaks about what was measured."


def _subset_meaning(result: ClaimResult, record: Record) -> str:
    level = ""
    if result.verdict_interval not in (None, result.interval):
        low, high = result.verdict_interval or (0.0, 0.0)
        together = sum(each.verdict_interval is not None for each in record.claims)
        level = f" (widened to {low:.2f} to {high:.2f} for {together} claims judged together)"
    if result.verdict.startswith(CONSISTENT):
        return f"the interval{level} contains the claim, which proves little."
    if result.verdict.startswith(OUTSIDE):
        return f"the interval{level} does not contain the claim; the whole dataset decides."
    if result.interval is not None and result.interval[0] == result.interval[1]:
        return "the interval has no width, which says nothing."
    return f"fewer than {FEWEST_IMAGES} of the images have such a person: the interval says little."


def describe_subset(record: Record) -> str:
    """Name the part of the dataset that was evaluated."""
    if record.dataset is None:
        return "No dataset"
    if record.skipped is not None:
        return f"Less than all, see what was skipped: {_counted(record.dataset)}"
    return describe_data(record.dataset)


def describe_data(data: DatasetInfo) -> str:
    """Name the part of a dataset that was measured on, and what shows that it is the whole."""
    if data.complete:
        return f"All {_counted(data)}" + (", complete by counts" * (data.complete_by == "counts"))
    if data.own_data:
        return f"Own data: {_counted(data)}"
    if data.sample is not None:
        return f"A subset: {_counted(data)}"
    return f"A subset, not proven: {_counted(data)}"


def _counted(data: DatasetInfo) -> str:
    return f"{data.images:,} images with {data.persons:,} persons that count"


def is_subset(record: Record) -> bool:
    """Whether less than the published split was evaluated."""
    return record.dataset is not None and not record.dataset.complete


# The joints and pairs of joints that MPII's tables have a column for.
PCKH_GROUPS = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def is_joint_metric(name: str) -> bool:
    """Whether a metric speaks of one keypoint that no table publishes: ``similarity/nose``."""
    metric, _, what = name.partition("/")
    return metric == "similarity" or (metric.startswith("PCKh") and what not in ("", *PCKH_GROUPS))


def describe_axis(protocol: Protocol, axis: str) -> str:
    """Describe one choice of a protocol in a few words.

    Args:
        protocol: The choices.
        axis: ``boxes``, ``flip``, ``shift``, ``decode``, ``inverse``, ``rescoring``, ``nms`` or
            ``scorer``; axes that belong to it are said with it.
    """
    return _AXIS_WORDS[axis](protocol)


def describe_selection(protocol: Protocol) -> str:
    """Describe how persons were scored and suppressed, and by which scorer."""
    return ", ".join(describe_axis(protocol, axis) for axis in ("rescoring", "nms", "scorer"))


def _describe_box(protocol: Protocol) -> str:
    words = _BOXES[protocol.boxes]
    if protocol.box_file:
        words += f" ({protocol.box_file})"
    if protocol.box_score_threshold > 0:
        words += f" scored {protocol.box_score_threshold:g} or more"
    return words


def _describe_decode(protocol: Protocol) -> str:
    # a decoder of another package goes by its name
    words = _DECODE.get(protocol.decode, protocol.decode.replace("_", " "))
    if protocol.decode in ("dark", "dark_udp", "quarter_and_half", "udp_offsets"):
        words += f" (kernel {protocol.dark_kernel})"
    if protocol.decode == "softargmax":
        words += f" (beta {protocol.softargmax_beta:g})"
    return words


def _describe_nms(protocol: Protocol) -> str:
    if protocol.nms == "none":
        return "no suppression"
    name = protocol.nms.replace("_", "-").replace("oks", "OKS")
    return f"{name} NMS {protocol.nms_threshold:g}"


def _describe_rescoring(protocol: Protocol) -> str:
    words = protocol.rescoring.replace("_", " ")
    if "visible" in protocol.rescoring:
        words += f" above {protocol.visibility_threshold:g}"
    return words


def _describe_inverse(protocol: Protocol) -> str:
    words = protocol.inverse.replace("_", " ")
    return f"{words}, minus {protocol.coordinate_bias:g} px" if protocol.coordinate_bias else words


_AXIS_WORDS: dict[str, Callable[[Protocol], str]] = {
    "boxes": _describe_box,
    "flip": lambda protocol: "flip" if protocol.flip else "no flip",
    "shift": lambda protocol: "shifted by one cell" if protocol.shift else "no shift",
    "decode": _describe_decode,
    "inverse": _describe_inverse,
    "rescoring": _describe_rescoring,
    "nms": _describe_nms,
    "scorer": lambda protocol: protocol.scorer.replace("_", " "),
}
