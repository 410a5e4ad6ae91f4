"""The naming scheme of MXNet's Gluon: structural names, or those of full prefixes before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from posebench.types.errors import UserError

# Gluon's BatchNorm; its running statistics carry PyTorch's names already.
SUFFIXES = {"gamma": "weight", "beta": "bias"}
# What Module.save_checkpoint and HybridBlock.export put before names.
PREFIXES = ("arg:", "aux:")
KINDS = ("running_mean", "running_var", "gamma", "beta", "weight", "bias")
# PyTorch's step counters, which Gluon does not have.
COUNTER = "num_batches_tracked"


def gluon(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """Rename gamma and beta; map names of before the structural ones by their order.

    Layouts agree: convolution (out, in, h, w), transposed convolution (in, out, h, w), dense
    (out, in). Names without a dot are of the old kind: a prefix, counters that depend on what
    the process had built before, and what the array is (``resnetv1b_conv0_weight``). They say
    nothing about the structure, but files hold them in the order of the network's layers.

    Raises:
        UserError: Old names that do not fit the network one by one, in kind, shape and layer.
    """
    plain = {_without(PREFIXES, name): value for name, value in state.items()}
    if not any("." in name for name in plain):
        return _by_order(plain, module)
    return {_own(name): value for name, value in plain.items()}


def _without(prefixes: Iterable[str], name: str) -> str:
    return next((name[len(p) :] for p in prefixes if name.startswith(p)), name)


def _own(name: str) -> str:
    stem, dot, kind = name.rpartition(".")
    return stem + dot + SUFFIXES.get(kind, kind)


def _by_order(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    targets = {n: v for n, v in module.state_dict().items() if n.rpartition(".")[2] != COUNTER}
    hint = "Save the weights again with Gluon's save_parameters."
    if len(state) != len(targets):
        raise UserError(
            f"The file has {len(state)} arrays under names without structure, the network "
            f"{len(targets)}.",
            "Give the file that the zoo publishes for this model.",
        )
    layers: dict[str, str] = {}
    for (name, value), (own, target) in zip(state.items(), targets.items(), strict=True):
        stem, kind = _split(name)
        layer, _, own_kind = own.rpartition(".")
        same = kind == own_kind and value.shape == target.shape
        if not same or layers.setdefault(stem, layer) != layer:
            raise UserError(
                f"'{name}' {tuple(value.shape)} stands where the network has '{own}' "
                f"{tuple(target.shape)}: old names can only be read in the order of the layers.",
                hint,
            )
    if len(set(layers.values())) != len(layers):
        raise UserError("The file splits a layer between two names.", hint)
    return dict(zip(targets, state.values(), strict=True))


def _split(name: str) -> tuple[str, str]:
    """Split an old name into its layer and what the array is there, in PyTorch's words."""
    for kind in KINDS:
        if name.endswith(f"_{kind}"):
            return name[: -len(kind) - 1], SUFFIXES.get(kind, kind)
    return name, ""
