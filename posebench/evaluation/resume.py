"""Evaluation in chunks: what is finished survives Ctrl-C and kills, and ``--resume`` uses it.

A chunk is a run of persons, in image order, cut at whole batches: every batch holds the same
persons as in an uninterrupted run, so that both give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from posebench.evaluation.chunks import (
    ChunkPlan,
    ChunkRef,
    ResumeStore,
    Unusable,
    Work,
    own_folder,
)
from posebench.inference.bottom_up import predict_images
from posebench.inference.image_io import ImageDigests
from posebench.inference.predict import Options, predict
from posebench.progress import Progress
from posebench.records.environment import versions
from posebench.types.arrays import Dataset, Persons, Predictions, join, take
from posebench.types.errors import UserError
from posebench.types.model import PoseModel
from posebench.types.protocol import Protocol

FIRST_BATCHES = 4
SECONDS = 20.0  # a chunk that took less is followed by one of twice the size


def predict_in_chunks(
    model: PoseModel,
    dataset: Dataset,
    persons: Persons | None,
    protocols: Sequence[Protocol],
    options: Options,
    plan: ChunkPlan,
    progress: Progress | None = None,
    *,
    digests: ImageDigests | None = None,
) -> tuple[list[Predictions], tuple[ChunkRef, ...]]:
    """Predict, keeping finished chunks on disk until the whole is done.

    A stored chunk is used only if the image files have the bytes that it was made from.

    Args:
        model: Network with weights.
        dataset: Its images.
        persons: Where to crop; None for a model that finds persons in whole images.
        protocols: Their decoding axes are used.
        options: How to run.
        plan: Where chunks are kept.
        progress: Called with (``persons`` or ``images``, done, all).
        digests: Takes those of all image files that the predictions were made from.

    Returns:
        One ``Predictions`` a protocol, rows as in ``persons``, of a shard only its own persons in
        image order; and the chunks that a shard leaves.

    Raises:
        UserError: As ``predict``; also a folder that cannot be written, or a chunk that is
            missing or does not fit where nothing may be estimated.
    """
    digests = ImageDigests() if digests is None else digests
    key = evaluation_key(model, dataset, persons, protocols, options)
    if persons is None:
        work = _of_images(model, dataset, protocols, options, key)
        return _in_chunks(work, dataset, plan, progress, digests)
    order = np.argsort(persons.image_index, kind="stable")
    work = _of_persons(model, dataset, take(persons, order), protocols, options, key)
    joined, chunks = _in_chunks(work, dataset, plan, progress, digests)
    if plan.shard is not None:
        return joined, chunks
    places = np.argsort(order, kind="stable")
    return [take(each, places) for each in joined], chunks


def _of_images(
    model: PoseModel, dataset: Dataset, protocols: Sequence[Protocol], options: Options, key: str
) -> Work:
    usable = dataset.usable_images()

    def run(
        start: int, stop: int, report: Progress | None, digests: ImageDigests
    ) -> list[Predictions]:
        rows = usable[start:stop]
        return predict_images(
            model, dataset, protocols, options, report, images=rows, digests=digests
        )

    def check(start: int, stop: int, found: Predictions) -> str:
        inside = np.isin(found.image_id, dataset.images.id[usable[start:stop]]).all()
        return "" if inside else "it has persons of other images"

    def rows(start: int, stop: int) -> list[int]:
        return [int(row) for row in usable[start:stop]]

    return Work(len(usable), options.batch_size, len(protocols), key, run, rows, check)


def _of_persons(
    model: PoseModel,
    dataset: Dataset,
    ordered: Persons,
    protocols: Sequence[Protocol],
    options: Options,
    key: str,
) -> Work:
    def run(
        start: int, stop: int, report: Progress | None, digests: ImageDigests
    ) -> list[Predictions]:
        some = take(ordered, np.arange(start, stop))
        return predict(model, dataset, some, protocols, options, report, digests)

    def check(start: int, stop: int, found: Predictions) -> str:
        some = take(ordered, np.arange(start, stop))
        if len(found) != len(some):
            return f"it has {len(found)} persons instead of {len(some)}"
        same = np.array_equal(found.person_id, some.person_id)
        same &= np.array_equal(found.image_id, dataset.images.id[some.image_index])
        same &= np.array_equal(found.box, some.box)
        return "" if same else "it has other persons"

    def rows(start: int, stop: int) -> list[int]:
        return [int(row) for row in np.unique(ordered.image_index[start:stop])]

    return Work(len(ordered), options.batch_size, len(protocols), key, run, rows, check)


def _in_chunks(
    work: Work, dataset: Dataset, plan: ChunkPlan, progress: Progress | None, digests: ImageDigests
) -> tuple[list[Predictions], tuple[ChunkRef, ...]]:
    if plan.finished:
        return _joined(work, dataset, plan, digests), ()
    if plan.folder is None:
        return work.run(0, work.count, progress, digests), ()
    start, end = share_of(work.count, work.batch, plan.shard or (1, 1))
    whole = plan.shard is None
    # Shards of one evaluation may share a folder, and each leaves its chunks there.
    place = own_folder(plan.folder, work.key) if whole else nullcontext(plan.folder / work.key)
    with place as folder:
        store = ResumeStore(folder, work.key, work.protocols)
        if whole and not plan.resume:
            store.clear()
        found, refs = _estimated(work, dataset, store, (start, end), progress, digests)
        if whole:
            store.clear()
    if not found:  # a shard of nothing
        return work.run(0, 0, None, digests), ()
    return [join(column) for column in zip(*found, strict=True)], tuple(refs)


def _estimated(
    work: Work,
    dataset: Dataset,
    store: ResumeStore,
    span: tuple[int, int],
    progress: Progress | None,
    digests: ImageDigests,
) -> tuple[list[list[Predictions]], list[ChunkRef]]:
    """Chunks from one number to another: stored ones where they fit, else estimated now."""
    start, end = span
    found, refs = [], []
    size, done = FIRST_BATCHES * work.batch, 0
    while start < end:
        chunk = store.find(start, end, dataset, work, digests)
        if chunk is None:
            stop, began = min(start + size, end), time.monotonic()
            kept = work.run(start, stop, _ahead(progress, done, work.count), digests)
            images = digests.items(dataset.images.id[work.rows(start, stop)].tolist())
            chunk = stop, kept, store.save(start, stop, kept, images)
            size *= 2 if time.monotonic() - began < SECONDS else 1
        stop, kept, ref = chunk
        found.append(kept)
        refs.append(ref)
        done, start = done + stop - start, stop
    return found, refs


def _joined(
    work: Work, dataset: Dataset, plan: ChunkPlan, digests: ImageDigests
) -> list[Predictions]:
    """The predictions of finished shards, every chunk of which must be there and fit.

    Raises:
        UserError: One is missing or does not fit; the sentence names it.
    """
    by_start: dict[int, tuple[Path, ChunkRef]] = {}
    for folder, refs in plan.finished:
        for ref in refs:
            if ref.key == work.key:
                by_start.setdefault(ref.start, (folder, ref))
    start, found = 0, []
    while start < work.count:
        if start not in by_start:
            raise UserError(
                f"The shards hold nothing from number {start} of {work.count}.",
                "Evaluate the missing shard with the same options, then merge again.",
            )
        folder, ref = by_start[start]
        store = ResumeStore(folder / work.key, work.key, work.protocols)
        try:
            found.append(store.load(ref, work.count, dataset, work, digests))
        except Unusable as error:
            raise UserError(
                f"{store.file(ref)} cannot be joined: {error}.",
                "Evaluate its shard again from the same images, then merge again.",
            ) from error
        start = ref.stop
    if not found:
        return work.run(0, 0, None, digests)
    return [join(column) for column in zip(*found, strict=True)]


def share_of(count: int, batch_size: int, shard: tuple[int, int]) -> tuple[int, int]:
    """Return where a shard starts and ends, cut at whole batches."""
    number, shares = shard
    batches = -(-count // batch_size)
    first, last = (batches * k // shares * batch_size for k in (number - 1, number))
    return first, min(last, count)


def evaluation_key(
    model: PoseModel,
    dataset: Dataset,
    persons: Persons | None,
    protocols: Sequence[Protocol],
    options: Options,
) -> str:
    """Name that only runs share whose chunks fit together: weights, data, persons, choices.

    The images' bytes are not part of it: every chunk names those that it was made from.
    """
    state = hashlib.sha256()
    described = {
        "entry": model.entry.key,
        "network": model.entry.network.model_dump(mode="json"),
        "input": model.entry.input.model_dump(mode="json"),
        "checkpoint": model.checkpoint_sha256,
        "notes": model.notes,  # a repaired file, another form of the network
        "annotations": dataset.annotations_sha256,
        "decodings": [p.key_of("decoding") for p in protocols],
        "options": [options.device.partition(":")[0], options.batch_size],
        "versions": versions(),
    }
    state.update(json.dumps(described, sort_keys=True).encode())
    state.update(np.ascontiguousarray(dataset.images.id).tobytes())
    if persons is None:
        state.update(dataset.usable_images().tobytes())
    else:
        for column in (persons.image_index, persons.person_id, persons.box, persons.centre):
            state.update(np.ascontiguousarray(column).tobytes())
    return f"{model.entry.id}-{state.hexdigest()[:16]}"


def _ahead(progress: Progress | None, done: int, count: int) -> Progress | None:
    return None if progress is None else lambda what, more, _: progress(what, done + more, count)
