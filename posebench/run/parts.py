"""Evaluation in parts: what is finished survives Ctrl-C and kills, and ``--resume`` goes on.

A part is a run of persons, in image order, cut at whole batches: every batch holds the same
persons as in an uninterrupted run, so that both give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

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
    persons: Persons,
    protocols: Sequence[Protocol],
    options: Options,
    parts: Parts,
    progress: Progress | None = None,
) -> list[Predictions]:
    """Predict, keeping finished parts on disk until the whole is done.

    Arguments and result as ``predict``; ``parts`` says where.  Of a share only its own persons
    come back, in image order.

    Raises:
        UserError: As ``predict``; also a folder that cannot be written, or a part that is
            missing where nothing may be estimated.
    """
    if parts.folder is None and not parts.others:
        return predict(model, dataset, persons, protocols, options, progress)
    key = evaluation_key(model, dataset, persons, protocols, options)
    folders = [folder / key for folder in (parts.folder, *parts.others) if folder is not None]
    if not parts.resume and not parts.others:
        shutil.rmtree(folders[0], ignore_errors=True)
    order = np.argsort(persons.image_index, kind="stable")
    start, end = share_of(len(persons), options.batch_size, parts.shard or (1, 1))
    found: list[list[Predictions]] = []
    size = FIRST_BATCHES * options.batch_size
    done = 0
    while start < end:
        kept = _kept(folders, start, len(protocols))
        if not kept and parts.others:
            raise UserError(
                f"The parts hold no persons from number {start} of {len(persons)}.",
                "Evaluate the missing share with the same options, then merge again.",
            )
        if not kept:
            stop, began = min(start + size, end), time.monotonic()
            some = take(persons, order[start:stop])
            ahead = _ahead(progress, done, len(persons))
            kept = predict(model, dataset, some, protocols, options, ahead)
            _keep(folders[0], start, kept)
            size *= 2 if time.monotonic() - began < SECONDS else 1
        found.append(kept)
        start += len(kept[0])
        done += len(kept[0])
    if not found:  # a share of nothing
        return predict(model, dataset, take(persons, order[:0]), protocols, options)
    joined = [join(column) for column in zip(*found, strict=True)]
    if parts.shard is not None:
        return joined
    if not parts.others:
        shutil.rmtree(folders[0], ignore_errors=True)
    places = np.argsort(order, kind="stable")
    return [take(each, places) for each in joined]


def share_of(persons: int, batch_size: int, shard: tuple[int, int]) -> tuple[int, int]:
    """Return the first person of a share and the one after its last, cut at whole batches."""
    number, count = shard
    batches = -(-persons // batch_size)
    first, last = (batches * k // count * batch_size for k in (number - 1, number))
    return first, min(last, persons)


def evaluation_key(
    model: PoseModel,
    dataset: Dataset,
    persons: Persons,
    protocols: Sequence[Protocol],
    options: Options,
) -> str:
    """Name that only runs share whose parts fit together: weights, data, persons, choices."""
    state = hashlib.sha256()
    words = {
        "entry": model.entry.key,
        "input": model.entry.input.model_dump(mode="json"),
        "checkpoint": model.checkpoint_sha256,
        "annotations": dataset.annotations_sha256,
        "decodings": [[getattr(p, axis) for axis in DECODING_AXES] for p in protocols],
        "options": [options.device.partition(":")[0], options.batch_size],
        "torch": torch.__version__,
    }
    state.update(json.dumps(words, sort_keys=True).encode())
    for column in (persons.image_index, persons.person_id, persons.box, persons.centre):
        state.update(np.ascontiguousarray(column).tobytes())
    return f"{model.entry.id}-{state.hexdigest()[:16]}"


def _file(folder: Path, start: int, protocol: int) -> Path:
    return folder / f"{start:09d}-{protocol:02d}.npz"


def _keep(folder: Path, start: int, predictions: Sequence[Predictions]) -> None:
    for number, each in enumerate(predictions):
        save_predictions(each, _file(folder, start, number))


def _kept(folders: Sequence[Path], start: int, protocols: int) -> list[Predictions]:
    """Predictions of the part that begins at a person, one a protocol; empty if not whole."""
    for folder in folders:
        files = [_file(folder, start, number) for number in range(protocols)]
        if not all(file.is_file() for file in files):
            continue
        try:
            found = [load_predictions(file) for file in files]
        except UserError:
            continue  # damaged: estimate these persons again
        if len({len(each) for each in found}) == 1 and len(found[0]):
            return found
    return []


def _ahead(progress: Progress | None, done: int, count: int) -> Progress | None:
    return None if progress is None else lambda more, _: progress(done + more, count)
