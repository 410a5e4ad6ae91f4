"""``score``, ``compare``, ``diagnose``, ``explain``: of files, names and keywords."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import Unpack

from posebench.analysis import compare as comparing
from posebench.analysis import diagnose as diagnosing
from posebench.analysis import explain as explaining
from posebench.analysis import score as scoring
from posebench.progress import Progress, shown
from posebench.scoring.bootstrap import RESAMPLES
from posebench.scoring.reference_evaluators import OWN
from posebench.types.base import StrPath, required_path
from posebench.types.comparison import Comparison, Scored
from posebench.types.diagnosis import Diagnosis
from posebench.types.explanation import Explanation
from posebench.types.faults import OnError
from posebench.types.protocol_axes import ProtocolAxes
from posebench.types.request import EvalRequest, ScoringContext
from posebench.types.timing import PLAIN, Form


def score(
    predictions: StrPath,
    *,
    dataset: str | None = None,
    data_root: StrPath | None = None,
    annotations: StrPath | None = None,
    limit: int | None = None,
    protocol: str | None = None,
    registry: Sequence[StrPath] = (),
    engine: str = OWN,
    **choices: Unpack[ProtocolAxes],
) -> Scored:
    """Score saved predictions again: posebench's own, or another tool's.

    Args:
        predictions: A record with saved predictions, posebench's columnar file, or a results
            file in COCO's format.
        dataset: Id of the registry; a record knows its own.
        data_root: Folder in the usual layout; default ``POSEBENCH_DATA``.
        annotations: Annotation file, if not in the usual place.
        limit: Only so many images; a record knows its own.
        protocol: Name of a protocol whose choices count; by default the record's, else HRNet's
            rescoring and suppression with the dataset's official scorer.
        registry: Folders of further rows.
        engine: ``own``, or the name of a published evaluator that is installed.
        **choices: Axes of selection and scoring to override, e.g. ``nms="none"``.

    Returns:
        Scores in percent with their 95 % intervals, and what was scored.

    Raises:
        UserError: A file is missing or does not fit, or a value is wrong.

    Example:
        >>> import posebench, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> record = posebench.evaluate(
        ...     "demo_s", dataset="synthetic", limit=4, threads=1, save_predictions=folder
        ... )
        >>> import glob
        >>> [file] = glob.glob(f"{folder}/*.npz")
        >>> again = posebench.score(file, dataset="synthetic", limit=4)
        >>> again.scores["AP"] == record.scores["AP"]
        True
    """
    context = ScoringContext.of(
        dataset=dataset, data_root=data_root, annotations=annotations, limit=limit,
        protocol=protocol, registry=registry, **choices,
    )  # fmt: skip
    return scoring.score(required_path(predictions), context, engine=engine)


def compare(
    first: StrPath,
    second: StrPath,
    *,
    dataset: str | None = None,
    data_root: StrPath | None = None,
    annotations: StrPath | None = None,
    limit: int | None = None,
    protocol: str | None = None,
    registry: Sequence[StrPath] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
    force: bool = False,
    metrics: Sequence[str] = (),
    **choices: Unpack[ProtocolAxes],
) -> Comparison:
    """Compare two sets of predictions on the same images: difference, interval and p-value.

    Args:
        first: A record with saved predictions, a columnar file or a results file.
        second: Likewise; its scores minus the first's are the differences.
        dataset: As for ``score``, and so are the other arguments on data and choices.
        data_root: Folder in the usual layout; default ``POSEBENCH_DATA``.
        annotations: Annotation file, if not in the usual place.
        limit: Only so many images.
        protocol: Name of a protocol whose choices count.
        registry: Folders of further rows.
        resamples: Bootstrap samples of images, the same for both.
        seed: Of the bootstrap samples.
        force: Compare even what was measured on other images or other boxes; then only the
            images that both were measured on count.
        metrics: Only these, in their order; if empty all.
        **choices: Axes of selection and scoring to override.

    Returns:
        One difference for each metric, in percentage points.

    Raises:
        UserError: They were measured on other data or other boxes, or a file does not fit.

    Example:
        >>> import glob, posebench, tempfile
        >>> files = []
        >>> for model in ("demo_s", "demo_m"):
        ...     folder = tempfile.mkdtemp()
        ...     _ = posebench.evaluate(
        ...         model, dataset="synthetic", limit=4, threads=1, save_predictions=folder
        ...     )
        ...     files += glob.glob(f"{folder}/*.npz")
        >>> found = posebench.compare(*files, dataset="synthetic", limit=4, resamples=50)
        >>> found.differences[0].metric
        'AP'
    """
    context = ScoringContext.of(
        dataset=dataset, data_root=data_root, annotations=annotations, limit=limit,
        protocol=protocol, registry=registry, **choices,
    )  # fmt: skip
    return comparing.compare(
        required_path(first),
        required_path(second),
        context,
        resamples=resamples,
        seed=seed,
        force=force,
        metrics=metrics,
    )


def diagnose(
    predictions: StrPath,
    *,
    dataset: str | None = None,
    data_root: StrPath | None = None,
    annotations: StrPath | None = None,
    limit: int | None = None,
    protocol: str | None = None,
    registry: Sequence[StrPath] = (),
    **choices: Unpack[ProtocolAxes],
) -> Diagnosis:
    """Count which errors stand between saved predictions and a perfect score.

    Args:
        predictions: A record with saved predictions, a columnar file or a results file.
        dataset: As for ``score``, and so are the other arguments.
        data_root: Folder in the usual layout; default ``POSEBENCH_DATA``.
        annotations: Annotation file, if not in the usual place.
        limit: Only so many images.
        protocol: Name of a protocol whose choices count.
        registry: Folders of further rows.
        **choices: Axes of selection and scoring to override.

    Returns:
        Counts of jitter, inversion, swap, miss and background, and what correcting each brings.

    Raises:
        UserError: A file is missing or does not fit, or the scorer does not use OKS.

    Example:
        >>> import glob, posebench, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = posebench.evaluate(
        ...     "demo_s", dataset="synthetic", limit=4, threads=1, save_predictions=folder
        ... )
        >>> [file] = glob.glob(f"{folder}/*.npz")
        >>> found = posebench.diagnose(file, dataset="synthetic", limit=4)
        >>> found.persons
        11
    """
    context = ScoringContext.of(
        dataset=dataset, data_root=data_root, annotations=annotations, limit=limit,
        protocol=protocol, registry=registry, **choices,
    )  # fmt: skip
    return diagnosing.diagnose(required_path(predictions), context)


def explain(
    model: str,
    *,
    metric: str | None = None,
    dataset: str | None = None,
    protocol: str = "common",
    boxes: StrPath | None = None,
    checkpoint: StrPath | None = None,
    data_root: StrPath | None = None,
    annotations: StrPath | None = None,
    images: StrPath | None = None,
    device: str = "cpu",
    batch_size: int = 64,
    threads: int | None = None,
    limit: int | None = None,
    form: Form = PLAIN,
    registry: Sequence[StrPath] = (),
    on_error: OnError = "fail",
    progress: Progress | None = None,
    **choices: Unpack[ProtocolAxes],
) -> Explanation:
    """Split the points between a claim's protocol and another one over the choices.

    Args:
        model: Id or short name of the registry.
        metric: The primary claim's if not given.
        dataset: As for ``evaluate``, and so are the other arguments on model, data and running.
        protocol: The other protocol: ``common`` or a name.
        boxes: Where its persons come from: ``gt``, ``detector`` or a detector's JSON file.
        checkpoint: Weights file as the zoo publishes it.
        data_root: Folder with ``annotations/`` and the images; default ``POSEBENCH_DATA``.
        annotations: Annotation file, if not in the usual place.
        images: Image folder, if not in the usual place.
        device: ``cpu`` or ``cuda:N``.
        batch_size: Persons in a batch.
        threads: Threads that read and crop; default as many as torch uses.
        limit: Only so many images.
        form: In which the network is computed.
        registry: Folders of further rows.
        on_error: ``fail`` or ``skip`` images and annotations that cannot be used.
        progress: Called with (what, done, all); bars where somebody looks by default.
        **choices: Axes of the other protocol to override.

    Returns:
        One share in percentage points for each choice that differs, and a grid of combinations.

    Raises:
        UserError: As ``evaluate``; also for a model of whole images.

    Example:
        >>> import posebench
        >>> found = posebench.explain("demo_s", limit=3, protocol="demo_gt_noflip", threads=1)
        >>> [share.axis for share in found.shares]
        ['flip']
    """
    request = EvalRequest.of(
        model=model, dataset=dataset, protocol=protocol, boxes=boxes, checkpoint=checkpoint,
        data_root=data_root, annotations=annotations, images=images, device=device,
        batch_size=batch_size, threads=threads, limit=limit, form=form, registry=registry,
        on_error=on_error, **choices,
    )  # fmt: skip
    with shown(progress) as report:
        return explaining.explain(request, metric=metric, progress=report)
