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
from posebench.inference.devices import computing_on
from posebench.inference.grouping import MOST_PEOPLE, WAYS, full_maps, joint_order
from posebench.inference.image_io import ImageDigests, open_image
from posebench.inference.instances import FoundPersons, find_people, given_people
from posebench.inference.loading import IMAGES_AHEAD
from posebench.inference.normalise import normalise
from posebench.inference.predict import Options, network_outputs
from posebench.inference.transfer import to_device
from posebench.inference.whole_image import Frame, frame
from posebench.keypoints import keypoint_set
from posebench.progress import Progress
from posebench.types.arrays import Dataset, Floats, Images, Ints, Predictions
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError
from posebench.types.model import PoseModel
from posebench.types.protocol import GROUPINGS, Protocol

# More persons than a network gives in one image; of peaks no image has more than MOST_PEOPLE K.
MOST_GIVEN = 1_000_000

Found = tuple[int, Frame, FoundPersons]  # row of the image, how it lies in the input, who is in it


def predict_images(
    model: PoseModel,
    dataset: Dataset,
    protocols: Sequence[Protocol],
    options: Options | None = None,
    progress: Progress | None = None,
    *,
    images: Ints | None = None,
    digests: ImageDigests | None = None,
) -> list[Predictions]:
    """Find the persons of every image, once for all protocols.

    A row is a person found, images in their order.  What a person has no box for is filled so
    that the later steps need not know: ``box`` is the extent of its joints that have a score,
    ``crop_area`` that box's area, ``person_id`` a running number with gaps that depends on the
    image alone, and ``box_score`` the score the grouping gives (the mean of all joint scores
    before missing joints were looked for), which ``rescoring: none`` hands on.  A network that
    gives persons gives their boxes and scores, too.

    Args:
        model: Network with weights that takes whole images.
        dataset: Its images; annotations are not considered.
        protocols: Their flip, shift and decode are used.
        options: Device and threads; images differ in size, so that each is a batch of its own,
            as in the reference.
        progress: Called with (``images``, done, all).
        images: (n,) rows of ``Dataset.images``, for a part of them; None for all.
        digests: Takes those of the image files that are read.

    Returns:
        One ``Predictions`` a protocol; images without peaks have no rows.

    Raises:
        UserError: An image cannot be read, the network does not fit the entry, or the entry or
            a protocol is none of whole images.
    """
    options = options or Options()
    spec = model.entry.input
    _check(model, protocols)
    network = model.network.to(options.device)
    # A network that gives persons has mirrored by itself.
    mirrored = spec.output == "heatmaps" and any(protocol.flip for protocol in protocols)
    rows = np.arange(len(dataset.images)) if images is None else images
    found: list[list[Found]] = [[] for _ in protocols]
    with computing_on(options.device, tf32=options.tf32):
        coming = _on_device(_inputs(dataset.images, rows, spec, options, digests), options.device)
        now, done = next(coming, None), 0
        while now is not None:
            row, place, pixels = now
            inputs = normalise(pixels, spec)
            plain, other = network_outputs(model, inputs, mirrored=mirrored)
            check_maps(plain, inputs, spec, type(network).__name__)
            # Queued while the network works: grouping waits for what it computes.
            now = next(coming, None)
            for people, protocol in zip(found, protocols, strict=True):
                people.append((row, place, persons_of(plain, other, protocol, spec)))
            done += 1
            if progress:
                progress("images", done, len(rows))
    return [_predictions(people, dataset, spec) for people in found]


def _check(model: PoseModel, protocols: Sequence[Protocol]) -> None:
    spec = model.entry.input
    if not spec.whole:
        raise UserError(
            f"{model.entry.key} takes persons cut out of the image, not whole images.",
            "Give a protocol with boxes.",
        )
    fits = GROUPINGS if spec.output == "heatmaps" else ("own",)
    for protocol in protocols:
        if protocol.decode not in fits:
            raise UserError(
                f"{model.entry.key} takes whole images and gives {spec.output}, but "
                f"{protocol.key} decodes with {protocol.decode}.",
                f"Take a protocol that decodes with {' or '.join(fits)}.",
            )


def check_maps(output: Tensor, inputs: Tensor, spec: InputSpec, network: str) -> None:
    """Refuse an output for whole images that does not fit the entry.

    Args:
        output: As ``InputSpec.output`` describes it.
        inputs: (1, 3, H, W) what the network was given.
        spec: Of the weights.
        network: Its name, for the message.

    Raises:
        UserError: Another number of joints, or another size.
    """
    joints, found = len(keypoint_set(spec.keypoints)), tuple(output.shape[1:])
    if spec.output == "persons":
        expected: tuple[int, ...] = (*found[:1], 5 + 3 * joints)
    else:
        height, width = (side // spec.stride for side in inputs.shape[-2:])
        expected = (2 * joints, height, width)
    if found != expected:
        raise UserError(
            f"{network} gave {spec.output} {found}, but those of {spec.keypoints} for an input "
            f"{tuple(inputs.shape[-2:])} are {expected}.",
            "The checkpoint belongs to another keypoint set or the registry row is wrong.",
        )


def persons_of(
    plain: Tensor, mirrored: Tensor | None, protocol: Protocol, spec: InputSpec
) -> FoundPersons:
    """Return the persons that a network's output for one image holds.

    Args:
        plain: (1, ...) as ``InputSpec.output`` describes it.
        mirrored: The same for the mirrored image; used if the protocol flips.
        protocol: Its flip, shift and decode.
        spec: Of the weights.
    """
    if spec.output == "persons":
        return given_people(plain[0])
    keypoints, way = keypoint_set(spec.keypoints), WAYS[protocol.decode]
    with torch.inference_mode():
        maps = full_maps(
            plain,
            mirrored if protocol.flip else None,
            keypoints.flip_index(),
            shift=protocol.shift,
            factor=spec.stride,
            enlarge_first=way.enlarge_first,
        )
        return find_people(maps, way, joint_order(keypoints, way))


def _inputs(
    images: Images, rows: Ints, spec: InputSpec, options: Options, digests: ImageDigests | None
) -> Iterator[tuple[int, Frame, Image]]:
    """Yield each image's row, frame and input, in order, a bounded number in flight."""

    def work(row: int) -> tuple[int, Frame, Image]:
        image = open_image(images, row, spec.exif, digests)
        place = frame((image.shape[0], image.shape[1]), spec)
        return row, place, place.resize(image)

    with ThreadPoolExecutor(max_workers=options.threads) as pool:
        pending: deque[Future[tuple[int, Frame, Image]]] = deque()
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


def _on_device(
    inputs: Iterator[tuple[int, Frame, Image]], device: str
) -> Iterator[tuple[int, Frame, Tensor]]:
    """Begin to copy each input when it is asked for; its pixels are (1, H, W, 3) uint8."""
    for row, place, pixels in inputs:
        yield row, place, to_device(pixels[None], device)


def _predictions(found: Sequence[Found], dataset: Dataset, spec: InputSpec) -> Predictions:
    joints = len(keypoint_set(spec.keypoints))
    numbers = [len(people) for _, _, people in found]
    given = spec.output == "persons"
    xy, scores, score, corners = (
        np.concatenate([np.zeros((0, *tail), np.float32), *parts])
        for tail, parts in (
            ((joints, 2), [place.to_image(p.xy) for _, place, p in found]),
            ((joints,), [p.joint_scores for *_, p in found]),
            ((), [p.score for *_, p in found]),
            ((2, 2), _given_corners(found) if given else []),
        )
    )
    box = _sides(corners[:, 0], corners[:, 1]) if given else _extent(xy, scores > 0)
    image = np.repeat(np.array([row for row, *_ in found], np.int64), numbers)
    number = np.concatenate([np.zeros(0, np.int64), *(np.arange(n) for n in numbers)])
    return Predictions(
        keypoints=xy.astype(np.float32),
        joint_scores=scores,
        box=box,
        box_score=score.astype(np.float64),
        crop_area=box[:, 2] * box[:, 3],
        image_id=dataset.images.id[image],
        person_id=image * (MOST_GIVEN if given else MOST_PEOPLE * joints) + number,
        keypoint_set=spec.keypoints,
    )


def _given_corners(found: Sequence[Found]) -> list[Floats]:
    """Corners (P, 2, 2) of the boxes that a network gives, px of the image."""
    return [
        place.to_image(p.corners.reshape(-1, 2, 2))
        for _, place, p in found
        if p.corners is not None
    ]


def _extent(xy: Floats, counted: NDArray[np.bool_]) -> Floats:
    """Box (N, 4) x, y, width, height around the joints that count; every person has one."""
    inside = counted[..., None]
    low = np.where(inside, xy, np.inf).min(axis=1)
    high = np.where(inside, xy, -np.inf).max(axis=1)
    return _sides(low, high)


def _sides(low: Floats, high: Floats) -> Floats:
    return np.concatenate([low, high - low], axis=1).astype(np.float64)
