"""MMPose's models: a config of its wheel -> a network that posebench's own data path runs.

The network carries mmpose's parameter names, so that its published files load without a map.
Needs the extra ``openmmlab`` and mmpose itself; nothing else in posebench imports them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from posebench.adapters.mmpose_config import read_config
from posebench.adapters.mmpose_index import INSTALL, config_file, package_folder
from posebench.adapters.openmmlab_standin import MissingPartError, stand_in
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from posebench.types.entry import Entry


class MMPoseNetwork(nn.Module):
    """Backbone, neck and head of a top-down model of mmpose.

    Args:
        model: mmpose's estimator.
        output: ``InputSpec.output`` of the entry.
        keep: Joints of the head that are evaluated, in this order; None for all of them.
    """

    def __init__(self, model: Any, output: str, keep: Sequence[int] | None = None) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else None
        self.head = model.head
        self.keep = None if keep is None else list(keep)
        self.read = READ[output]

    def forward(self, crops: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised crops to what ``InputSpec.output`` describes."""
        features = self.backbone(crops)
        if self.neck is not None:
            features = self.neck(features)
        found = self.read(self.head.forward(features))
        return found if self.keep is None else found[:, self.keep]


def _heatmaps(found: Any) -> Tensor:
    """The last of several stages' heatmaps."""
    last: Tensor = found[-1] if isinstance(found, (list, tuple)) else found
    return last


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


def build(entry: Entry) -> nn.Module:
    """Build an entry's network with fresh weights.

    Args:
        entry: Its network's arguments name the config, a path below mmpose's ``configs/``.

    Raises:
        UserError: mmpose is missing, has no such config, or the model needs a part that is not
            installed.
    """
    name = str(entry.network.arguments["config"])
    path = config_file(package_folder(), name)
    if path is None:
        raise UserError(f"The installed mmpose has no config {name}.", INSTALL)
    config = read_config(path)
    keep = (config.model.get("test_cfg") or {}).get("output_keypoint_indices")
    return MMPoseNetwork(estimator(config), entry.input.output, keep)


def estimator(config: Any) -> Any:
    """Return mmpose's own estimator of a config, with fresh weights, nothing downloaded.

    Raises:
        UserError: It cannot be built.
    """
    _import()
    from mmengine.registry import init_default_scope
    from mmpose.registry import MODELS

    init_default_scope("mmpose")
    model = _own_scope(config.model.to_dict())
    model.pop("init_cfg", None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return MODELS.build(model)
    except (KeyError, ImportError, MissingPartError) as error:
        reason = str(error).strip("'\"").splitlines()[0]
        raise UserError(f"mmpose cannot build this model: {reason}", INSTALL) from error


def _own_scope(part: Any) -> Any:
    """Take parts that configs ask of mmdet from mmpose, which has them too (CSPNeXt)."""
    if isinstance(part, dict):
        return {k: _own_scope(v) for k, v in part.items() if (k, v) != ("_scope_", "mmdet")}
    if isinstance(part, (list, tuple)):
        return type(part)(_own_scope(each) for each in part)
    return part


def _import() -> None:
    """Import mmpose's models, with stand-ins where parts of OpenMMLab are missing."""
    stand_in()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mmpose.models  # noqa: F401
    except Exception as error:  # a clash of versions may show as anything
        raise UserError(f"mmpose cannot be imported: {error}.", INSTALL) from error
