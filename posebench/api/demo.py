"""``posebench demo``: the shipped models on the drawn dataset, evaluated and timed."""

from __future__ import annotations

from collections.abc import Sequence

from posebench.api.model import load_model
from posebench.evaluation.evaluate import evaluate
from posebench.evaluation.listing import list_entries
from posebench.progress import Progress
from posebench.timing.forward import measure_forward
from posebench.types.base import StrPath
from posebench.types.record import Record

ZOO = "demo"
BODY = "synthetic"  # the 17 COCO keypoints; the other drawn datasets hold the other tasks


def demo(
    *,
    all_tasks: bool = False,
    limit: int | None = None,
    threads: int | None = None,
    registry: Sequence[StrPath] = (),
    progress: Progress | None = None,
    command: str = "posebench demo",
) -> list[Record]:
    """Evaluate every shipped model under all its claims' protocols, and time it.

    Args:
        all_tasks: Also MPII's, Halpe's and COCO-WholeBody's keypoints, not COCO's alone.
        limit: Only so many images, see ``Sample``; claims are then not judged.
        threads: Threads that read and crop.
        registry: Folders of further rows.
        progress: Called with (what, done, all).
        command: For the records.

    Returns:
        One record a model, with ``timings``, in the order of the registry.

    Example:
        >>> import posebench
        >>> records = posebench.demo(limit=2, threads=1)
        >>> sorted({record.entry.zoo for record in records})
        ['demo']
    """
    records = []
    dataset = None if all_tasks else BODY
    for entry in list_entries(zoo=ZOO, dataset=dataset, status="runnable", registry=registry):
        record = evaluate(
            entry.key,
            limit=limit,
            threads=threads,
            registry=registry,
            progress=progress,
            command=command,
        )
        if progress:
            progress(f"{entry.id}, timing", 0, 0)
        timings = measure_forward(load_model(entry.key, registry=registry))
        records.append(record.model_copy(update={"timings": timings}))
    return records
