"""MMPose's models: a config of its wheel -> a network that posebench's own data path runs.

The network carries mmpose's parameter names, so that its published files load without a map.
Needs the extra ``openmmlab`` and mmpose itself; nothing else in posebench imports them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from posebench.adapters.mmpose_config import read_config
from posebench.adapters.mmpose_index import INSTALL, config_file, package_folder
from posebench.adapters.mmpose_persons import MMPosePersons
from posebench.adapters.openmmlab_standin import stand_in
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from posebench.types.entry import Entry


OLD_HEAD = "keypoint_head."


class MMPoseNetwork(nn.Module):
    """Backbone, neck and head of a model of mmpose.

    Args:
        model: mmpose's estimator.
        read: Turns what the head gives into what ``InputSpec.output`` describes.
        keep: Joints of the head that are evaluated, in this order; None for all of them.
    """

    def __init__(
        self, model: Any, read: Callable[[Any], Tensor], keep: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else None
        self.head = model.head
        self.keep = None if keep is None else list(keep)
        self.read = read

    def forward(self, crops: Tensor) -> Tensor:
        """Map (N, 3, H, W) normalised crops or images to what ``InputSpec.output`` describes."""
        features = self.backbone(crops)
        if self.neck is not None:
            features = self.neck(features)
        found = self.read(self.head.forward(features))
        return found if self.keep is None else found[:, self.keep]


def _heatmaps(found: Any) -> Tensor:
    """The last of several stages' heatmaps."""
    last: Tensor = found[-1] if isinstance(found, (list, tuple)) else found
    return last


def _heatmaps_and_tags(found: Any) -> Tensor:
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
    spec = entry.input
    if spec.output == "persons":
        return MMPosePersons(estimator(config), config)
    keep = (config.model.get("test_cfg") or {}).get("output_keypoint_indices")
    read = _heatmaps_and_tags if spec.whole else READ[spec.output]
    return MMPoseNetwork(estimator(config), read, keep)


def published(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Turn the names of a published file into the network's.

    Files made before mmpose 1.0 have a ``keypoint_head``, parts of which were renamed since. How
    is for mmpose to say: the same hook of the head renames them that mmpose's own loading calls.
    """
    old = any(name.startswith(OLD_HEAD) for name in state)
    named = {
        name.replace(OLD_HEAD, "head.") if name.startswith(OLD_HEAD) else name: value
        for name, value in state.items()
        if not name.startswith("data_preprocessor.")
    }
    head: Any = module.head
    rename = getattr(head, "_load_state_dict_pre_hook", None)
    if rename is not None:
        rename(named, "head.", {} if old else {"version": head._version})
    return named


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
    except (KeyError, ImportError) as error:
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
