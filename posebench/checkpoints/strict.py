"""Loading that is all or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from posebench.types.errors import UserError
from posebench.types.model import Coverage

# Counts training steps of a BatchNorm and means nothing to evaluation; Paddle has none.
COUNTER = "num_batches_tracked"
EXAMPLES = 3


def load_strict(module: nn.Module, state: Mapping[str, Tensor], *, source: str) -> Coverage:
    """Copy tensors into a network; anything missing, left over or of another shape is an error.

    Only BatchNorm's step counters may be absent.

    Args:
        module: The network; its dtype is kept.
        state: The network's own names to tensors of any floating type.
        source: What the tensors came from, for the message.

    Returns:
        Elements of parameters and buffers copied, and how many there are (no counters).

    Raises:
        UserError: A name is missing or unknown, a shape differs, or values are not finite
            floating-point numbers. Nothing has been copied then.
    """
    targets = module.state_dict()
    weights = {name for name in targets if not _is_counter(name)}
    problems = {
        "missing": sorted(weights - state.keys()),
        "unexpected": sorted(state.keys() - targets.keys()),
        "of another shape": [
            f"{name} {_shape(state[name])} for {_shape(targets[name])}"
            for name in sorted(targets.keys() & state.keys())
            if state[name].shape != targets[name].shape
        ],
    }
    if any(problems.values()):
        found = len(weights) - len(problems["missing"])
        raise UserError(
            f"{source} does not fit the network: {_summary(problems)}.",
            _guess(problems, found),
        )
    _check_values(state, weights, source)
    loaded = 0
    with torch.no_grad():
        for name, value in state.items():
            targets[name].copy_(value)
            if not _is_counter(name):
                loaded += value.numel()
    return Coverage(loaded=loaded, expected=sum(targets[name].numel() for name in weights))


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] == COUNTER


def _check_values(state: Mapping[str, Tensor], weights: set[str], source: str) -> None:
    wrong = sorted(name for name in weights if not state[name].is_floating_point())
    if wrong:
        raise UserError(
            f"{source} holds values that are not floating-point numbers in {_examples(wrong)}.",
            "Quantised weights cannot be evaluated; give the float32 or float16 file.",
        )
    # as float32: it is what the network computes in, and holds every narrower type
    broken = sorted(name for name in weights if not bool(torch.isfinite(state[name].float()).all()))
    if broken:
        raise UserError(
            f"{source} holds NaN or infinite values in {_examples(broken)}.",
            "The file is damaged or its training diverged; download it again.",
        )


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"


def _examples(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > EXAMPLES else ""
    return ", ".join(names[:EXAMPLES]) + more


def _summary(problems: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(
        f"{len(names)} {kind} ({_examples(names)})" for kind, names in problems.items() if names
    )


def _guess(problems: Mapping[str, Sequence[str]], found: int) -> str:
    """Say what the mismatch looks like."""
    if found == 0:
        return "No name agrees: the file belongs to another kind of network."
    if not problems["missing"] and not problems["unexpected"]:
        return "All names agree: the file is this network in another width or number of joints."
    if not problems["missing"]:
        return "The file holds this network and more: give a deeper or fuller model of the family."
    if not problems["unexpected"]:
        return "The file holds a part of this network: it is cut, or a smaller model of the family."
    return "Some names agree: the file is another model of the family, or of another version."
