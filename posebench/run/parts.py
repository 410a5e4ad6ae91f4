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
    """

    folder: Path | None = None
    resume: bool = False


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

    Arguments and result as ``predict``; ``parts`` says where.

    Raises:
        UserError: As ``predict``; also a folder that cannot be written.
    """
    if parts.folder is None:
        return predict(model, dataset, persons, protocols, options, progress)
    folder = parts.folder / evaluation_key(model, dataset, persons, protocols, options)
    if not parts.resume:
        shutil.rmtree(folder, ignore_errors=True)
    order = np.argsort(persons.image_index, kind="stable")
    found: list[list[Predictions]] = []
    start, size = 0, FIRST_BATCHES * options.batch_size
    while start < len(persons):
        kept = _kept(folder, start, len(protocols))
        if not kept:
            stop, began = min(start + size, len(persons)), time.monotonic()
            some = take(persons, order[start:stop])
            ahead = _ahead(progress, start, len(persons))
            kept = predict(model, dataset, some, protocols, options, ahead)
            _keep(folder, start, kept)
            size *= 2 if time.monotonic() - began < SECONDS else 1
        found.append(kept)
        start += len(kept[0])
    places = np.argsort(order, kind="stable")
    whole = [take(join(column), places) for column in zip(*found, strict=True)]
    shutil.rmtree(folder, ignore_errors=True)
    return whole


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


def _kept(folder: Path, start: int, protocols: int) -> list[Predictions]:
    """Predictions of the part that begins at a person, one a protocol; empty if not whole."""
    files = [_file(folder, start, number) for number in range(protocols)]
    if not all(file.is_file() for file in files):
        return []
    try:
        found = [load_predictions(file) for file in files]
    except UserError:
        return []  # damaged: estimate these persons again
    return found if len({len(each) for each in found}) == 1 and len(found[0]) else []


def _ahead(progress: Progress | None, start: int, count: int) -> Progress | None:
    return None if progress is None else lambda done, _: progress(start + done, count)
