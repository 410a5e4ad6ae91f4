"""Requests: what an evaluation or a timing was asked to do, described once and checked once.

The command line, keyword arguments and JSON (of shards and clusters) all become one of these.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from posebench.types.base import Flag, Frozen, GivenPath, Whole, refusal, within
from posebench.types.faults import OnError
from posebench.types.protocol import Protocol, Stage
from posebench.types.protocol_axes import ProtocolAxes
from posebench.types.timing import PLAIN, BenchmarkConfiguration, Form, Method, Precision, Runtime

# Lists are taken for tuples, also where JSON or a caller gives them.
TUPLE = BeforeValidator(lambda given: tuple(given) if isinstance(given, list) else given)
Folders = Annotated[tuple[GivenPath, ...], TUPLE]
BatchSize = Annotated[Whole, within(1, 1_000_000)]
Threads = Annotated[Whole, within(1, 100_000)]
Limit = Annotated[Whole, within(1, 1_000_000_000)]
AnyRequest = TypeVar("AnyRequest", bound="Request")


@dataclass(frozen=True)
class DataPaths:
    """Where the caller says that data is.

    Attributes:
        data_root: Folder in the usual layout; None means ``POSEBENCH_DATA``.
        annotations: Annotation file; None means the usual place under the root.
        images: Image folder; None likewise.
        boxes: Detector file; None likewise.
        limit: Only so many images, see ``Sample``.
    """

    data_root: Path | None = None
    annotations: Path | None = None
    images: Path | None = None
    boxes: Path | None = None
    limit: int | None = None


class Request(Frozen):
    """What both kinds of request have in common.

    Attributes:
        dataset: Dataset of the entry; disambiguates a short name.
        registry: Folders of further rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dataset: str | None = None
    registry: Folders = ()

    @classmethod
    def of(cls: type[AnyRequest], *, further: Sequence[str] = (), **asked: Any) -> AnyRequest:
        """Build a request from keyword arguments: its own, and choices of ``Protocol``.

        Args:
            further: Other names that the caller takes, which a wrong one may be meant to be.
            **asked: Fields of the request, and axes of a protocol to override where it has such.

        Raises:
            UserError: A name is unknown, or a value has the wrong type or is out of bounds.
        """
        try:
            return cls.model_validate(cls._sorted(asked))
        except ValidationError as error:
            raise refusal(error, known=(*cls.names(), *further)) from None

    @classmethod
    def _sorted(cls, asked: dict[str, Any]) -> dict[str, Any]:
        """Put keywords where the fields are."""
        return asked

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all arguments."""
        return tuple(cls.model_fields)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; paths stay as they were given."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls: type[AnyRequest], plain: Mapping[str, Any]) -> AnyRequest:
        """Return what ``to_json`` wrote, or whatever else somebody wrote that has its types.

        Raises:
            UserError: A name is unknown or missing, or a value has the wrong type or size.
        """
        try:
            return cls.model_validate(dict(plain))
        except ValidationError as error:
            raise refusal(error, known=cls.names(), of=" of its request") from None


class _WithChoices(Request):
    """A request that also takes choices of a protocol, as keywords among its own."""

    choices: ProtocolAxes = Field(default_factory=ProtocolAxes)
    stages: ClassVar[tuple[Stage, ...]] = ()

    @field_validator("choices")
    @classmethod
    def _possible(cls, choices: ProtocolAxes) -> ProtocolAxes:
        """Leave out what is not overridden; refuse what no protocol can have."""
        given = {axis: value for axis, value in choices.items() if value is not None}
        Protocol.check(given, *cls.stages)
        return ProtocolAxes(**given)  # type: ignore[typeddict-item]

    @classmethod
    def _sorted(cls, asked: dict[str, Any]) -> dict[str, Any]:
        own = {name: value for name, value in asked.items() if name in cls.model_fields}
        choices = {name: value for name, value in asked.items() if name not in own}
        return {"choices": choices} | own

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all arguments, the choices of a protocol among them."""
        own = tuple(name for name in cls.model_fields if name != "choices")
        options = (name for name, axis in Protocol.axes(*cls.stages).items() if axis.option)
        return (*own, *options)


def _form(given: Any) -> Any:
    return Form.model_validate(given) if isinstance(given, dict) else given


def _boxes(given: Any) -> Any:
    return os.fspath(Path(given).expanduser()) if isinstance(given, os.PathLike) else given


class EvalRequest(_WithChoices):
    """What one evaluation is asked to do.

    Attributes:
        model: Id or short name of the registry.
        protocol: ``claim``, ``common`` or a protocol's name.
        boxes: ``gt``, ``detector`` or a detector's JSON file; overrides the protocol.
        checkpoint: Weights file as the zoo publishes it.
        data_root: Folder with annotations and images; default ``POSEBENCH_DATA``.
        annotations: Annotation file, if not in the usual place.
        images: Image folder, likewise.
        device: ``cpu`` or ``cuda:N``.
        batch_size: Persons in a batch.
        threads: That read and crop; default as many as torch uses.
        limit: Only so many images, see ``Sample``.
        form: In which the network is computed; only exact ones.
        on_error: ``fail`` or ``skip`` images and annotations that cannot be used.
        choices: Axes of ``Protocol`` to override; None is not an override.

    Example:
        >>> EvalRequest.of(model="demo_s", flip=False, limit=10).choices
        {'flip': False}
    """

    model: Annotated[str, Field(min_length=1)]
    protocol: str = "claim"
    boxes: Annotated[str | None, BeforeValidator(_boxes)] = None
    checkpoint: GivenPath | None = None
    data_root: GivenPath | None = None
    annotations: GivenPath | None = None
    images: GivenPath | None = None
    device: str = "cpu"
    batch_size: BatchSize = 64
    threads: Threads | None = None
    limit: Limit | None = None
    form: Annotated[Form, BeforeValidator(_form)] = PLAIN
    on_error: OnError = "fail"

    @property
    def data_paths(self) -> DataPaths:
        """Where the caller says that data is."""
        file = None if self.boxes in (None, "gt", "detector") else Path(self.boxes)
        return DataPaths(self.data_root, self.annotations, self.images, file, self.limit)


class ScoringContext(_WithChoices):
    """Which data saved predictions were made for, and how they are to be scored.

    Attributes:
        dataset: Id of the registry; a record knows its own.
        data_root: Folder in the usual layout; default ``POSEBENCH_DATA``.
        annotations: Annotation file, if not in the usual place.
        limit: Only so many images, see ``Sample``; a record knows its own.
        protocol: Name of a protocol whose choices count; by default the record's, else HRNet's
            rescoring and suppression with the dataset's official scorer.
        choices: Axes of selection and scoring to override; None is not an override.

    Example:
        >>> ScoringContext.of(dataset="coco", nms="none").choices
        {'nms': 'none'}
    """

    stages = ("selection", "scoring")

    data_root: GivenPath | None = None
    annotations: GivenPath | None = None
    limit: Limit | None = None
    protocol: str | None = None


# Fields of an ``EvalRequest`` whose values differ between machines.
PATHS = ("checkpoint", "data_root", "annotations", "images")


class SpeedRequest(Request):
    """Which models are to be timed, and how.

    Attributes:
        models: Ids or short names of the registry; empty for all that can be timed here.
        device: ``cpu`` or ``cuda:N``; None takes the first accelerator, else the CPU.
        batch_size: Persons in a batch; never made smaller.
        precision: ``tf32`` exists on accelerators only.
        fold: BatchNorms into the convolutions before them.
        channels_last: Layout of the activations.
        compiled: By ``torch.compile``.
        runtime: What computes the network; others than torch on a CPU only.
        threads: Of the network on a CPU, and of reading; default as many as torch would take.
        flip: Compute each person mirrored too.
        method: ``gluoncv`` repeats that zoo's harness.
        quick: Fewer iterations.
        images: Folder of image files to time end to end with; None draws some.
    """

    models: Annotated[tuple[str, ...], TUPLE] = ()
    device: str | None = None
    batch_size: BatchSize = 64
    precision: Precision = "fp32"
    fold: Flag = False
    channels_last: Flag = False
    compiled: Flag = False
    runtime: Runtime = "torch"
    threads: Threads | None = None
    flip: Flag = False
    method: Method = "posebench"
    quick: Flag = False
    images: GivenPath | None = None

    @property
    def form(self) -> Form:
        """In which the network is computed."""
        return Form(
            precision=self.precision,
            folded=self.fold,
            channels_last=self.channels_last,
            compiled=self.compiled,
            runtime=self.runtime,
        )

    def cell(
        self, *, device: str, hardware: str, threads: int, images: str = "drawn"
    ) -> BenchmarkConfiguration:
        """Return the request without its models, resolved on a machine.

        Args:
            device: ``cpu`` or ``cuda:N``.
            hardware: Its name.
            threads: Of the network on a CPU, and of reading.
            images: ``drawn``, or the digest of given ones.
        """
        return BenchmarkConfiguration(
            device=device,
            hardware=hardware,
            batch_size=self.batch_size,
            form=self.form,
            threads=threads,
            flip=self.flip,
            method=self.method,
            quick=self.quick,
            images=images,
        )
