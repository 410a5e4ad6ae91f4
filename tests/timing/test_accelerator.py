"""NVIDIA's instruments, played by a stand-in for the library."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest

from posebench.timing import accelerator
from posebench.timing.accelerator import Meter
from posebench.types.timing import AcceleratorState


class NVMLError(Exception):
    pass


def library(**changes):
    def refuse(*_):
        raise NVMLError

    asked = []
    module = SimpleNamespace(
        NVMLError=NVMLError,
        NVML_CLOCK_SM=1,
        NVML_CLOCK_MEM=2,
        NVML_TEMPERATURE_GPU=0,
        nvmlClocksThrottleReasonSwPowerCap=4,
        nvmlClocksThrottleReasonHwThermalSlowdown=64,
        nvmlClocksThrottleReasonGpuIdle=1,
        nvmlInit=lambda: None,
        nvmlSystemGetDriverVersion=lambda: b"570.1",
        nvmlDeviceGetHandleByUUID=lambda uuid: asked.append(uuid) or "handle",
        nvmlDeviceGetClockInfo=lambda handle, kind: {1: 1500, 2: 2600}[kind],
        nvmlDeviceGetMaxClockInfo=lambda handle, kind: 1980,
        nvmlDeviceGetTemperature=lambda handle, kind: 61,
        nvmlDeviceGetPowerUsage=lambda handle: 450_500,
        nvmlDeviceGetComputeRunningProcesses=lambda handle: [
            SimpleNamespace(pid=os.getpid()),
            SimpleNamespace(pid=os.getppid()),
            SimpleNamespace(pid=-5),
        ],
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: 1 | 4 | 64,
        nvmlDeviceGetTotalEnergyConsumption=refuse,
        asked=asked,
    )
    for name, value in changes.items():
        setattr(module, name, value)
    return module


@pytest.fixture
def nvml(monkeypatch):
    module = library()
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


def test_every_instrument_is_read_in_its_unit(nvml):
    meter = Meter.of("1234")
    assert nvml.asked == ["GPU-1234"]
    assert meter.driver() == "570.1"
    assert meter.state() == AcceleratorState(
        clock_mhz=1500,
        clock_limit_mhz=1980,
        memory_clock_mhz=2600,
        temperature=61,
        watts=450.5,
        # idle clocks are not a reason
        throttled=("power limit", "heat (hardware)"),
        foreign_processes=1,
    )


def processes(*numbers):
    return lambda handle: [SimpleNamespace(pid=number) for number in numbers]


@pytest.mark.parametrize(
    ("numbers", "holds", "foreign"),
    [
        ((), True, 0),  # a container that is told of no process
        ((os.getpid(),), True, 0),
        ((os.getpid(), 4_000_001), True, 1),
        # numbers of another namespace: this process is one of them once it holds memory
        ((4_000_001,), True, 0),
        ((4_000_001, 4_000_002), True, 1),
        ((4_000_001,), False, 1),
        ((4_000_001, 4_000_001), False, 1),
    ],
)
def test_in_a_container_this_process_is_no_guest(nvml, numbers, holds, foreign):
    nvml.nvmlDeviceGetComputeRunningProcesses = processes(*numbers)
    assert Meter.of("1", lambda: holds).state().foreign_processes == foreign


def test_the_meter_of_a_device_asks_torch_which_one_it_is_and_what_it_holds(nvml, monkeypatch):
    cuda = accelerator.torch.cuda
    monkeypatch.setattr(cuda, "get_device_properties", lambda d: SimpleNamespace(uuid=f"of {d}"))
    reserved = {"cuda:1": 0}
    monkeypatch.setattr(cuda, "memory_reserved", reserved.get)
    nvml.nvmlDeviceGetComputeRunningProcesses = processes(4_000_001)
    meter = Meter.on("cuda:1")
    assert nvml.asked == ["GPU-of cuda:1"]
    assert meter.state().foreign_processes == 1
    reserved["cuda:1"] = 2**20
    assert meter.state().foreign_processes == 0


@pytest.mark.parametrize("fault", [AttributeError, RuntimeError])
def test_a_device_that_torch_cannot_name_has_no_instruments(nvml, monkeypatch, fault):
    def refuse(wanted):
        raise fault

    nvml.nvmlDeviceGetHandleByUUID = lambda uuid: refuse(uuid) if uuid == "GPU-" else uuid
    monkeypatch.setattr(accelerator.torch.cuda, "get_device_properties", refuse)
    assert Meter.on("cuda:0").state() == AcceleratorState()
    assert Meter.on("cpu").state() == AcceleratorState()


def test_energy_is_in_joules_or_unknown(nvml):
    assert Meter.of("1").joules() is None
    nvml.nvmlDeviceGetTotalEnergyConsumption = lambda handle: 12_500
    assert Meter.of("1").joules() == 12.5


def test_the_newer_names_of_throttling_come_first(nvml):
    nvml.nvmlDeviceGetCurrentClocksEventReasons = lambda handle: 4
    assert Meter.of("1").state().throttled == ("power limit",)


def test_an_instrument_that_fails_leaves_the_others(nvml):
    def refuse(*_):
        raise NVMLError

    nvml.nvmlDeviceGetPowerUsage = refuse
    state = Meter.of("1").state()
    assert (state.watts, state.temperature) == (None, 61)


def test_without_the_library_nothing_is_known_and_nothing_fails(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    meter = Meter.of("1")
    assert meter.state() == AcceleratorState()
    assert (meter.driver(), meter.joules()) == (None, None)


def test_a_device_that_the_driver_hides_is_unknown(nvml):
    def refuse(uuid):
        raise NVMLError

    nvml.nvmlDeviceGetHandleByUUID = refuse
    assert Meter.of("1").state() == AcceleratorState()
