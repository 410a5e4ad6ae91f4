"""Entry and its parts: what the registry knows about one published model."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from posebench.types.base import Frozen, Real, Whole, within
from posebench.types.network_arguments import check_plain
from posebench.types.paths import RelativePath, check_relative

Crop = Literal[
    "hrnet_affine",
    "mmpose_affine",
    "udp_affine",
    "alpha_pose_box",
    "whole_image",
    "whole_image_expand",
    "whole_image_fit",
]
Container = Literal["torch", "mxnet", "paddle", "safetensors", "none"]
Repair = Literal["nonfinite_to_zero"]
Output = Literal["heatmaps", "offset_heatmaps", "simcc", "coordinates", "persons"]
Evidence = Literal["stated", "inferred", "guessed"]
Unit = Literal["percent", "fraction", "M", "G", "iter/s", "images/s", "frames/s", "ms", "persons/s"]
STATUSES = ("runnable", "needs checkpoint", "needs openmmlab", "not built yet")

# Ids name files and folders: dots alone would leave the folder.
Id = Annotated[str, Field(pattern=r"^[a-z0-9_.]*[a-z0-9_][a-z0-9_.]*$", max_length=100)]
# What a published number looks like; float() would also take nan, 1_0 and digits of any script.
_PUBLISHED = re.compile(r"-?[0-9]{1,15}(\.[0-9]{0,15})?")
_WEB = re.compile(r"https?://[\x21-\x7e]+")
# Prefixes of ``Checkpoint.location`` that no URL has, before an identifier.
_IDENTIFIED = re.compile(r"(gdrive|gdrive-folder|baidu):[\w?=&%.+-]+", re.ASCII)
PACKAGE = "package:"


def _status(value: str) -> str:
    if value in STATUSES or value.startswith("broken: "):
        return value
    raise ValueError(f"unknown status {value!r}; one of {', '.join(STATUSES)}, broken: <reason>")


def _published(raw: str) -> str:
    if _PUBLISHED.fullmatch(raw) is None:
        raise ValueError("a published number is digits with at most one point, without its unit")
    return raw


def _web_address(address: str) -> str:
    if address and _WEB.fullmatch(address) is None:
        raise ValueError("a web address begins with http:// or https://")
    return address


def _location(location: str) -> str:
    if location.startswith(PACKAGE):
        check_relative(location.removeprefix(PACKAGE))
    elif not (_WEB.fullmatch(location) or _IDENTIFIED.fullmatch(location)):
        raise ValueError(
            "a location is https://..., gdrive:<id>, gdrive-folder:<id>, baidu:<id> or "
            "package:<path>"
        )
    return location


def _no_switch(value: Any) -> Any:
    # True equals 1, and a Literal looks no further
    if isinstance(value, bool | float):
        raise ValueError("a whole number is expected")
    return value


Status = Annotated[str, AfterValidator(_status)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
Location = Annotated[str, AfterValidator(_location)]
Published = Annotated[str, AfterValidator(_published)]
Side = Annotated[Whole, within(8, 4096)]
Count = Annotated[Whole, within(1, 1_000_000)]
Bytes = Annotated[Whole, within(1, 1 << 44)]
Mean = Annotated[Real, within(-1000, 1000)]
Deviation = Annotated[Real, within(0.001, 1000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")]
Sha256Prefix = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{8,64}$")]
Sha1Prefix = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{8,40}$")]


class InputSpec(Frozen):
    """What the weights were trained on; no protocol may change it.

    Attributes:
        size: Network input (height, width), pixels, 8 to 4096.
        crop: Rule that maps a box to the input. ``hrnet_affine``: three-point affine whose
            destination centre is size/2; ``mmpose_affine``: the same, rounded in mmpose's way;
            ``udp_affine``: corner-aligned, size - 1;
            ``alpha_pose_box``: GluonCV alpha_pose's integer box. Of models without boxes,
            ``whole_image``: the shorter side takes ``size``'s smaller one, about the image's
            rounded centre; ``whole_image_expand``: the image covers ``size``, about its very
            centre; ``whole_image_fit``: it fits into ``size`` (mmpose's ``resize_mode``).
        border: Grey level of what a whole image does not fill.
        grid: ``whole_image_expand`` rounds sides up to a multiple of this, px.
        padding: Factor on the aspect-corrected box.
        pixel_std: Divisor of the stored scale (HRNet holds scale in units of 200 px).
        box_precision: In which the box's centre and size are computed: ``double``, rounded at
            the end, or ``single`` at every step, from the corners (mmpose). Its last bit moves
            bytes of the crop.
        colour: Channel order the network expects.
        levels: Highest grey level when mean and std come: 1, after division by 255, or 255.
        mean: Subtracted, in channel order of the input.
        std: Divisor after the mean; (1, 1, 1) where the zoo uses none.
        exif: Whether the zoo's reader applies the EXIF orientation.
        keypoints: Name of the keypoint set, see ``posebench.keypoints``.
        stride: Input pixels per heatmap cell; 1 where the network gives no heatmaps.
        output: What the network gives for N crops and K joints. ``heatmaps``: (N, K, h, w);
            ``offset_heatmaps``: (N, 3 K, h, w), of each joint a heatmap and the offsets in x and
            y; ``simcc``: (N, K, X + Y), a distribution along each side of the input, which has as
            many bins a pixel on both; ``coordinates``: (N, K, 3), x and y as shares of the input
            and the joint score; ``persons``: (1, P, 5 + 3 K), of each person found in one image
            its score, its box's corners x, y, x, y and each joint's x, y and score, px of the
            input. Of whole images, ``heatmaps`` are followed by as many maps of tags.
    """

    size: tuple[Side, Side]
    crop: Crop = "hrnet_affine"
    border: Annotated[Whole, within(0, 255)] = 0
    grid: Annotated[Whole, within(1, 1024)] = 64
    padding: Annotated[Real, within(0.1, 10)] = 1.25
    pixel_std: Annotated[Real, within(0.01, 1_000_000)] = 200.0
    box_precision: Literal["double", "single"] = "double"
    colour: Literal["rgb", "bgr"] = "rgb"
    levels: Annotated[Literal[1, 255], BeforeValidator(_no_switch)] = 1
    mean: tuple[Mean, Mean, Mean] = (0.485, 0.456, 0.406)
    std: tuple[Deviation, Deviation, Deviation] = (0.229, 0.224, 0.225)
    exif: Literal["apply", "ignore"] = "ignore"
    keypoints: Id = "coco_17"
    stride: Annotated[Whole, within(1, 64)] = 4
    output: Output = "heatmaps"

    @model_validator(mode="after")
    def _has_cells(self) -> InputSpec:
        if min(self.heatmap_size) < 1:
            raise ValueError(f"a stride of {self.stride} leaves no cell of an input {self.size}")
        return self

    @property
    def whole(self) -> bool:
        """Whether the network takes whole images instead of persons cut out."""
        return self.crop.startswith("whole_image")

    @property
    def heatmap_size(self) -> tuple[int, int]:
        """Heatmap (height, width), cells."""
        return self.size[0] // self.stride, self.size[1] // self.stride


class NetworkSpec(Frozen):
    """Which network to build: a name of ``posebench.networks`` and its arguments.

    The arguments are plain values of moderate size here. They are compared with what the network
    takes (``posebench.network_families``) when a row is loaded and when it is built.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_.:]+$", max_length=100)
    arguments: Annotated[dict[str, Any], AfterValidator(check_plain)] = Field(default_factory=dict)


class Checkpoint(Frozen):
    """One published weights file; several entries may share it.

    Attributes:
        container: File format.
        location: ``https://...``, ``gdrive:<id>``, ``gdrive-folder:<id>``,
            ``package:<path>`` (shipped inside posebench) or None where no one published it.
        file_name: Name of the file at that location, or inside the folder.
        sha256: Full digest where known; checked before the file is opened.
        sha256_prefix: Its first digits where the publisher writes them into the file's name
            (OpenMMLab: eight).
        sha1: Full SHA-1 or its published prefix (MXNet).
        size: Bytes, where known.
        licence: Licence of the weights as the zoo states it.
        repair: What the publisher does to the weights after reading them; None for nothing.
            ``nonfinite_to_zero``: NaN and infinite values become 0.
    """

    id: Id
    container: Container
    location: Location | None = None
    file_name: RelativePath | None = None
    sha256: Sha256 | None = None
    sha256_prefix: Sha256Prefix | None = None
    sha1: Sha1Prefix | None = None
    size: Bytes | None = None
    licence: str = ""
    repair: Repair | None = None
    note: str = ""

    @property
    def has_digest(self) -> bool:
        """Whether a digest was published that a file can be compared with."""
        return bool(self.sha256 or self.sha256_prefix or self.sha1)

    @property
    def shipped(self) -> str:
        """Path inside the package of a file that posebench itself ships; empty for all others."""
        location = self.location or ""
        return location.removeprefix(PACKAGE) if location.startswith(PACKAGE) else ""

    @property
    def names(self) -> frozenset[str]:
        """The names that the published file has: given, or the last part of its address."""
        address = self.location if self.location and "://" in self.location else ""
        return frozenset({self.file_name or "", address.rpartition("/")[2]}) - {""}

    def is_file_of(self, other: Checkpoint) -> bool:
        """Whether both are known to be one published file."""
        if self.id == other.id:
            return True
        if self.sha256 is not None and other.sha256 is not None:
            return self.sha256.lower() == other.sha256.lower()
        if self.location is None or (self.location.startswith("gdrive-folder:") and not self.names):
            return False  # nothing says which file it is
        return (self.location, self.file_name) == (other.location, other.file_name)


class Source(Frozen):
    """Where a number was published: a page, its line and the table column (both from 1)."""

    page: str
    line: Count | None = None
    column: Count | None = None
    part: Count = 1


class Claim(Frozen):
    """One published number, exactly as it stands on the page.

    Attributes:
        metric: Metric name of posebench (``AP``, ``PCKh@0.5/head``, ``params``, ``speed``).
        raw: The published characters, decimals kept.
        unit: Unit of ``raw``; ``fraction`` means 0.691 for 69.1 percent.
        protocol: Key of the protocol the number was made with; None for sizes and speeds.
        evidence: How it is known that the number was made under that protocol, by one rule for
            all zoos. ``stated``: the page that prints the number, or a file that it names for
            this row, says every choice that moves it: boxes, flip, decoding, rescoring and
            suppression. ``inferred``: at least one of them is taken from the zoo's code, and
            nothing published contradicts it. ``guessed``: published sources contradict each
            other, or none says it.
        misprint: The right number, as the same zoo prints it elsewhere, where this one is
            printed by mistake; such a claim is never judged.
        hardware: For speeds.
        scope: For speeds: what was inside the clock (``end to end``, ``forward``).
        published_as: The page's own name of the metric where it misleads.
    """

    metric: str
    raw: Published
    unit: Unit = "percent"
    protocol: str | None = None
    evidence: Evidence = "stated"
    misprint: str | None = None
    hardware: str | None = None
    scope: str | None = None
    published_as: str | None = None
    source: Source
    note: str = ""

    @property
    def value(self) -> float:
        """The number in posebench's units: accuracy in percent, other metrics as published."""
        number = float(self.raw)
        return number * 100.0 if self.unit == "fraction" else number

    @property
    def resolution(self) -> float:
        """Half a unit of the last published digit, in the units of ``value``."""
        decimals = len(self.raw.partition(".")[2])
        half = 0.5 * 10.0**-decimals
        return half * 100.0 if self.unit == "fraction" else half

    @property
    def is_accuracy(self) -> bool:
        """Whether an evaluation can confirm this number, or another one of its unit."""
        return self.unit in ("percent", "fraction")

    @property
    def is_judged(self) -> bool:
        """Whether a measurement is compared with this number."""
        return self.is_accuracy and self.misprint is None


class Entry(Frozen):
    """One row of the registry.

    Attributes:
        id: Permanent, file-safe name; unique within the zoo.
        zoo: Slug of the zoo; ``zoo/id`` is unique everywhere.
        short: Short name, shared by rows that differ in dataset or size.
        title: The name on the published page.
        dataset: Id of the dataset of the claims, see ``registry/datasets.yaml``.
        network: How to build it.
        adapter: Naming scheme of the published parameters (``native``, ``paddle``, ``gluon``).
        input: What belongs to the weights.
        checkpoint: The published file.
        claims: Every published number; the first is the primary one.
        protocol: Key of the protocol to evaluate under where no accuracy was published.
        status: Whether it can be run here.
        origin: File and line of the registry row.
    """

    id: Id
    zoo: Id
    short: Id
    title: str
    dataset: Id
    network: NetworkSpec
    adapter: str
    input: InputSpec
    checkpoint: Checkpoint
    claims: tuple[Claim, ...]
    protocol: str | None = None
    licence: str
    citation: str
    homepage: WebAddress = ""
    status: Status = "needs checkpoint"
    note: str = ""
    origin: str = ""

    @property
    def key(self) -> str:
        """``zoo/id``."""
        return f"{self.zoo}/{self.id}"

    @property
    def primary(self) -> Claim | None:
        """The claim that speaks for the entry; None where the zoo published no accuracy."""
        return next((claim for claim in self.claims if claim.is_judged), None)

    @model_validator(mode="after")
    def _misprints_have_their_right_number(self) -> Entry:
        right = {(c.metric, c.protocol, c.raw) for c in self.claims if c.misprint is None}
        for claim in self.claims:
            wanted = (claim.metric, claim.protocol, claim.misprint)
            if claim.misprint is not None and wanted not in right:
                raise ValueError(
                    f"the claim {claim.metric} {claim.raw} is marked as a misprint of "
                    f"{claim.misprint}, which no other claim of {self.id} prints"
                )
        return self
