"""A model in another form: folded, channels-last, compiled, in fewer bits, by another runtime.

The result is a ``PoseModel`` whose network has the plain one's contract, so that evaluating and
timing need not know which form they hold.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from posebench.inference.devices import computing_on
from posebench.inference.runtimes import as_runtime
from posebench.networks.fast import folded
from posebench.types.errors import UserError
from posebench.types.model import PoseModel
from posebench.types.timing import Form

# Of the peak of the heatmaps; on processors folding, layout and runtimes were measured at 2e-7 to
# 4e-6. The libraries of an accelerator may take another algorithm for every batch.
EXACT = 1e-5
EXACT_ON_ACCELERATOR = 1e-4
DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class FormedNetwork(nn.Module):
    """A network that wants its input in another type or layout, behind the usual contract.

    Args:
        network: Takes (N, 3, H, W) of ``dtype`` and layout.
        dtype: Of its weights.
        layout: Of its activations.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype, layout: torch.memory_format) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype
        self.layout = layout

    def forward(self, x: Tensor) -> Tensor:
        """Map float crops (N, 3, H, W) to float32 heatmaps (N, K, h, w)."""
        heatmaps: Tensor = self.network(x.to(dtype=self.dtype, memory_format=self.layout))
        return heatmaps.float()


def as_input(batch: Tensor, form: Form) -> Tensor:
    """Return crops (N, 3, H, W) in the type and layout in which a form computes them."""
    if form.runtime != "torch":
        return batch
    return batch.to(dtype=DTYPES[form.precision], memory_format=_layout(form))


def _layout(form: Form) -> torch.memory_format:
    return torch.channels_last if form.channels_last else torch.contiguous_format


def in_form(model: PoseModel, form: Form, *, batch_size: int, threads: int) -> PoseModel:
    """Bring a model into a form.

    Nothing is compared here; see ``exact_form``. A compiled network is compiled when it is first
    used. TF32 is a setting of torch, not of a network: ``devices.use_tf32``.

    Args:
        model: Plain, on the device it will run on.
        form: What to change.
        batch_size: Persons in a batch, the only one another runtime can compute.
        threads: Of another runtime.

    Returns:
        The model itself where nothing changes; otherwise another one, with a note.

    Raises:
        UserError: The runtime is missing, or the network cannot be exported.
    """
    if form == Form():
        return model
    notes = []
    network = model.network
    if form.folded:
        network, count = folded(network, model.entry.input.size)
        notes.append(f"{count} BatchNorms folded")
    if form.runtime != "torch":
        network = as_runtime(replace(model, network=network), form.runtime, batch_size, threads)
        notes.append(f"computed by {network.runtime}")
    else:
        network = _torch_form(network, form)
    said = f"form of the network: {form.words}" + (f" ({'; '.join(notes)})" if notes else "")
    return replace(model, network=network.eval(), notes=(*model.notes, said))


def _torch_form(network: nn.Module, form: Form) -> nn.Module:
    layout, dtype = _layout(form), DTYPES[form.precision]
    if (dtype, layout) != (torch.float32, torch.contiguous_format):
        changed: Any = copy.deepcopy(network).to(dtype)
        network = FormedNetwork(changed.to(memory_format=layout), dtype, layout)
    if form.compiled:
        network = compiled(network)
    return network


def compiled(network: nn.Module) -> nn.Module:
    """Compile a network whose weights will not change any more."""
    done: Any = torch.compile(network, options={"freezing": True})
    assert isinstance(done, nn.Module)
    return done


def exact_form(
    model: PoseModel, form: Form, *, batch_size: int, threads: int, device: str = "cpu"
) -> PoseModel:
    """Bring a model into a form of which one batch shows that only rounding differs.

    Args:
        model: Plain, with weights.
        form: In float32.
        batch_size: Persons in a batch.
        threads: Of another runtime.
        device: Where it will run.

    Returns:
        The model in that form; a note names the form and the difference found.

    Raises:
        UserError: As ``in_form``; the form is not exact by its nature; or its heatmaps differ
            by more of their peak than ``allowed_difference``.
    """
    if not form.exact:
        raise UserError(
            f"{form.precision} is not an exact form.",
            "Only posebench speed measures with fewer bits.",
        )
    if form == Form():
        return model
    generator = torch.Generator().manual_seed(0)
    size = (batch_size, 3, *model.entry.input.size)
    batch = torch.randn(size, generator=generator).to(device)
    model = replace(model, network=model.network.to(device))
    changed = in_form(model, form, batch_size=batch_size, threads=threads)
    with computing_on(device), torch.inference_mode():
        error = difference(changed.network(batch), model.network(batch))
    allowed = allowed_difference(device)
    if not error <= allowed:
        raise UserError(
            f"{model.entry.key} in the form {form.words} differs by {error:.1e} of the peak; "
            f"{allowed:.0e} is allowed.",
            "Use the plain form.",
        )
    *others, said = changed.notes
    return replace(changed, notes=(*others, f"{said}, within {error:.0e} of the peak"))


def allowed_difference(device: str) -> float:
    """Return how far, over the peak, a form in float32 may be from the plain network's outputs.

    Args:
        device: ``cpu`` or ``cuda:N``, where both are computed.
    """
    return EXACT if device == "cpu" else EXACT_ON_ACCELERATOR


def difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference over the peak of what was expected; NaN stays NaN.

    Args:
        found: Heatmaps (N, K, h, w).
        expected: Of the same shape.

    Returns:
        Infinity where the shapes differ; 0 where there is nothing to compare, as of an image
        without persons.
    """
    if found.shape != expected.shape:
        return float("inf")
    if not expected.numel():
        return 0.0
    expected = expected.float()
    peak = expected.abs().max()
    largest = (found.float().to(expected.device) - expected).abs().max()
    return float(largest / peak) if peak > 0 else float(largest)
