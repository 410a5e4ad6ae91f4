"""mmpose's networks as posebench calls them: crops or images in, what is decoded out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from posebench.mmpose.config import evaluator_of
from posebench.types.errors import UserError


class Parts(nn.Module):
    """Backbone, neck and head under mmpose's own names.

    Args:
        model: mmpose's estimator.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else None
        self.head = model.head

    def features(self, images: Tensor) -> Any:
        """What the head takes, of (N, 3, H, W) normalised crops or images."""
        features = self.backbone(images)
        return features if self.neck is None else self.neck(features)


class MMPoseNetwork(Parts):
    """A model that gives heatmaps, or what else ``InputSpec.output`` describes.

    Args:
        model: mmpose's estimator.
        read: Turns what the head gives into what ``InputSpec.output`` describes.
        keep: Joints of the head that are evaluated, in this order; None for all of them.
    """

    keep: Tensor | None

    def __init__(
        self, model: Any, read: Callable[[Any], Tensor], keep: Sequence[int] | None = None
    ) -> None:
        super().__init__(model)
        # A tensor of its device: a list would be copied there for every batch.
        kept = None if keep is None else torch.tensor(list(keep))
        self.register_buffer("keep", kept, persistent=False)
        self.read = read

    def forward(self, crops: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised crops or images to what ``InputSpec.output`` describes."""
        found = self.read(self.head.forward(self.features(crops)))
        return found if self.keep is None else found.index_select(1, self.keep)


def _heatmaps(found: Any) -> Tensor:
    """The last of several stages' heatmaps."""
    last: Tensor = found[-1] if isinstance(found, (list, tuple)) else found
    return last


def heatmaps_and_tags(found: Any) -> Tensor:
    """Both of associative embedding, one after the other along the channels."""
    return torch.cat(tuple(found), dim=1)


def _simcc(found: Any) -> Tensor:
    return torch.cat(tuple(found), dim=-1)


def _coordinates(found: Any) -> Tensor:
    """Coordinates with a joint score: 1, or what the predicted spread leaves of it (RLE).

    Source: mmpose mmpose/codecs/regression_label.py.
    """
    values = found[0] if isinstance(found, tuple) else found  # (coordinates, heatmaps)
    if values.shape[-1] == 2:
        return torch.cat([values, torch.ones_like(values[..., :1])], dim=-1)
    score = (1 - values[..., 2:].sigmoid()).mean(dim=-1, keepdim=True)
    return torch.cat([values[..., :2], score], dim=-1)


READ: dict[str, Callable[[Any], Tensor]] = {
    "heatmaps": _heatmaps,
    "offset_heatmaps": _heatmaps,
    "simcc": _simcc,
    "coordinates": _coordinates,
}


class MMPosePersons(Parts):
    """A model that gives the persons of an image: RTMO, YOLOX-Pose, CID, DEKR.

    Its head holds the way from features to persons, the mirrored image included.

    Args:
        model: mmpose's estimator.
        config: Its config; ``test_cfg`` says how the head finds persons, and the evaluator's
            ``score_mode`` what a person's score is.
    """

    def __init__(self, model: Any, config: Any) -> None:
        super().__init__(model)
        self.test = dict(config.model.get("test_cfg") or {})
        self.mean_of_joints = evaluator_of(config).get("score_mode") == "keypoint"
        self.meta = _meta_of(config)

    def forward(self, images: Tensor) -> Tensor:
        """Map a normalised image (1, 3, H, W) to the persons in it, (1, P, 5 + 3 K).

        Raises:
            UserError: Several images at once: they differ in the number of persons.
        """
        if len(images) != 1:
            raise UserError(
                f"A network that gives persons takes one image at a time, not {len(images)}.",
                "Give --batch-size 1.",
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its ways to ask for autocast and grids are old
            return self._rows(self._persons(images)).to(images.device)[None]

    def _persons(self, images: Tensor) -> Any:
        """What mmpose's head gives for one image."""
        from mmpose.structures import PoseDataSample

        found = self.features(images)
        if self.test.get("flip_test"):
            found = [found, self.features(images.flip(-1))]
        height, width = images.shape[-2:]
        size = {"input_size": (width, height), "img_shape": (height, width)}
        sample = PoseDataSample(metainfo=self.meta | size)
        (persons,) = self.head.predict(found, [sample], test_cfg=self.test)
        return persons

    def _rows(self, persons: Any) -> Tensor:
        xy = torch.as_tensor(persons.keypoints, dtype=torch.float32)
        scores = torch.as_tensor(persons.keypoint_scores, dtype=torch.float32)
        if self.mean_of_joints or "bbox_scores" not in persons:
            score = scores.mean(dim=1)
        else:
            score = torch.as_tensor(persons.bbox_scores, dtype=torch.float32)
        if "bboxes" in persons:
            corners = torch.as_tensor(persons.bboxes, dtype=torch.float32)
        else:
            corners = torch.cat([xy.amin(dim=1), xy.amax(dim=1)], dim=1)
        joints = torch.cat([xy, scores[..., None]], dim=2).flatten(1)
        return torch.cat([score[:, None], corners, joints], dim=1)


def _meta_of(config: Any) -> dict[str, Any]:
    """What heads ask of the dataset: mirrored joints, and the bones that DEKR weighs persons by."""
    from mmpose.datasets.datasets.utils import parse_pose_metainfo
    from mmpose.registry import DATASETS

    dataset = DATASETS.get(config["val_dataloader"]["dataset"]["type"])
    meta = parse_pose_metainfo(dataset.METAINFO)
    return {name: meta[name] for name in ("flip_indices", "skeleton_links")}
