"""Protocol: every choice of evaluation that moves a published number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from posebench.types.base import Flag, Frozen, Name, Real, Whole, refusal, within
from posebench.types.paths import FileName

BoxSource = Literal["gt", "detector", "annotation", "none"]
Sanitise = Literal["clip_before_width", "clip_after_width", "clip_after_width_visible", "none"]
Decode = Name  # see ``posebench.inference.plugin_tables.DECODERS``
NoPeak = Literal["origin", "outside"]
# Decoding of outputs that are not heatmaps: ``InputSpec.output`` -> ``Protocol.decode``.
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
ResultArea = Literal["extent", "box"]
Scorer = Name  # see ``posebench.scoring.plugin_tables.SCORERS``

Stage = Literal["persons", "decoding", "selection", "scoring"]


@dataclass(frozen=True)
class Axis:
    """What a choice of evaluation is, besides its type and its default; stands on its field.

    Attributes:
        stage: Where it works: it picks the ``persons``, is part of ``decoding`` the network's
            output, of the ``selection`` of what is reported, or of ``scoring``.  Protocols that
            agree on a stage and on all before it share its results.
        help: One line for its option.
        player: In ``explain`` it moves together with this axis; by default by itself.
        of_model: Belongs to how this network was trained: ``common`` leaves it as the model's own
            protocol has it.
        option: Whether it has an option of its own on the command line.
    """

    stage: Stage
    help: str
    player: str = ""
    of_model: bool = False
    option: bool = True


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
    boxes: Annotated[BoxSource, Axis("persons", "where the persons come from", option=False)]
    box_file: Annotated[
        str | None, Axis("persons", "the detector's boxes by name", "boxes", option=False)
    ] = None
    sanitise: Annotated[
        Sanitise, Axis("persons", "how ground-truth boxes are cleaned", "boxes")
    ] = "none"
    dummy_boxes: Annotated[
        Flag, Axis("persons", "a box at the origin of images without persons", "boxes")
    ] = False
    box_score_threshold: Annotated[
        Real, Axis("persons", "detector boxes below this score are dropped", "boxes")
    ] = 0.0
    flip: Annotated[Flag, Axis("decoding", "average with the mirrored crop")]
    shift: Annotated[Flag, Axis("decoding", "move mirrored heatmaps by one cell")]
    flip_merge: Annotated[
        FlipMerge,
        Axis("decoding", "what the mirrored pass is averaged with", "decode", of_model=True),
    ] = "heatmaps"
    decode: Annotated[Decode, Axis("decoding", "from heatmap to coordinates", of_model=True)]
    no_peak: Annotated[
        NoPeak,
        Axis("decoding", "where a joint without a positive heatmap is", "decode", of_model=True),
    ] = "origin"
    dark_kernel: Annotated[
        Whole,
        within(3, 255),
        AfterValidator(_odd),
        Axis("decoding", "side of the blur kernel of dark, cells", "decode", of_model=True),
    ] = 3
    softargmax_beta: Annotated[
        Real,
        within(0.001, 1_000_000),
        Axis("decoding", "factor before the softmax of softargmax", "decode", of_model=True),
    ] = 160.0
    inverse: Annotated[
        Inverse, Axis("decoding", "from heatmap cells back to pixels", of_model=True)
    ] = "affine"
    coordinate_bias: Annotated[
        Real,
        within(-1000, 1000),
        Axis("decoding", "pixels subtracted from the coordinates", "inverse", of_model=True),
    ] = 0.0
    rescoring: Annotated[Rescoring, Axis("selection", "from joint scores to the instance score")]
    visibility_threshold: Annotated[
        Real, Axis("selection", "joint scores above this count in rescoring", "rescoring")
    ] = 0.2
    nms: Annotated[Nms, Axis("selection", "suppression of duplicate persons")]
    nms_threshold: Annotated[
        Real, Axis("selection", "OKS above which the lower-scored person is dropped", "nms")
    ] = 0.9
    max_detections: Annotated[
        Whole, within(1, 100_000), Axis("scoring", "persons an image that are scored", "scorer")
    ] = 20
    result_area: Annotated[
        ResultArea, Axis("scoring", "what a prediction's size is measured by", "scorer")
    ] = "extent"
    annotations: Annotated[
        FileName,
        Axis("persons", "the annotation file's stem", "scorer", of_model=True, option=False),
    ] = "person_keypoints_val2017"
    scorer: Annotated[Scorer, Axis("scoring", "the evaluator")] = "coco_oks"
    tolerance: Annotated[Real, within(0.05, 100)] = Field(0.05, exclude=True)

    @classmethod
    def axes(cls, *stages: Stage) -> dict[str, Axis]:
        """Return the choices by name: all of them, or those of some stages."""
        return {name: axis for name, axis in _AXES.items() if not stages or axis.stage in stages}

    @classmethod
    def players(cls) -> dict[str, tuple[str, ...]]:
        """Return the axes that move together in ``explain``: player -> axes."""
        found: dict[str, tuple[str, ...]] = {}
        for name, axis in _AXES.items():
            player = axis.player or name
            found[player] = (*found.get(player, ()), name)
        return found

    @classmethod
    def check(cls, choices: Mapping[str, Any], *stages: Stage) -> None:
        """Refuse values that an axis does not have.

        Args:
            choices: Axis -> value.
            stages: Of these alone; all if none is given.

        Raises:
            PydanticCustomError: Of type ``axis``, with the first axis, its value and the reason.
        """
        for name in choices:
            if name not in cls.axes(*stages):
                told = {"axis": name, "value": choices[name]}
                text = f"it works on what is not saved, only {', '.join(cls.axes(*stages))} can be"
                raise PydanticCustomError("axis", text, told)  # type: ignore[arg-type]
        try:
            cls.model_validate(_ANY | dict(choices))
        except ValidationError as error:
            first = error.errors()[0]
            told = {"axis": first["loc"][0], "value": first["input"]}
            raise PydanticCustomError("axis", first["msg"], told) from None  # type: ignore[arg-type]

    def key_of(self, *stages: Stage) -> tuple[Any, ...]:
        """Return the values on the axes of some stages: equal keys share those stages' results."""
        return tuple(getattr(self, name) for name in self.axes(*stages))

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
            raise refusal(error) from None

    def differences(self, other: Protocol) -> dict[str, tuple[Any, Any]]:
        """Return the axes on which two protocols differ: name -> (own, other)."""
        pairs = {axis: (getattr(self, axis), getattr(other, axis)) for axis in self.axes()}
        return {axis: pair for axis, pair in pairs.items() if pair[0] != pair[1]}


# Some value for every axis without a default, so that others can be validated beside them.
_ANY = {
    **{"name": "any", "boxes": "gt", "flip": False, "shift": False},
    **{"decode": "quarter", "rescoring": "none", "nms": "none"},
}
# Field -> its declaration; a field without one does not move a number.
_AXES = {
    name: axis
    for name, field in Protocol.model_fields.items()
    for axis in field.metadata
    if isinstance(axis, Axis)
}


def _words(changes: dict[str, Any]) -> str:
    return ", ".join(f"{axis} {str(value).lower()}" for axis, value in sorted(changes.items()))
