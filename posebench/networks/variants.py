"""The file decides: which member of a family a checkpoint holds, against what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from posebench.types.errors import UserError


def size_at(state: Mapping[str, Tensor], name: str, axis: int) -> int | None:
    """Return the size of a tensor along an axis, None where it has no such tensor or axis."""
    shape = state[name].shape if name in state else ()
    return shape[axis] if axis < len(shape) else None


def count_children(state: Mapping[str, Tensor], prefix: str) -> int:
    """Return how many different names follow a prefix (with its dot) up to the next dot."""
    return len({n.removeprefix(prefix).split(".")[0] for n in state if n.startswith(prefix)})


def check_variant(network: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Compare what a file holds with the network that is to take it.

    Networks that can tell have ``variant`` (their own facts: the name and arguments of
    ``build_network``) and ``infer_variant`` (the same facts read from names and shapes, {} where
    the file is of another family); others pass.

    Args:
        network: The network that was built.
        state: Its tensors to be, under its own names.
        source: What they came from, for the message.

    Raises:
        UserError: A fact differs, e.g. the registry says 128 channels in the head and the file
            has 256.
    """
    infer = getattr(network, "infer_variant", None)
    if infer is None:
        return
    found: dict[str, Any] = infer(state)
    if not found:
        return
    asked: Mapping[str, Any] = getattr(network, "variant", {})
    wrong = [
        f"{name} {found.get(name)} (asked: {asked.get(name)})"
        for name in dict.fromkeys((*asked, *found))
        if found.get(name) != asked.get(name)
    ]
    if wrong:
        raise UserError(
            f"{source} holds another variant of the network: {', '.join(wrong)}.",
            "Give this model's file; if it is, the registry row is wrong: correct its network.",
        )
