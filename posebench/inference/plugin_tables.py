"""Decoders and runtimes by name: posebench's own and those of other packages.

Importing this module imports neither torch nor numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from posebench.plugins import PluginTable
from posebench.types.protocol import DECODE_OF_OUTPUT, GROUPINGS, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    Decoded = tuple[Tensor, Tensor]
    Decoder = Callable[[Tensor, Protocol], Decoded]
    Compute = Callable[[NDArray[np.float32]], NDArray[np.float32]]
    Prepare = Callable[[nn.Module, tuple[int, int, int, int], int], tuple[Compute, str]]

TORCH = "torch"
COMBINED = "combined"

# Protocol.decode -> (heatmaps, protocol) -> (cells, joint scores): (N, K, H, W) float32 to
# (N, K, 2), x before y, and (N, K), on the device of the heatmaps. The reserved names decode other
# outputs than heatmaps, or a person's parts by several decoders.
DECODERS: PluginTable[Decoder] = PluginTable(
    "decoder",
    "posebench.decoders",
    {
        name: f"posebench.inference.decode:{name}"
        for name in (
            *("argmax", "quarter", "softargmax", "dark", "integral_sigmoid"),
            *("quarter_each_axis", "quarter_and_half", "dark_udp"),
        )
    },
    reserved=(COMBINED, *GROUPINGS, *DECODE_OF_OUTPUT.values()),
)


@dataclass(frozen=True)
class Runtime:
    """What computes a network on a CPU in the place of torch, in float32.

    Attributes:
        prepare: Takes the network (a ``torch.nn.Module`` on the CPU, in evaluation mode), the
            shape (N, 3, H, W) of every batch and a number of threads; returns a function from
            float32 arrays of that shape to the network's outputs, a float32 array, and the
            runtime's name and version. ``module:attribute`` where importing it is heavy.
            ``posebench.inference.runtimes.export_onnx`` writes the network as a file.
        packages: What has to be importable.
        extra: Optional part of posebench that installs them; empty where another package does.

    Example:
        >>> Runtime("some_package.runtime:prepare", packages=("math",)).extra
        ''
    """

    prepare: str | Prepare
    packages: tuple[str, ...] = ()
    extra: str = ""


RUNTIMES: PluginTable[Runtime] = PluginTable(
    "runtime",
    "posebench.runtimes",
    {
        name: Runtime(f"posebench.inference.runtimes:{name}", (name, "onnx"), "runtimes")
        for name in ("onnxruntime", "openvino")
    },
    wanted=Runtime,
    reserved=(TORCH,),
)
