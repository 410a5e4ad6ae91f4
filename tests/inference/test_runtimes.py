"""Other runtimes: what is asked of them, and that they agree where they are installed."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import make
import numpy as np
import pytest
import torch
from refusals import refused

from posebench.inference import runtimes
from posebench.inference.runtimes import RuntimeNetwork, as_runtime, check_installed
from posebench.install import install_command
from posebench.types.errors import UserError


def test_an_unknown_runtime_is_refused():
    with pytest.raises(UserError, match="Unknown runtime 'tensorrt'"):
        as_runtime(make.probe_model(), "tensorrt", 2, 1)


def test_what_is_missing_is_named_with_the_command_that_brings_it(monkeypatch):
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None if name == "onnx" else name)
    with pytest.raises(UserError, match="--runtime openvino needs onnx, which") as error:
        check_installed("openvino")
    assert install_command("runtimes") in error.value.hint
    monkeypatch.setattr(runtimes, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs onnxruntime and onnx"):
        check_installed("onnxruntime")


def test_only_the_exported_batch_can_be_computed():
    network = RuntimeNetwork(lambda x: x[:, :1], (2, 3, 4, 4), "some 1")
    assert network(torch.ones(2, 3, 4, 4)).shape == (2, 1, 4, 4)
    with pytest.raises(UserError, match=r"batch of \(1, 3, 4, 4\), it was made for \(2, 3, 4, 4\)"):
        network(torch.ones(1, 3, 4, 4))


def test_arrays_are_handed_over_whole():
    given = []
    network = RuntimeNetwork(lambda x: given.append(x) or x, (2, 3, 4, 4), "some 1")
    network(torch.rand(2, 3, 4, 4).flip(-1).to(memory_format=torch.channels_last))
    assert given[0].flags.c_contiguous
    assert given[0].dtype == np.float32


def test_onnxruntime_is_held_to_the_threads(monkeypatch, tmp_path):
    made = {}

    class Session:
        def __init__(self, path, options, providers):
            made.update(path=path, options=options, providers=providers)

        def run(self, outputs, inputs):
            return [inputs["image"] + 1]

    module = SimpleNamespace(
        SessionOptions=SimpleNamespace, InferenceSession=Session, __version__="9.9"
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    compute, name = runtimes._onnxruntime(tmp_path / "n.onnx", 3)
    options = made["options"]
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert made["providers"] == ["CPUExecutionProvider"]
    assert name == "onnxruntime 9.9"
    assert compute(np.zeros(2, np.float32)).tolist() == [1, 1]


def test_openvino_computes_in_float32_and_its_memory_is_copied(monkeypatch, tmp_path):
    made = {}
    buffer = np.zeros(2, np.float32)

    class Request:
        def infer(self, inputs):
            buffer[:] = inputs["image"]
            return [buffer]

    class Core:
        def compile_model(self, path, device, settings):
            made.update(device=device, **settings)
            return SimpleNamespace(create_infer_request=Request)

    module = SimpleNamespace(Core=Core, __version__="2099.1-123")
    monkeypatch.setitem(sys.modules, "openvino", module)
    compute, name = runtimes._openvino(tmp_path / "n.onnx", 3)
    first = compute(np.ones(2, np.float32))
    compute(np.zeros(2, np.float32))
    assert first.tolist() == [1, 1]
    assert name == "openvino 2099.1"
    assert made == {
        "device": "CPU",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": 3,
        "NUM_STREAMS": 1,
    }


def test_a_network_that_cannot_be_exported_is_an_error_in_words(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no such operator\nand much more")

    monkeypatch.setattr(runtimes, "check_installed", lambda name: None)
    monkeypatch.setattr(torch.onnx, "export", refuse)
    with refused("ONNX", "no such operator"):
        as_runtime(make.probe_model(), "onnxruntime", 2, 1)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_installed_runtime_agrees_with_torch(runtime):
    pytest.importorskip("onnx", reason="needs the extra runtimes")
    pytest.importorskip(runtime, reason="needs the extra runtimes")
    model = make.probe_model()
    network = as_runtime(model, runtime, 2, 1)
    x = torch.randn(2, 3, 64, 48)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), model.network(x), rtol=1e-5, atol=1e-5)
    assert network.runtime.startswith(runtime)
