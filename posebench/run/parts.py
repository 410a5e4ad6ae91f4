"""Evaluation in parts: what is finished survives Ctrl-C and kills, and ``--resume`` goes on.

A part is a run of persons, in image order, cut at whole batches: every batch holds the same
persons as in an uninterrupted run, so that both give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from posebench.inference.bottom_up import predict_images
from posebench.inference.predict import DECODING_AXES, Options, Progress, predict
from posebench.records.predictions import load_predictions, save_predictions
from posebench.types.arrays import Dataset, Persons, Predictions, join, take
from posebench.types.errors import UserError
from posebench.types.model import PoseModel
from posebench.types.protocol import Protocol

FIRST_BATCHES = 4
SECONDS = 20.0  # a part that took less is followed by one of twice the size


@dataclass(frozen=True)
class Parts:
    """Where finished parts of an evaluation lie.

    Attributes:
        folder: Of all evaluations; None keeps nothing.
        resume: Go on with what an interrupted run of the same evaluation left.
        shard: (I, N) estimates only the I-th of N shares, from 1, and leaves its parts.
        others: Folders of other shares; given, nothing is estimated and every part must be there.
    """

    folder: Path | None = None
    resume: bool = False
    shard: tuple[int, int] | None = None
    others: tuple[Path, ...] = ()


NOTHING_KEPT = Parts()


def predict_in_parts(
    model: PoseModel,
    dataset: Dataset,
    persons: Persons | None,
    protocols: Sequence[Protocol],
    options: Options,
    parts: Parts,
    progress: Progress | None = None,
) -> list[Predictions]:
    """Predict, keeping finished parts on disk until the whole is done.

    Args:
        model: Network with weights.
        dataset: Its images.
        persons: Where to crop; None for a model that finds persons in whole images.
        protocols: Their decoding axes are used.
        options: How to run.
        parts: Where parts lie.
        progress: Called with (done, all), of persons or of images.

    Returns:
        One ``Predictions`` a protocol, rows as in ``persons``; of a share only its own persons
        come back, in image order.

    Raises:
        UserError: As ``predict``; also a folder that cannot be written, or a part that is
            missing where nothing may be estimated.
    """
    key = evaluation_key(model, dataset, persons, protocols, options)
    if persons is None:
        usable = dataset.usable_images()

        def images(start: int, stop: int, report: Progress | None) -> list[Predictions]:
            rows = usable[start:stop]
            return predict_images(model, dataset, protocols, options, report, images=rows)

        work = Work(len(usable), options.batch_size, len(protocols), key, images)
        return _in_parts(work, parts, progress)

    order = np.argsort(persons.image_index, kind="stable")

    def crops(start: int, stop: int, report: Progress | None) -> list[Predictions]:
        some = take(persons, order[start:stop])
        return predict(model, dataset, some, protocols, options, report)

    work = Work(len(persons), options.batch_size, len(protocols), key, crops)
    joined = _in_parts(work, parts, progress)
    if parts.shard is not None:
        return joined
    places = np.argsort(order, kind="stable")
    return [take(each, places) for each in joined]


@dataclass(frozen=True)
class Work:
    """Something that can be done piece by piece.

    Attributes:
        count: Persons or images in all.
        batch: How many belong together.
        protocols: Predictions that a piece gives.
        key: Name of the folder of its parts.
        run: (start, stop, progress) -> one ``Predictions`` a protocol.
    """

    count: int
    batch: int
    protocols: int
    key: str
    run: Callable[[int, int, Progress | None], list[Predictions]]


def _in_parts(work: Work, parts: Parts, progress: Progress | None) -> list[Predictions]:
    if parts.folder is None and not parts.others:
        return work.run(0, work.count, progress)
    folders = [folder / work.key for folder in (parts.folder, *parts.others) if folder is not None]
    if not parts.resume and not parts.others:
        shutil.rmtree(folders[0], ignore_errors=True)
    start, end = share_of(work.count, work.batch, parts.shard or (1, 1))
    found: list[list[Predictions]] = []
    size, done = FIRST_BATCHES * work.batch, 0
    while start < end:
        stop, kept = _kept(folders, start, work.protocols)
        if not kept and parts.others:
            raise UserError(
                f"The parts hold nothing from number {start} of {work.count}.",
                "Evaluate the missing share with the same options, then merge again.",
            )
        if not kept:
            stop, began = min(start + size, end), time.monotonic()
            kept = work.run(start, stop, _ahead(progress, done, work.count))
            _keep(folders[0], start, stop, kept)
            size *= 2 if time.monotonic() - began < SECONDS else 1
        found.append(kept)
        done, start = done + stop - start, stop
    if not found:  # a share of nothing
        return work.run(0, 0, None)
    if parts.shard is None and not parts.others:
        shutil.rmtree(folders[0], ignore_errors=True)
    return [join(column) for column in zip(*found, strict=True)]


def share_of(count: int, batch_size: int, shard: tuple[int, int]) -> tuple[int, int]:
    """Return where a share starts and ends, cut at whole batches."""
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
    """Name that only runs share whose parts fit together: weights, data, persons, choices."""
    state = hashlib.sha256()
    words = {
        "entry": model.entry.key,
        "input": model.entry.input.model_dump(mode="json"),
        "checkpoint": model.checkpoint_sha256,
        "notes": model.notes,  # a repaired file, another form of the network
        "annotations": dataset.annotations_sha256,
        "decodings": [[getattr(p, axis) for axis in DECODING_AXES] for p in protocols],
        "options": [options.device.partition(":")[0], options.batch_size],
        "torch": torch.__version__,
    }
    state.update(json.dumps(words, sort_keys=True).encode())
    state.update(np.ascontiguousarray(dataset.images.id).tobytes())
    if persons is None:
        state.update(dataset.usable_images().tobytes())
    else:
        for column in (persons.image_index, persons.person_id, persons.box, persons.centre):
            state.update(np.ascontiguousarray(column).tobytes())
    return f"{model.entry.id}-{state.hexdigest()[:16]}"


def _keep(folder: Path, start: int, stop: int, predictions: Sequence[Predictions]) -> None:
    for number, each in enumerate(predictions):
        save_predictions(each, folder / f"{start:09d}-{stop:09d}-{number:02d}.npz")


def _kept(folders: Sequence[Path], start: int, protocols: int) -> tuple[int, list[Predictions]]:
    """Where the part that begins at ``start`` stops, and its predictions; empty if not whole."""
    for folder in folders:
        for first in sorted(folder.glob(f"{start:09d}-*-00.npz")):
            stop = int(first.name.split("-")[1])
            files = [folder / f"{start:09d}-{stop:09d}-{k:02d}.npz" for k in range(protocols)]
            try:
                return stop, [load_predictions(file) for file in files]
            except UserError:
                continue  # damaged, or killed between two files: estimate it again
    return start, []


def _ahead(progress: Progress | None, done: int, count: int) -> Progress | None:
    return None if progress is None else lambda more, _: progress(done + more, count)
