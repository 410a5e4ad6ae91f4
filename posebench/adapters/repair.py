"""What publishers do to their weights after reading them, by name; the registry says where."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from posebench.types.entry import Repair

EXAMPLES = 3


def repaired(
    state: Mapping[str, Tensor], repair: Repair | None
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Apply a checkpoint's repair.

    Args:
        state: Names to tensors; left as they are.
        repair: ``Checkpoint.repair``; None changes nothing.

    Returns:
        The tensors, and notes for the record on what was changed.
    """
    return (dict(state), ()) if repair is None else _REPAIRS[repair](state)


def _nonfinite_to_zero(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Set NaN and infinite values to 0, as GluonCV did in its newer files (commit 32f4daaf)."""
    tensors, changed, values = dict(state), [], 0
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            changed.append(name)
            values += int((~torch.isfinite(tensor)).sum())
            tensors[name] = torch.nan_to_num(tensor, nan=0.0, posinf=0.0, neginf=0.0)
    if not changed:
        return tensors, ()
    more = ", ..." if len(changed) > EXAMPLES else ""
    where = ", ".join(changed[:EXAMPLES]) + more
    count = f"{values} value{'s' if values > 1 else ''}"
    return tensors, (f"{count} of the weights, NaN or infinite, became 0: {where}",)


_Result = tuple[dict[str, Tensor], tuple[str, ...]]
_REPAIRS: dict[Repair, Callable[[Mapping[str, Tensor]], _Result]] = {
    "nonfinite_to_zero": _nonfinite_to_zero
}
