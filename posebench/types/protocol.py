"""Protocol: every choice of evaluation that moves a published number."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError

from posebench.types.base import Flag, Frozen, Name, Real, Whole, within
from posebench.types.errors import UserError
from posebench.types.paths import FileName

BoxSource = Literal["gt", "detector", "annotation", "none"]
Sanitise = Literal["clip_before_width", "clip_after_width", "clip_after_width_visible", "none"]
Decode = Name  # see ``posebench.inference.plugin_tables.DECODERS``
NoPeak = Literal["origin", "outside"]
# Decoding of outputs that are no heatmaps: ``InputSpec.output`` -> ``Protocol.decode``.
DECODE_OF_OUTPUT = {
    "offset_heatmaps": "udp_offsets",
    "simcc": "simcc",
    "coordinates": "coordinates",
    "persons": "own",
}
# Decodings of whole images' heatmaps and tags.
GROUPINGS = ("associative_embedding", "associative_embedding_filled")
FlipMerge = Literal["heatmaps", "coordinates", "by_part"]
Inverse = Literal["affine", "udp", "alpha_pose"]
Rescoring = Literal[
    "box_times_mean_visible", "mean_visible", "alphapose_2019", "alphapose_2022", "none"
]
Nms = Literal["none", "oks", "soft_oks", "alphapose"]
Scorer = Name  # see ``posebench.scoring.plugin_tables.SCORERS``

# Fields of ``Protocol`` that do not move a number.
NO_CHOICES = ("name", "version", "summary", "tolerance")


def _odd(side: int) -> int:
    if side % 2 == 0:
        raise ValueError("a kernel has a middle, so its side is odd")
    return side


class Protocol(Frozen):
    """One named and versioned way to turn a network's outputs into a score.

    What belongs to the weights (input size, crop, colours) is not here but in ``InputSpec``.
    A released protocol never changes: a correction is a new version.

    Attributes:
        boxes: Where persons come from: ``gt`` annotations, a ``detector`` file, the
            ``annotation``'s own centre and scale (MPII), or ``none`` (bottom-up).
        box_file: Name of the detector file a claim was made with, e.g. ``det56``.
        sanitise: How ground-truth boxes are cleaned; a detector's stay as they are.
            ``clip_before_width``: x and y are clipped to the image first, then width and height
            shrink by one pixel and are clipped.
            ``clip_after_width``: the width shrinks first, then both corners are clipped.
            ``clip_after_width_visible``: the same, for persons with a joint of visibility 0.35
            or more, whatever their area says (AlphaPose's whole-body evaluations).
        dummy_boxes: A box at the image origin for every image without persons (GluonCV's
            alpha_pose evaluation).
        box_score_threshold: Detector boxes below this score are dropped.
        flip: Average the prediction with that of the mirrored crop.
        shift: Move the mirrored heatmaps one cell to the right before averaging.
        flip_merge: Average ``heatmaps`` before decoding, ``coordinates`` and scores after it, or
            ``by_part``: heatmaps where ``combined`` takes peaks, coordinates where it integrates.
        decode: From the network's output to coordinates, see ``posebench.inference``. ``simcc``
            and ``coordinates`` belong to networks that give no heatmaps, ``own`` to those that
            give persons. Of ``associative_embedding``, PaddleDetection's way of grouping joints,
            ``_filled`` is mmpose's, which gives every person every joint.
        no_peak: Where a joint whose heatmap is nowhere positive stands: in the ``origin``, the
            first cell, or ``outside``, one cell before it in both directions.
        dark_kernel: Side of the blur kernel of ``dark``, ``dark_udp``, ``quarter_and_half`` and
            ``udp_offsets``, cells.
        softargmax_beta: Factor on the heatmap before the softmax of ``softargmax``.
        inverse: From heatmap cells back to image pixels.
        coordinate_bias: Pixels subtracted from the final coordinates (LPN on MPII: 1).
        rescoring: From joint scores and box score to the instance score.
        visibility_threshold: Joint scores must exceed this to count in the instance score.
        nms: Suppression of duplicate persons in an image.
        nms_threshold: OKS above which the lower-scored person is dropped.
        max_detections: Persons an image that the scorer looks at.
        result_area: What the scorer takes for a prediction's area: the ``extent`` of its
            keypoints, or the ``box`` it was cropped from (results written with a ``bbox``).
            Moves only the figures by person size.
        annotations: Stem of the annotation file.
        scorer: The evaluator.
        tolerance: Points by which a measurement may miss, beside half its last digit, a claim of
            which it is only inferred that it was made under this protocol.  No choice of
            evaluation: it is neither hashed nor written into records.
    """

    name: str
    version: Annotated[Whole, within(1, 1_000_000)] = 1
    summary: str = ""
    boxes: BoxSource
    box_file: str | None = None
    sanitise: Sanitise = "none"
    dummy_boxes: Flag = False
    box_score_threshold: Real = 0.0
    flip: Flag
    shift: Flag
    flip_merge: FlipMerge = "heatmaps"
    decode: Decode
    no_peak: NoPeak = "origin"
    dark_kernel: Annotated[Whole, within(3, 255), AfterValidator(_odd)] = 3
    softargmax_beta: Annotated[Real, within(0.001, 1_000_000)] = 160.0
    inverse: Inverse = "affine"
    coordinate_bias: Annotated[Real, within(-1000, 1000)] = 0.0
    rescoring: Rescoring
    visibility_threshold: Real = 0.2
    nms: Nms
    nms_threshold: Real = 0.9
    max_detections: Annotated[Whole, within(1, 100_000)] = 20
    result_area: Literal["extent", "box"] = "extent"
    annotations: FileName = "person_keypoints_val2017"
    scorer: Scorer = "coco_oks"
    tolerance: Annotated[Real, within(0.05, 100)] = Field(0.05, exclude=True)

    @classmethod
    def axes(cls) -> tuple[str, ...]:
        """Names of the choices."""
        return tuple(f for f in cls.model_fields if f not in NO_CHOICES)

    @property
    def key(self) -> str:
        """``name@version``, the way claims and users name a protocol."""
        return f"{self.name}@{self.version}"

    @property
    def label(self) -> str:
        """``key``, or of a protocol made on the spot what it was made from."""
        return self.summary if self.name == "custom" else self.key

    def choices(self) -> dict[str, Any]:
        """Return the axes that differ from the defaults, without names and words.

        Defaults are left out so that a later version of posebench may add an axis
        without changing the hash of protocols that do not use it.
        """
        return self.model_dump(exclude={"name", "version", "summary"}, exclude_defaults=True)

    @property
    def hash(self) -> str:
        """SHA-256 over the choices (not the name): equal hashes mean equal evaluation."""
        text = json.dumps(self.choices(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def with_choices(self, **changes: Any) -> Protocol:
        """Return a copy with some axes changed, renamed ``custom`` unless nothing changed.

        Raises:
            UserError: A value is not one that its axis has.
        """
        changed = {k: v for k, v in changes.items() if v is not None and v != getattr(self, k)}
        if not changed:
            return self
        fields = self.model_dump() | changed
        base = self.label
        labels = {"name": "custom", "version": 1, "summary": f"{base} with {_words(changed)}"}
        try:
            return Protocol.model_validate(fields | labels)
        except ValidationError as error:
            first = error.errors()[0]
            reason = first["msg"].removeprefix("Value error, ")
            reason = reason[:1].lower() + reason[1:]
            raise UserError(
                f"{first['loc'][0]} cannot be {first['input']!r}: {reason}.",
                "Give another value, or leave it out.",
            ) from None

    def differences(self, other: Protocol) -> dict[str, tuple[Any, Any]]:
        """Return the axes on which two protocols differ: name -> (own, other)."""
        pairs = {axis: (getattr(self, axis), getattr(other, axis)) for axis in self.axes()}
        return {axis: pair for axis, pair in pairs.items() if pair[0] != pair[1]}


def _words(changes: dict[str, Any]) -> str:
    return ", ".join(f"{axis} {str(value).lower()}" for axis, value in sorted(changes.items()))
