"""Networks computed by other runtimes on a CPU: ONNX Runtime, OpenVINO, those of other packages.

The batch is fixed: every batch of an evaluation is padded to full size anyway, and a fixed shape
lets a runtime plan its memory and its loops. ONNX Runtime and OpenVINO read one exported graph.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posebench.inference.plugin_tables import RUNTIMES
from posebench.install import install_command
from posebench.plugins import POSEBENCH, first_line, resolve
from posebench.types.errors import UserError
from posebench.types.model import PoseModel

if TYPE_CHECKING:
    from posebench.inference.plugin_tables import Compute

Heatmaps = NDArray[np.float32]

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
            UserError: The batch is not the one that was exported, or the runtime gives something
                else than a float32 array for it.
        """
        if tuple(x.shape) != self.shape:
            raise UserError(
                f"{self.runtime} was given a batch of {tuple(x.shape)}, it was made for "
                f"{self.shape}.",
                "Prepare the network again with that batch size.",
            )
        found: Any = self.compute(x.contiguous().numpy())
        if not isinstance(found, np.ndarray) or found.dtype != np.float32:
            kind = found.dtype if isinstance(found, np.ndarray) else type(found).__name__
            raise UserError(
                f"{self.runtime} gave {kind}, not a float32 array.",
                "Update the package that brings it, or use --runtime torch.",
            )
        if found.shape[:1] != (len(x),):
            raise UserError(
                f"{self.runtime} gave an array of shape {found.shape} for {len(x)} crops.",
                "Update the package that brings it, or use --runtime torch.",
            )
        return torch.from_numpy(found)


def as_runtime(model: PoseModel, runtime: str, batch: int, threads: int) -> RuntimeNetwork:
    """Let another runtime compute a network, in float32.

    Args:
        model: Its network is computed at the entry's input size.
        runtime: A key of ``RUNTIMES``.
        batch: Persons in a batch; no other number can be computed afterwards.
        threads: Of the runtime.

    Returns:
        A module with the network's contract, on the CPU.

    Raises:
        UserError: The runtime is unknown or not installed, or it cannot take the network.
    """
    check_installed(runtime)
    prepare, owner = RUNTIMES[runtime].prepare, RUNTIMES.owner(runtime)
    height, width = model.entry.input.size
    shape = (batch, 3, height, width)
    try:
        if isinstance(prepare, str):
            prepare = resolve(prepare)
        compute, name = prepare(model.network, shape, threads)
    except UserError:
        raise
    except Exception as error:
        if owner == POSEBENCH:
            raise
        raise UserError(  # code of others: anything may be wrong with it
            f"The runtime {runtime!r} of {owner} cannot take {model.entry.key}: "
            f"{first_line(error)}.",
            "Update the package that brings it, or use --runtime torch.",
        ) from error
    return RuntimeNetwork(compute, shape, str(name))


def onnxruntime(network: nn.Module, shape: tuple[int, ...], threads: int) -> tuple[Compute, str]:
    """Let ONNX Runtime compute a network; see ``Runtime.prepare``."""
    with _exported(network, shape) as path:
        return _onnxruntime(path, threads)


def openvino(network: nn.Module, shape: tuple[int, ...], threads: int) -> tuple[Compute, str]:
    """Let OpenVINO compute a network; see ``Runtime.prepare``."""
    with _exported(network, shape) as path:
        return _openvino(path, threads)


def check_installed(runtime: str) -> None:
    """Say what is missing before anything is built.

    Raises:
        UserError: The runtime is unknown, or a package that it needs does not import.
    """
    found = RUNTIMES[runtime]
    missing = [name for name in found.packages if find_spec(name) is None]
    if missing:
        hint = f"Install {' and '.join(missing)}."
        if found.extra:
            hint = f"Install it: {install_command(found.extra)}"
        raise UserError(
            f"--runtime {runtime} needs {' and '.join(missing)}, which is not installed.", hint
        )


@contextmanager
def _exported(network: nn.Module, shape: tuple[int, ...]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="posebench-") as folder:
        path = Path(folder) / "network.onnx"
        export_onnx(network, shape, path)
        yield path


def export_onnx(network: nn.Module, shape: tuple[int, ...], path: Path) -> None:
    """Write a network as an ONNX file, with the input ``image`` and the output ``heatmaps``.

    Torch's older exporter: it records one pass, takes seconds, and its graph measured as fast
    as the newer one's.

    Args:
        network: With weights.
        shape: (N, 3, H, W) of every batch.
        path: Of the file.

    Raises:
        UserError: The exporter does not know an operation of the network.
    """
    device = next(network.parameters()).device
    example = torch.zeros(shape, device=device)
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(
                network,
                (example,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
            )
    except Exception as error:  # the exporter has no common class of errors
        raise UserError(
            f"{type(network).__name__} cannot be exported to ONNX: {str(error).splitlines()[0]}.",
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
