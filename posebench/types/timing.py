"""What a timing was asked to do, on which machine, and what it found."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from posebench.types.base import Flag, Frozen, Name

Precision = Literal["fp32", "tf32", "bf16", "fp16"]
Runtime = Name  # ``torch``, or a key of ``posebench.inference.plugin_tables.RUNTIMES``
Method = Literal["posebench", "gluoncv"]
# Wider than any machine: what lies outside is damage, and would make every other figure unreadable.
Seconds = Annotated[float, Field(ge=0, le=1e6)]
Rate = Annotated[float, Field(ge=1e-9, le=1e12)]
Amount = Annotated[float, Field(ge=0, le=1e18)]
Count = Annotated[int, Field(ge=0, le=1 << 53)]


class Form(Frozen):
    """In which form a network is computed; the weights stay those of its file.

    Attributes:
        precision: Of weights and products; ``tf32`` is float32 whose products are rounded.
        folded: BatchNorms folded into the convolutions before them.
        channels_last: Activations with the channel as the fastest axis.
        compiled: By ``torch.compile``.
        runtime: What computes it.
    """

    precision: Precision = "fp32"
    folded: Flag = False
    channels_last: Flag = False
    compiled: Flag = False
    runtime: Runtime = "torch"

    @property
    def words(self) -> str:
        """Everything that differs from ``plain``: the network as it was built, in float32."""
        flags = (
            (self.runtime, self.runtime != "torch"),
            ("folded", self.folded),
            ("channels-last", self.channels_last),
            ("compiled", self.compiled),
            (self.precision, self.precision != "fp32"),
        )
        return ", ".join(word for word, said in flags if said) or "plain"

    @property
    def exact(self) -> bool:
        """Whether only rounding may differ from the plain form."""
        return self.precision == "fp32"


PLAIN = Form()


class Execution(Form):
    """How a network was computed, and what had been asked for.

    Attributes:
        requested: ``eager``, or in words the form that was asked for; None where that is not
            known.
    """

    requested: str | None = None

    @classmethod
    def of(cls, form: Form) -> Execution:
        """Return the execution of a form that was asked for as it stands."""
        requested = "eager" if form == PLAIN else form.words
        return cls(**form.model_dump(), requested=requested)

    @property
    def configuration(self) -> dict[str, str | bool]:
        """What was computed, whatever had been asked for: two equal ones measure the same."""
        return self.model_dump(exclude={"requested"})


class BenchmarkConfiguration(Frozen):
    """What was asked to be timed, apart from the model.

    Attributes:
        device: ``cpu`` or ``cuda:N``.
        hardware: Name of the processor or accelerator.
        batch_size: Persons in a batch.
        threads: Of the network on a CPU, and of those that read and crop.
        flip: Whether each person is also computed mirrored.
        method: ``posebench``, or ``gluoncv`` for that zoo's own harness.
        quick: Fewer iterations than a figure to be quoted needs.
        images: ``drawn``, or the digest of given ones.
    """

    device: str
    hardware: str
    batch_size: int = 64
    form: Form = Form()
    threads: int = 1
    flip: bool = False
    method: Method = "posebench"
    quick: bool = False
    images: str = "drawn"


class Timings(Frozen):
    """How long it took.

    Attributes:
        scope: What was inside the clock: ``forward`` is the network alone, on crops that lie on
            its device; ``end to end`` begins with the image file and ends with the keypoints.
        batch_size: Crops a forward pass; whole images for a bottom-up model.
        counted: What ``persons_per_second`` counts: ``images`` for a bottom-up model, which
            takes as long for one person as for twenty.
        seconds: Raw samples: one per timed iteration.
        persons_per_second: Batch size over the median sample; under GluonCV's method, all
            persons over the sum of the samples.
        relative_iqr: Interquartile range over the median.
        device: ``cpu`` or ``cuda:N``.
        parameters: Learned numbers of the network.
        gmacs: 1e9 multiply-accumulates for one person, without its mirror image.
        flip: Whether each person was also computed mirrored.
        form: In words, see ``Form``.
        percentiles: ``p50``, ``p90``, ``p95``, ``p99`` of ``seconds``.
        warm_up: Untimed iterations before.
        overhead: Seconds an iteration takes with a network that computes nothing: the harness
            alone (forward), or reading, cropping and decoding alone (end to end).
        memory: Peak bytes: ``allocated`` and ``reserved`` on an accelerator, ``rss`` of the
            process on a CPU.
        flops_per_second: Two for each multiply-accumulate that was needed, over the median.
        ceiling: What a matrix product of the same precision reached in the same run, FLOP/s.
        joules_per_1000: Energy of the accelerator for 1,000 persons.
        error: Largest difference of the last timed batch to an untimed plain float32 run, over
            the peak of that run's heatmaps.
        tolerance: That ``error`` had to stay below.
        data: End to end: which images, and how many persons an image.
        flags: Why not to quote this figure, in words; empty if nothing is known against it.
    """

    scope: Literal["forward", "end to end"]
    batch_size: int = Field(ge=1, le=1 << 30)
    seconds: tuple[Seconds, ...] = Field(min_length=1)
    persons_per_second: Rate
    counted: Literal["persons", "images"] = "persons"
    relative_iqr: Amount
    device: str
    threads: int
    parameters: Count
    gmacs: Amount | None = None
    flip: bool = False
    form: str = "plain"
    percentiles: dict[str, Seconds] = Field(default_factory=dict)
    warm_up: int = 0
    overhead: float | None = None
    memory: dict[str, Count] = Field(default_factory=dict)
    flops_per_second: Amount | None = None
    ceiling: Amount | None = None
    joules_per_1000: Amount | None = None
    error: float | None = None
    tolerance: float | None = None
    data: str = ""
    flags: tuple[str, ...] = ()

    @property
    def share_of_ceiling(self) -> float | None:
        """Part of the machine's matrix-product rate that the network reached."""
        if self.flops_per_second is None or not self.ceiling:
            return None
        return self.flops_per_second / self.ceiling


class AcceleratorState(Frozen):
    """What an accelerator says of itself at one moment; None or empty where it does not.

    Attributes:
        clock_mhz: Of its multiprocessors.
        clock_limit_mhz: The highest it can run at.
        memory_clock_mhz: Of its memory.
        temperature: Degrees Celsius.
        watts: Power drawn.
        throttled: Why it runs slower than it could.
        foreign_processes: Others that hold memory on it.
    """

    clock_mhz: int | None = None
    clock_limit_mhz: int | None = None
    memory_clock_mhz: int | None = None
    temperature: int | None = None
    watts: float | None = None
    throttled: tuple[str, ...] = ()
    foreign_processes: int | None = None


class Machine(Frozen):
    """The machine while it was timed; no host name.

    Attributes:
        processor: Its model name.
        cores: Logical ones this process may use.
        governor: Of the processors' clock; None where the system does not say.
        load_average: Of the last minute, before timing.
        foreign_cores: How many cores other processes kept busy meanwhile, on average.
        threads: Of the network.
        interop_threads: Of operators side by side.
        accelerator: Name and driver; None on a CPU.
        cudnn_benchmark: Whether cuDNN tried its algorithms first.
        tf32: Whether float32 products were rounded.
        states: Of the accelerator, before timing and while it was still at work.
    """

    processor: str
    cores: int
    governor: str | None = None
    load_average: float | None = None
    foreign_cores: float | None = None
    threads: int
    interop_threads: int
    accelerator: str | None = None
    cudnn_benchmark: bool | None = None
    tf32: bool | None = None
    states: tuple[AcceleratorState, ...] = ()
