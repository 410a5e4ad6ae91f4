"""MMPose's models: a config of its wheel -> a network that posebench's own data path runs.

The network carries mmpose's parameter names, so that its published files need no map of ours.
Needs the extra ``openmmlab`` and mmpose itself; nothing else in posebench imports them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from posebench.mmpose.config import read_config
from posebench.mmpose.index import INSTALL, config_file, package_folder
from posebench.mmpose.networks import (
    READ,
    MMPoseNetwork,
    MMPosePersons,
    heatmaps_and_tags,
)
from posebench.mmpose.stand_ins import stand_in
from posebench.network_families import check_arguments
from posebench.types.errors import UserError

if TYPE_CHECKING:
    from posebench.types.entry import Entry

OLD_HEAD = "keypoint_head."


def build(entry: Entry) -> nn.Module:
    """Build an entry's network with fresh weights.

    Args:
        entry: Its network's arguments name the config, a path below mmpose's ``configs/``.

    Raises:
        UserError: The argument is not such a path, mmpose is missing or has no such config, or
            the model needs a part that is not installed.
    """
    # configs are programs: what is named must be one of the installed wheel
    try:
        check_arguments("mmpose", entry.network.arguments)
    except ValueError as error:
        raise UserError(f"{entry.key}: {error}.", "Correct the row.") from None
    name = entry.network.arguments["config"]
    path = config_file(package_folder(), name)
    if path is None:
        raise UserError(f"The installed mmpose has no config {name}.", INSTALL)
    config = read_config(path)
    spec = entry.input
    if spec.output == "persons":
        return MMPosePersons(estimator(config), config)
    keep = (config.model.get("test_cfg") or {}).get("output_keypoint_indices")
    read = heatmaps_and_tags if spec.whole else READ[spec.output]
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
