"""Protocols and verdicts in words that a reader needs no manual for."""

from __future__ import annotations

from posebench.records.verdict import TOLERANCE
from posebench.types.entry import Claim
from posebench.types.protocol import Protocol
from posebench.types.record import ClaimResult, Record

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
}


def protocol_words(protocol: Protocol) -> str:
    """Describe the choices of a protocol in one line."""
    boxes = _BOXES[protocol.boxes]
    if protocol.box_file:
        boxes += f" ({protocol.box_file})"
    if protocol.box_score_threshold > 0:
        boxes += f" scored {protocol.box_score_threshold:g} or more"
    flip = "no flip"
    if protocol.flip:
        flip = "flip" if not protocol.shift else "flip shifted by one cell"
    decode = _DECODE[protocol.decode]
    if protocol.decode == "dark":
        decode += f" (kernel {protocol.dark_kernel})"
    if protocol.decode == "softargmax":
        decode += f" (beta {protocol.softargmax_beta:g})"
    nms = "no suppression"
    if protocol.nms != "none":
        nms = (
            f"{protocol.nms.replace('_', '-').replace('oks', 'OKS')} NMS {protocol.nms_threshold:g}"
        )
    return ", ".join((boxes, flip, decode, nms))


def claimed(claim: Claim) -> str:
    """Return a claim in posebench's units with the published digits, neither more nor fewer."""
    decimals = len(claim.raw.partition(".")[2]) - (2 if claim.unit == "fraction" else 0)
    return f"{claim.value:.{max(0, decimals)}f}"


def verdict_words(result: ClaimResult, record: Record) -> str:
    """Say in one sentence what a verdict means for its claim."""
    verdict = result.verdict
    if verdict == "reproduced":
        return f"Measured on the whole dataset, equal to the claim within {LEEWAY}."
    if verdict.startswith("not contradicted"):
        return f"{subset_words(record)}; the interval contains the claim, which proves little."
    if verdict.startswith("differs (") or verdict.startswith("contradicted"):
        return f"{subset_words(record)}; the interval does not contain the claim."
    if verdict == "differs":
        return "Measured on the whole dataset under the claim's protocol, and not equal to it."
    if verdict == "not comparable":
        axes = "; ".join(result.axes)
        if axes:
            return f"The claim's protocol could not be met ({axes})."
        return "The claim's protocol is a guess, or there is no interval to compare with."
    return "Nothing published speaks about what was measured."


def subset_words(record: Record) -> str:
    """Name the part of the dataset that was evaluated."""
    data = record.dataset
    if data is None:
        return "No dataset"
    part = "All" if data.complete else "A subset:"
    return f"{part} {data.images:,} images with {data.persons:,} persons that count"


def is_subset(record: Record) -> bool:
    """Whether less than the published split was evaluated."""
    return record.dataset is not None and not record.dataset.complete
