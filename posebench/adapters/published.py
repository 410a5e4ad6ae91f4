"""The other way round: under which names a zoo publishes a network's tensors."""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import nn

from posebench.networks.hrnet import HRNetBackbone

COUNTER = "num_batches_tracked"
PADDLE_STATISTICS = {"running_mean": "_mean", "running_var": "_variance"}
GLUON_NORMS = {"weight": "gamma", "bias": "beta"}
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def published_names(adapter: str, module: nn.Module) -> dict[str, str]:
    """Return the file's name of each tensor of a network.

    Args:
        adapter: Naming scheme: ``native``, ``paddle`` or ``gluon``.
        module: The network.

    Returns:
        The network's own names to the published ones, in the network's order; step counters are
        left out where the zoo's files have none.

    Raises:
        KeyError: An adapter whose names are only known one way, e.g. a plug-in's.
    """
    return _SCHEMES[adapter](module)


def _native(module: nn.Module) -> dict[str, str]:
    return {name: name for name in module.state_dict()}


def _gluon(module: nn.Module) -> dict[str, str]:
    norms = {name for name, part in module.named_modules() if isinstance(part, NORMS)}
    names = {}
    for name in _without_counters(module):
        stem, dot, kind = name.rpartition(".")
        names[name] = stem + dot + (GLUON_NORMS.get(kind, kind) if stem in norms else kind)
    return names


def _paddle(module: nn.Module) -> dict[str, str]:
    hrnet = isinstance(module, HRNetBackbone)
    names = {}
    for name in _without_counters(module):
        stem, dot, kind = name.rpartition(".")
        layer = _paddle_hrnet_layer(stem) if hrnet else stem
        names[name] = layer + dot + PADDLE_STATISTICS.get(kind, kind)
    return names


_SCHEMES: dict[str, Callable[[nn.Module], dict[str, str]]] = {
    "native": _native,
    "gluon": _gluon,
    "paddle": _paddle,
}


def _without_counters(module: nn.Module) -> list[str]:
    return [name for name in module.state_dict() if name.rpartition(".")[2] != COUNTER]


def _paddle_hrnet_layer(layer: str) -> str:
    """Return PaddleDetection's name of a layer of HRNet (``ppdet/modeling/backbones/hrnet.py``).

    Convolution and BatchNorm stand side by side in ours and together in one part there; stages,
    modules, blocks, branches and steps are counted from 1 there.
    """
    for pattern, rename in _HRNET_LAYERS:
        match = re.fullmatch(pattern, layer)
        if match:
            return rename(*match.groups())
    return layer


def _part(index: str) -> str:
    return ("conv", "norm")[int(index)]


def _next(index: str) -> int:
    return int(index) + 1


def _block(kind: str, number: str) -> str:
    return f"conv{number}.{'norm' if kind == 'bn' else 'conv'}"


def _branch(stage: str, module: str, branch: str, block: str, kind: str, number: str) -> str:
    name = f"st{stage}_{_next(module)}"
    inner = f"bb_{name}_branch_layer_{_next(branch)}_{_next(block)}"
    return f"backbone.st{stage}.stage_{name}.branches_func.{inner}.{_block(kind, number)}"


def _path(stage: str, module: str, target: str, source: str, step: str | None, part: str) -> str:
    name = f"st{stage}_{_next(module)}"
    inner = f"residual_{name}_layer_{_next(target)}_{_next(source)}"
    inner += f"_{_next(step)}" if step is not None else ""
    return f"backbone.st{stage}.stage_{name}.fuse_func.{inner}.{_part(part)}"


_HRNET_LAYERS: tuple[tuple[str, Callable[..., str]], ...] = (
    (r"(conv|bn)([12])", lambda kind, n: f"backbone.conv_layer1_{n}.{_block(kind, n)[6:]}"),
    (
        r"layer1\.(\d+)\.(conv|bn)(\d)",
        lambda b, kind, n: f"backbone.la1.block_layer2_{_next(b)}.{_block(kind, n)}",
    ),
    (
        r"layer1\.(\d+)\.downsample\.([01])",
        lambda b, part: f"backbone.la1.block_layer2_{_next(b)}.conv_down.{_part(part)}",
    ),
    (
        r"transition(\d)\.(\d)\.(?:0\.)?([01])",
        lambda t, i, part: f"backbone.tr{t}.transition_tr{t}_layer_{_next(i)}.{_part(part)}",
    ),
    (r"stage(\d)\.(\d+)\.branches\.(\d)\.(\d+)\.(conv|bn)(\d)", _branch),
    (r"stage(\d)\.(\d+)\.fuse_layers\.(\d)\.(\d)\.(?:(\d)\.)?([01])", _path),
    (r"final_layer", lambda: "final_conv"),
    (
        r"hrhrnet_head\.blocks\.(\d)\.(conv|bn)(\d)",
        lambda b, kind, n: f"hrhrnet_head.blocks.{b}.{_block(kind, n)}",
    ),
)
