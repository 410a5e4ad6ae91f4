"""The top-down predictor: persons -> raw predictions, many protocols from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posebench.inference.crop import apply_affine, box_pixels, inverse_matrix
from posebench.inference.devices import computing_on
from posebench.inference.image_io import ImageDigests
from posebench.inference.loading import Batch, batches
from posebench.inference.normalise import normalise
from posebench.inference.outputs import check_output, decode_output
from posebench.inference.transfer import Arriving, to_device
from posebench.keypoints import keypoint_set
from posebench.progress import Progress
from posebench.types.arrays import Dataset, Ints, Persons, Predictions
from posebench.types.entry import InputSpec
from posebench.types.model import PoseModel
from posebench.types.protocol import Protocol


@dataclass(frozen=True)
class Options:
    """How to run, none of which may move a result by more than rounding.

    Attributes:
        device: ``cpu`` or ``cuda:N``.
        batch_size: Persons in a batch.
        threads: Threads that read and crop.
        tf32: Whether an accelerator may round the factors of float32 products; only a timing
            asks for that.
    """

    device: str = "cpu"
    batch_size: int = 64
    threads: int = 2
    tf32: bool = False


def network_outputs(
    model: PoseModel, inputs: Tensor, *, mirrored: bool
) -> tuple[Tensor, Tensor | None]:
    """Run the network on the crops and, if asked, on their mirror images.

    Returns:
        What ``InputSpec.output`` describes, of the plain and of the mirrored crops (not yet
        flipped back).
    """
    with torch.inference_mode():
        plain = model.network(inputs)
        return plain, model.network(inputs.flip(-1)) if mirrored else None


def predict(
    model: PoseModel,
    dataset: Dataset,
    persons: Persons,
    protocols: Sequence[Protocol],
    options: Options | None = None,
    progress: Progress | None = None,
    digests: ImageDigests | None = None,
) -> list[Predictions]:
    """Estimate every person once and decode for every protocol.

    Args:
        model: Network with weights.
        dataset: Its images.
        persons: Where to crop.
        protocols: Their flip, shift, decode and inverse are used; everything else about them
            is not considered.
        options: Device, batch size, threads.
        progress: Called with (``persons``, done, all).
        digests: Takes those of the image files that are read.

    Returns:
        One ``Predictions`` a protocol, rows as in ``persons``.

    Raises:
        UserError: An image cannot be read, or the network does not fit the entry.
    """
    options = options or Options()
    spec = model.entry.input
    keypoints = keypoint_set(spec.keypoints)
    mirrored = any(protocol.flip for protocol in protocols)
    coords = [np.zeros((len(persons), len(keypoints), 2), np.float32) for _ in protocols]
    scores = [np.zeros((len(persons), len(keypoints)), np.float32) for _ in protocols]
    network = model.network.to(options.device)
    done = 0

    def run(batch: Batch) -> list[Arriving]:
        inputs = normalise(to_device(batch.crops, options.device), spec)
        plain, flipped = network_outputs(model, inputs, mirrored=mirrored)
        check_output(plain, spec, type(network).__name__)
        return [Arriving(decode_output(plain, flipped, each, spec)) for each in protocols]

    def store(batch: Batch, decoded: list[Arriving]) -> None:
        nonlocal done
        real = len(batch.rows)
        for k, arriving in enumerate(decoded):
            cells, found = (array[:real] for array in arriving.arrays())
            coords[k][batch.rows] = _to_image(cells, batch.rows, persons, spec, protocols[k])
            scores[k][batch.rows] = found
        done += real
        if progress:
            progress("persons", done, len(persons))

    # One batch is kept back: an accelerator works on the next while this one's joints return.
    waiting: tuple[Batch, list[Arriving]] | None = None
    with computing_on(options.device, tf32=options.tf32):
        for batch in batches(dataset, persons, spec, options.batch_size, options.threads, digests):
            decoded = run(batch)
            if waiting:
                store(*waiting)
            waiting = batch, decoded
        if waiting:
            store(*waiting)
    return [
        _predictions(xy, score, dataset, persons, spec)
        for xy, score in zip(coords, scores, strict=True)
    ]


def _to_image(cells: Any, rows: Ints, persons: Persons, spec: InputSpec, protocol: Protocol) -> Any:
    """Image coordinates (n, K, 2) of the heatmap cells of some persons."""
    matrices = np.stack([inverse_matrix(persons, int(row), spec, protocol.inverse) for row in rows])
    with np.errstate(invalid="ignore"):  # as of whole images
        return apply_affine(cells, matrices) - protocol.coordinate_bias


def _predictions(
    xy: Any, scores: Any, dataset: Dataset, persons: Persons, spec: InputSpec
) -> Predictions:
    area = np.prod(box_pixels(persons.scale, spec), axis=1).astype(np.float64)
    return Predictions(
        keypoints=xy,
        joint_scores=scores,
        box=persons.box,
        box_score=persons.score,
        crop_area=area,
        image_id=dataset.images.id[persons.image_index],
        person_id=persons.person_id,
        keypoint_set=spec.keypoints,
    )
