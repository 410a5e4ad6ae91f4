"""``load_model``: a network with its published weights, ready for one's own images."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import Unpack

from posebench.datasets.boxes import detector_persons
from posebench.datasets.detections import Detections
from posebench.datasets.sample import unannotated
from posebench.evaluation.prepare import load_row
from posebench.evaluation.protocols import claim_protocols, common_protocol
from posebench.inference.bottom_up import predict_images
from posebench.inference.devices import check_device
from posebench.inference.image_io import image_size
from posebench.inference.predict import Options, predict
from posebench.registry import load_registry
from posebench.types.arrays import Floats, Images, Predictions
from posebench.types.base import StrPath, required_path
from posebench.types.errors import UserError
from posebench.types.model import PoseModel
from posebench.types.protocol import Protocol
from posebench.types.protocol_axes import ProtocolAxes
from posebench.types.request import EvalRequest

Picture = StrPath | NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Poses:
    """The persons of one image.

    Attributes:
        keypoints: (N, K, 2) float64 x, y, px of the image; the centre of its first pixel is (0, 0).
        scores: (N, K) float64, of each joint.
        boxes: (N, 4) float64 x, y, width, height, px, that were cropped; zeros where the model
            finds its persons itself.
        keypoint_set: Name of the keypoints, see ``posebench.keypoints``.
    """

    keypoints: Floats
    scores: Floats
    boxes: Floats
    keypoint_set: str

    def __len__(self) -> int:
        return len(self.keypoints)


@dataclass(frozen=True)
class Model(PoseModel):
    """A network with its weights that can be run on one's own images.

    Attributes:
        protocol: How its outputs become keypoints by default: that of its primary claim.
    """

    protocol: Protocol | None = None

    def predict(
        self,
        image: Picture,
        boxes: ArrayLike | None = None,
        *,
        device: str = "cpu",
        threads: int = 1,
        **choices: Unpack[ProtocolAxes],
    ) -> Poses:
        """Estimate the keypoints of an image's persons.

        Args:
            image: An image file, or (H, W, 3) uint8 red, green, blue.
            boxes: (N, 4) x, y, width, height, px; None is one person that fills the image.  A
                model that finds its persons itself takes none.
            device: ``cpu`` or ``cuda:N``.
            threads: That crop.
            **choices: Axes of the protocol to override, e.g. ``flip=False``.

        Returns:
            One row a box, in their order, or a row for each person that was found.

        Raises:
            UserError: The image cannot be read, a box is not one, or a choice is wrong.

        Example:
            >>> import numpy as np, posebench
            >>> model = posebench.load_model("demo_s")
            >>> image = np.zeros((120, 90, 3), np.uint8)
            >>> model.predict(image, [[10, 10, 40, 80]], flip=False).keypoints.shape
            (1, 17, 2)
        """
        request = EvalRequest.of(model=self.entry.key, device=device, threads=threads, **choices)
        assert self.protocol is not None
        protocol = self.protocol.with_choices(**request.choices)
        options = Options(check_device(device), 64, threads)
        with tempfile.TemporaryDirectory(prefix="posebench-") as folder:
            path = _file(image, Path(folder))
            width, height = image_size(path)
            images = Images(
                np.zeros(1, np.int64),
                (path.name,),
                np.array([width]),
                np.array([height]),
                path.parent,
            )
            dataset = unannotated("image", images, self.entry.input.keypoints)
            if self.entry.input.whole:
                if boxes is not None:
                    raise UserError(
                        f"{self.entry.key} finds its persons itself.", "Leave the boxes out."
                    )
                (found,) = predict_images(self, dataset, [protocol], options)
                return _poses(found)
            given = _boxes([[0, 0, width, height]] if boxes is None else boxes)
            rows = np.arange(len(given), dtype=np.int64)
            cropped = Detections(
                "given", "", len(given), given, np.ones(len(given)), np.zeros_like(rows), rows
            )
            persons = detector_persons(cropped, dataset, self.entry.input, "none", 0.0)
            (found,) = predict(self, dataset, persons, [protocol], options)
            return _poses(found)


def load_model(
    name: str,
    checkpoint: StrPath | None = None,
    *,
    dataset: str | None = None,
    registry: Sequence[StrPath] = (),
) -> Model:
    """Build a model of the registry and load its published weights, strictly.

    Args:
        name: Id or short name.
        checkpoint: File in the format its zoo publishes; not needed for shipped weights.
        dataset: Disambiguates a short name.
        registry: Folders of further rows.

    Returns:
        The network in evaluation mode, float32, on the CPU, with ``predict``.

    Raises:
        UserError: Unknown name, a part that is not built yet, a missing or wrong file.

    Example:
        >>> import posebench
        >>> posebench.load_model("demo_s").coverage.fraction
        1.0
    """
    request = EvalRequest.of(model=name, checkpoint=checkpoint, dataset=dataset, registry=registry)
    known = load_registry(request.registry)
    row = load_row(known.find(name, dataset), known, request.checkpoint)
    own = claim_protocols(row.entry, known) or (common_protocol(row.entry, known),)
    loaded: dict[str, Any] = {each.name: getattr(row, each.name) for each in fields(row)}
    return Model(**loaded, protocol=own[0])


def _file(image: Picture, folder: Path) -> Path:
    """The image as a file: a given one as it is, pixels without loss."""
    if not isinstance(image, np.ndarray):
        return required_path(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise UserError(
            f"An image of shape {image.shape} and type {image.dtype} cannot be used.",
            "Give (H, W, 3) uint8 in the order red, green, blue, or a file.",
        )
    path = folder / "image.png"
    cv2.imwrite(str(path), np.ascontiguousarray(image[:, :, ::-1]))
    return path


def _boxes(given: ArrayLike) -> Floats:
    try:
        boxes = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        boxes = np.zeros(0)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UserError(
            f"boxes of shape {np.shape(boxes)} cannot be used.", "Give (N, 4): x, y, width, height."
        )
    wrong = ~np.isfinite(boxes).all(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"Box {row}, {boxes[row].tolist()}, cannot be cropped.",
            "Give finite numbers, and a width and a height above 0.",
        )
    return boxes


def _poses(found: Predictions) -> Poses:
    return Poses(
        found.keypoints.astype(np.float64),
        found.joint_scores.astype(np.float64),
        found.box.astype(np.float64),
        found.keypoint_set,
    )
