"""Nothing inside a batch waits: constants stay on their device, results are waited for alone.

The device is played by torch's ``meta`` device, on which whatever would have to wait for a value
is an error.
"""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import make
import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from posebench.inference import transfer
from posebench.inference.normalise import normalise
from posebench.inference.outputs import decode_output
from posebench.inference.plugin_tables import DECODERS
from posebench.inference.transfer import Arriving, constant, gaussian, to_device
from posebench.mmpose.networks import MMPoseNetwork
from posebench.networks.deform import sampled_conv2d
from posebench.types.entry import InputSpec

SHAPES = {
    "heatmaps": (17, 16, 12),
    "offset_heatmaps": (51, 16, 12),
    "simcc": (17, 224),
    "coordinates": (17, 3),
}
CASES = [
    *(("heatmaps", {"decode": decode}) for decode in (*DECODERS, "combined")),
    ("heatmaps", {"decode": "dark", "flip_merge": "coordinates"}),
    ("heatmaps", {"decode": "quarter", "shift": False, "no_peak": "outside"}),
    ("offset_heatmaps", {"decode": "udp_offsets"}),
    ("simcc", {"decode": "simcc"}),
    ("coordinates", {"decode": "coordinates"}),
]
TENSOR_MAKERS = (torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy)


class Copies(TorchDispatchMode):
    """Notes every operation that has tensors of the host and of the device."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
        if len({tensor.device.type for tensor in tensors if tensor.dim()}) > 1:
            self.found.append(str(func))
        return out


class Constructions(TorchFunctionMode):
    """Notes every tensor that is made of the host's values, and lists taken as an index."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        index = args[1] if func is torch.Tensor.__getitem__ else None
        parts = index if isinstance(index, tuple) else (index,)
        if func in TENSOR_MAKERS or any(isinstance(part, (list, np.ndarray)) for part in parts):
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


def copies_of(work):
    """What the second of two runs copies to the device."""
    work()
    with Copies() as copies, Constructions() as constructions:
        work()
    return copies.found + constructions.found


def one_batch(output, changes, device):
    """Normalising and decoding, as ``predict`` does both; the network's output is given."""
    spec = InputSpec(size=(128, 96), stride=8, output=output)
    protocol = make.protocol(**changes)
    crops = torch.zeros(2, *spec.size, 3, dtype=torch.uint8, device=device)
    maps = torch.rand(2, *SHAPES[output], device=device)

    def work():
        normalise(crops, spec)
        return decode_output(maps, maps, protocol, spec)

    return work


@pytest.mark.parametrize(("output", "changes"), CASES)
def test_no_decoding_copies_anything_to_the_device_but_once(output, changes):
    assert copies_of(one_batch(output, changes, "meta")) == []


def test_copies_are_noticed():
    """What the tests above rely on."""
    maps = torch.zeros(2, 17, 4, 4, device="meta")
    assert copies_of(lambda: maps + torch.tensor([1.0], device="meta")) == ["tensor"]
    assert copies_of(lambda: torch.arange(17).to(maps)) != []
    assert copies_of(lambda: maps[:, [1, 2]]) != []
    with pytest.raises((RuntimeError, NotImplementedError)):
        maps.max().item()


def test_deformable_convolution_makes_its_grid_on_the_device():
    x, offset = (torch.zeros(1, channels, 4, 5, device="meta") for channels in (4, 18))
    weight = torch.zeros(4, 4, 3, 3, device="meta")
    assert copies_of(lambda: sampled_conv2d(x, offset, weight)) == []


def test_chosen_joints_of_mmposes_heads_are_a_tensor_of_the_device():
    parts = SimpleNamespace(backbone=torch.nn.Identity(), with_neck=False, head=torch.nn.Identity())
    network = MMPoseNetwork(parts, lambda found: found, keep=[2, 0])
    maps = torch.arange(6.0).view(1, 3, 1, 2)
    assert torch.equal(network(maps), maps[:, [2, 0]])
    assert network.state_dict() == {}
    network, maps = network.to("meta"), maps.to("meta")
    assert copies_of(lambda: network(maps)) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
@pytest.mark.parametrize(("output", "changes"), CASES)
def test_on_an_accelerator_nothing_waits_inside_a_batch(output, changes):
    work = one_batch(output, changes, "cuda:0")
    Arriving(work()).arrays()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        arriving = Arriving(work())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(np.isfinite(array).all() for array in arriving.arrays())


def test_constants_are_kept_for_each_device_and_type():
    cpu = torch.device("cpu")
    one = constant((1, 2), torch.float32, cpu)
    assert one is constant((1, 2), torch.float32, cpu)
    assert constant((1, 2), torch.int64, cpu).dtype == torch.int64
    assert constant((1, 2), torch.float32, torch.device("meta")).device.type == "meta"
    with torch.inference_mode():
        assert not constant((3, 4), torch.float32, cpu).is_inference()


def test_the_kernel_is_opencvs():
    for side in (3, 11, 17):
        ours = gaussian(side, torch.float64, torch.device("cpu"))
        assert np.array_equal(ours.numpy(), cv2.getGaussianKernel(side, 0)[:, 0])


def test_on_a_cpu_nothing_is_copied():
    array = np.zeros((2, 3), np.uint8)
    tensor = to_device(array, "cpu")
    array[0, 0] = 7
    assert tensor[0, 0] == 7
    (back,) = Arriving([tensor]).arrays()
    assert np.shares_memory(back, array)


def test_results_are_copied_at_once_and_waited_for_alone(monkeypatch):
    log = []

    class Event:
        def __init__(self, blocking):
            assert blocking  # the threads that read images need the processor
            self.number = sum(word.startswith("event") for word in log)
            log.append(f"event {self.number}")

        def record(self):
            log.append(f"record {self.number}")

        def synchronize(self):
            log.append(f"wait for {self.number}")

    class Host:
        def copy_(self, tensor, non_blocking):
            log.append(f"copy, {'pinned' if self.pinned else 'pageable'}, {non_blocking}")
            return self

        def numpy(self):
            return "array"

    def empty(shape, dtype, pin_memory):
        host = Host()
        host.pinned = pin_memory
        return host

    monkeypatch.setattr(transfer.torch.cuda, "Event", Event)
    monkeypatch.setattr(transfer.torch, "empty", empty)
    there = SimpleNamespace(device=torch.device("cuda", 0), shape=(1,), dtype=torch.float32)
    first, second = Arriving([there, there]), Arriving([there])
    assert first.arrays() == ["array", "array"]
    assert log == [
        *["copy, pinned, True"] * 2, "event 0", "record 0",
        "copy, pinned, True", "event 1", "record 1",
        "wait for 0",
    ]  # fmt: skip
    second.arrays()
    assert log[-1] == "wait for 1"
