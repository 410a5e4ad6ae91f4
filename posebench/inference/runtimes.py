"""Networks computed by other runtimes on a CPU: ONNX Runtime and OpenVINO.

Both read the same exported graph, whose batch is fixed: every batch of an evaluation is padded to
full size anyway, and a fixed shape lets a runtime plan its memory and its loops.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posebench.install import install_command
from posebench.types.errors import UserError
from posebench.types.model import PoseModel

Heatmaps = NDArray[np.float32]
Compute = Callable[[NDArray[np.float32]], Heatmaps]

INPUT, OUTPUT = "image", "heatmaps"
OPSET = 17  # the first with LayerNormalization, which LPN's context blocks need
SERIOUS = 3  # ONNX Runtime's level of errors


class RuntimeNetwork(nn.Module):
    """A runtime's session in the place of a network.

    Args:
        compute: From float32 arrays (N, 3, H, W) to (N, K, h, w).
        shape: The (N, 3, H, W) that was exported.
        runtime: Its name and version.
    """

    def __init__(self, compute: Compute, shape: tuple[int, ...], runtime: str) -> None:
        super().__init__()
        self.compute = compute
        self.shape = shape
        self.runtime = runtime

    def forward(self, x: Tensor) -> Tensor:
        """Map crops (N, 3, H, W) on the CPU to heatmaps (N, K, h, w).

        Raises:
            UserError: The batch is not the one that was exported.
        """
        if tuple(x.shape) != self.shape:
            raise UserError(
                f"{self.runtime} was given a batch of {tuple(x.shape)}, it was made for "
                f"{self.shape}.",
                "Prepare the network again with that batch size.",
            )
        return torch.from_numpy(self.compute(x.contiguous().numpy()))


def as_runtime(model: PoseModel, runtime: str, batch: int, threads: int) -> RuntimeNetwork:
    """Export a network and let another runtime compute it, in float32.

    Args:
        model: Its network is exported at the entry's input size.
        runtime: ``onnxruntime`` or ``openvino``.
        batch: Persons a forward pass; no other number can be computed afterwards.
        threads: Of the runtime.

    Returns:
        A module with the network's contract, on the CPU.

    Raises:
        UserError: The runtime is unknown or not installed, or the network cannot be exported.
    """
    if runtime not in RUNTIMES:
        raise UserError(f"Unknown runtime {runtime!r}.", f"Give one of {', '.join(RUNTIMES)}.")
    check_installed(runtime)
    shape = (batch, 3, *model.entry.input.size)
    with tempfile.TemporaryDirectory(prefix="posebench-") as folder:
        path = Path(folder) / "network.onnx"
        _export(model, shape, path)
        compute, name = RUNTIMES[runtime](path, threads)
    return RuntimeNetwork(compute, shape, name)


def check_installed(runtime: str) -> None:
    """Say what is missing before anything is built.

    Raises:
        UserError: The runtime or the exporter's package does not import.
    """
    missing = [name for name in (runtime, "onnx") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"--runtime {runtime} needs {' and '.join(missing)}, which is not installed.",
            f"Install it: {install_command('runtimes')}",
        )


def _export(model: PoseModel, shape: tuple[int, ...], path: Path) -> None:
    """Write the network as an ONNX file.

    Torch's older exporter: it records one pass, takes seconds, and its graph measured as fast
    as the newer one's.
    """
    device = next(model.network.parameters()).device
    example = torch.zeros(shape, device=device)
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(
                model.network,
                (example,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
            )
    except Exception as error:  # the exporter has no common class of errors
        raise UserError(
            f"{model.entry.key} cannot be exported to ONNX: {str(error).splitlines()[0]}.",
            "Use --runtime torch.",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's notices about itself."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _onnxruntime(path: Path, threads: int) -> tuple[Compute, str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SERIOUS
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def compute(x: NDArray[np.float32]) -> Heatmaps:
        found: Heatmaps = session.run([OUTPUT], {INPUT: x})[0]
        return found

    return compute, f"onnxruntime {onnxruntime.__version__}"


def _openvino(path: Path, threads: int) -> tuple[Compute, str]:
    import openvino

    # Without the hint, processors that know bfloat16 would compute in it.
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
    }
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    request = compiled.create_infer_request()

    def compute(x: NDArray[np.float32]) -> Heatmaps:
        # The request's own memory is written again by the next batch.
        return np.array(request.infer({INPUT: x})[0], np.float32)

    return compute, f"openvino {openvino.__version__.partition('-')[0]}"


RUNTIMES: dict[str, Callable[[Path, int], tuple[Compute, str]]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}
