"""The bottom-up predictor: images -> raw predictions, many protocols from one forward pass."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from posebench.inference.crop import Image
from posebench.inference.grouping import MOST_PEOPLE, People, find_people, full_maps
from posebench.inference.loading import IMAGES_AHEAD
from posebench.inference.normalise import normalise
from posebench.inference.pictures import open_image
from posebench.inference.predict import Options, Progress, network_outputs
from posebench.inference.whole_image import resize_whole, to_image
from posebench.keypoints import KeypointSet, keypoint_set
from posebench.types.arrays import Dataset, Floats, Images, Ints, Predictions
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError
from posebench.types.model import PoseModel
from posebench.types.protocol import Protocol

ENLARGED = 2  # the grouping doubles the maps, so that they must have half the input's size

Size = tuple[int, int]
Found = tuple[int, Size, People]  # row of the image, its height and width, who is in it


def predict_images(
    model: PoseModel,
    dataset: Dataset,
    protocols: Sequence[Protocol],
    options: Options | None = None,
    progress: Progress | None = None,
    *,
    images: Ints | None = None,
) -> list[Predictions]:
    """Find the persons of every image, once for all protocols.

    A row is a person found, images in their order.  What a person has no box for is filled so
    that the later steps need not know: ``box`` is the extent of its joints that have a score,
    ``crop_area`` that box's area, ``person_id`` a running number with gaps that depends on the
    image alone, and ``box_score`` the score the grouping gives (the mean of all joint scores
    before missing joints were looked for), which ``rescoring: none`` hands on.

    Args:
        model: Network with weights that takes whole images.
        dataset: Its images; annotations are not looked at.
        protocols: Their flip and shift are used.
        options: Device and threads; images differ in size, so that each is a batch of its own,
            as in the reference.
        progress: Called with (images done, images in all).
        images: (n,) rows of ``Dataset.images``, for a part of them; None for all.

    Returns:
        One ``Predictions`` a protocol; images without peaks have no rows.

    Raises:
        UserError: An image cannot be read, the network does not fit the entry, or the entry or
            a protocol is none of whole images.
    """
    options = options or Options()
    spec = model.entry.input
    _check(model, protocols)
    keypoints = keypoint_set(spec.keypoints)
    network = model.network.to(options.device)
    mirrored = any(protocol.flip for protocol in protocols)
    rows = np.arange(len(dataset.images)) if images is None else images
    found: list[list[Found]] = [[] for _ in protocols]
    for done, (row, size, pixels) in enumerate(_inputs(dataset.images, rows, spec, options), 1):
        inputs = normalise(torch.from_numpy(pixels[None]).to(options.device), spec)
        plain, other = network_outputs(model, inputs, mirrored=mirrored)
        _check_output(plain, inputs, keypoints, type(network).__name__)
        for people, protocol in zip(found, protocols, strict=True):
            people.append((row, size, _people(plain, other, protocol, keypoints)))
        if progress:
            progress(done, len(rows))
    return [_predictions(people, dataset, spec) for people in found]


def _check(model: PoseModel, protocols: Sequence[Protocol]) -> None:
    if model.entry.input.crop != "whole_image":
        raise UserError(
            f"{model.entry.key} takes persons cut out of the image, not whole images.",
            "Give a protocol with boxes.",
        )
    for protocol in protocols:
        if protocol.decode != "associative_embedding":
            raise UserError(
                f"{model.entry.key} takes whole images and tells persons apart by tags, but "
                f"{protocol.key} decodes with {protocol.decode}.",
                "Take a protocol that decodes with associative_embedding.",
            )


def _check_output(output: Tensor, inputs: Tensor, keypoints: KeypointSet, network: str) -> None:
    height, width = inputs.shape[-2] // ENLARGED, inputs.shape[-1] // ENLARGED
    expected = (2 * len(keypoints), height, width)
    if tuple(output.shape[1:]) != expected:
        raise UserError(
            f"{network} gave maps {tuple(output.shape[1:])}, but heatmaps and tags of "
            f"{keypoints.name} for an input {tuple(inputs.shape[-2:])} are {expected}.",
            "The checkpoint belongs to another keypoint set or the registry row is wrong.",
        )


def _people(
    plain: Tensor, mirrored: Tensor | None, protocol: Protocol, keypoints: KeypointSet
) -> People:
    with torch.inference_mode():
        other = mirrored if protocol.flip else None
        return find_people(full_maps(plain, other, keypoints.flip_index(), shift=protocol.shift))


def _inputs(
    images: Images, rows: Ints, spec: InputSpec, options: Options
) -> Iterator[tuple[int, Size, Image]]:
    """Yield each image's row, (height, width) and input, in order, a bounded number in flight."""

    def work(row: int) -> tuple[int, Size, Image]:
        image = open_image(images, row, spec.exif)
        return row, (image.shape[0], image.shape[1]), resize_whole(image, min(spec.size))

    with ThreadPoolExecutor(max_workers=options.threads) as pool:
        pending: deque[Future[tuple[int, Size, Image]]] = deque()
        try:
            for row in rows.tolist():
                pending.append(pool.submit(work, row))
                if len(pending) > options.threads * IMAGES_AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _predictions(found: Sequence[Found], dataset: Dataset, spec: InputSpec) -> Predictions:
    joints = len(keypoint_set(spec.keypoints))
    numbers = [len(people) for _, _, people in found]
    xy, scores, score = (
        np.concatenate([np.zeros((0, *tail), np.float32), *parts])
        for tail, parts in (
            ((joints, 2), [to_image(p.xy, size, min(spec.size)) for _, size, p in found]),
            ((joints,), [p.joint_scores for *_, p in found]),
            ((), [p.score for *_, p in found]),
        )
    )
    box = _extent(xy, scores > 0)
    image = np.repeat(np.array([row for row, *_ in found], np.int64), numbers)
    number = np.concatenate([np.zeros(0, np.int64), *(np.arange(n) for n in numbers)])
    return Predictions(
        keypoints=xy.astype(np.float32),
        joint_scores=scores,
        box=box,
        box_score=score.astype(np.float64),
        crop_area=box[:, 2] * box[:, 3],
        image_id=dataset.images.id[image],
        # No image can have more persons than peaks.
        person_id=image * (MOST_PEOPLE * joints) + number,
        keypoint_set=spec.keypoints,
    )


def _extent(xy: Floats, counted: NDArray[np.bool_]) -> Floats:
    """Box (N, 4) x, y, width, height around the joints that count; every person has one."""
    inside = counted[..., None]
    low = np.where(inside, xy, np.inf).min(axis=1)
    high = np.where(inside, xy, -np.inf).max(axis=1)
    return np.concatenate([low, high - low], axis=1).astype(np.float64)
