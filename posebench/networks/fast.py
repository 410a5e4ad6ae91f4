"""The same network with fewer steps: BatchNorms folded into the convolutions before them.

Nothing is traced or rewritten. One forward pass shows which BatchNorm reads exactly what a
convolution wrote; such a pair becomes one convolution. Whoever uses the result compares its
outputs (``posebench.inference.forms``): a network that reads a convolution's output twice would
fold wrongly and be noticed there.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor, nn

Convolution: TypeAlias = "nn.Conv2d | nn.ConvTranspose2d"


def folded(network: nn.Module, size: tuple[int, int]) -> tuple[nn.Module, int]:
    """Return a copy with every BatchNorm that follows a convolution folded into it.

    Args:
        network: In evaluation mode, float32; left as it is.
        size: Input (height, width), pixels.

    Returns:
        The copy, and how many BatchNorms went.
    """
    # Tensors of inference mode, in which a caller may be, cannot tell that they were changed.
    with torch.inference_mode(False), torch.no_grad():
        network = copy.deepcopy(network)
        device = next(network.parameters()).device
        with _watched(network) as sources:
            network(torch.zeros(1, 3, *size, device=device))
    names = {module: name for name, module in network.named_modules()}
    pairs = list(_pairs(sources))
    for convolution, norm in pairs:
        _fold(convolution, norm)
        owner, _, attribute = names[norm].rpartition(".")
        setattr(network.get_submodule(owner), attribute, nn.Identity())
    return network, len(pairs)


@contextmanager
def _watched(
    network: nn.Module,
) -> Iterator[dict[nn.BatchNorm2d, list[Convolution | None]]]:
    """Note for every call of a BatchNorm which convolution wrote its input, None for none."""
    # The tensors are kept so that no later one gets the same identity.
    written: dict[int, tuple[Convolution, Tensor, int]] = {}
    sources: dict[nn.BatchNorm2d, list[Convolution | None]] = {}

    def wrote(module: nn.Module, _: object, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        written[id(output)] = (module, output, output._version)

    def reads(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        source, _, version = written.get(id(inputs[0]), (None, None, -1))
        changed = version != inputs[0]._version
        sources.setdefault(module, []).append(None if changed else source)

    hooks = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            hooks.append(module.register_forward_hook(wrote))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(reads))
    try:
        yield sources
    finally:
        for hook in hooks:
            hook.remove()


def _pairs(
    sources: dict[nn.BatchNorm2d, list[Convolution | None]],
) -> Iterator[tuple[Convolution, nn.BatchNorm2d]]:
    """Yield a convolution and its BatchNorm where each was always and only met with the other."""
    followed: dict[Convolution, set[nn.BatchNorm2d]] = {}
    for norm, before in sources.items():
        for convolution in before:
            if convolution is not None:
                followed.setdefault(convolution, set()).add(norm)
    for norm, before in sources.items():
        convolution = before[0]
        if len(set(before)) == 1 and convolution is not None and len(followed[convolution]) == 1:
            yield convolution, norm


def _fold(convolution: Convolution, norm: nn.BatchNorm2d) -> None:
    """Scale a convolution's output channels and shift them as its BatchNorm would.

    Computed in float64 and rounded once.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -norm.running_mean.double()
    if convolution.bias is not None:
        shift = shift + convolution.bias.detach().double()
    shift = shift * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    weight = convolution.weight.detach()
    scaled = (weight.double() * _over_weight(convolution, scale)).to(weight.dtype)
    convolution.weight = nn.Parameter(scaled, requires_grad=False)
    convolution.bias = nn.Parameter(shift.to(weight.dtype), requires_grad=False)


def _over_weight(convolution: Convolution, scale: Tensor) -> Tensor:
    """Lay one number for each output channel out so that it multiplies the weight.

    A convolution's weight has its output channels first; a transposed one's, (in, out / groups,
    ...), has them second, and the group is in the first.
    """
    if isinstance(convolution, nn.Conv2d):
        return scale.view(-1, 1, 1, 1)
    inputs = convolution.in_channels // convolution.groups
    by_group = scale.view(convolution.groups, -1).repeat_interleave(inputs, dim=0)
    return by_group[:, :, None, None]
