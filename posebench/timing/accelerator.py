"""What NVIDIA's management library tells of an accelerator: clocks, heat, guests, energy.

The library's Python binding (``nvidia-ml-py``) is optional; without it nothing is known and
nothing fails.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

from posebench.types.timing import AcceleratorState

# Reasons that cost speed, by the names of NVML's constants. An idle device and clocks that the
# user set are none.
REASONS = {
    "SwPowerCap": "power limit",
    "HwSlowdown": "hardware slowdown",
    "SwThermalSlowdown": "heat (software)",
    "HwThermalSlowdown": "heat (hardware)",
    "HwPowerBrakeSlowdown": "power brake",
    "SyncBoost": "bound to another device's clock",
}
MILLIWATTS = MILLIJOULES = 1000.0


class Meter:
    """An accelerator's own instruments.

    Args:
        library: The ``pynvml`` module; None where it is missing.
        handle: Of the device.
        own: Processes that are not foreign.
        holds: Says whether this process holds memory on the device.
    """

    def __init__(
        self,
        library: Any,
        handle: Any,
        own: frozenset[int],
        holds: Callable[[], bool] = lambda: False,
    ) -> None:
        self.library = library
        self.handle = handle
        self.own = own
        self.holds = holds

    @classmethod
    def on(cls, device: str) -> Meter:
        """Return the instruments of ``cuda:N``; dead ones of ``cpu``.

        They are dead, too, where torch does not say which device it means.
        """
        if device == "cpu":
            return cls.of("")
        try:
            uuid = str(torch.cuda.get_device_properties(device).uuid)
        except Exception:  # an older torch, or a device that is gone: nothing is known either
            uuid = ""
        return cls.of(uuid, lambda: torch.cuda.memory_reserved(device) > 0)

    @classmethod
    def of(cls, uuid: str, holds: Callable[[], bool] = lambda: False) -> Meter:
        """Return the instruments of a device, dead ones where the library is missing.

        Args:
            uuid: As torch gives it; the order of devices differs between torch and NVML.
            holds: Says whether this process holds memory on the device.
        """
        own = frozenset({os.getpid(), os.getppid()})
        try:
            library = import_module("pynvml")
            library.nvmlInit()
            name = uuid if uuid.startswith("GPU-") else f"GPU-{uuid}"
            return cls(library, library.nvmlDeviceGetHandleByUUID(name), own, holds)
        except Exception:  # not installed, no driver, or hidden: all mean that nothing is known
            return cls(None, None, own)

    def _ask(self, question: str, *arguments: Any) -> Any:
        """Return an answer of the library, None where the device does not know."""
        if self.library is None:
            return None
        try:
            return getattr(self.library, question)(self.handle, *arguments)
        except (AttributeError, self.library.NVMLError):
            return None

    def driver(self) -> str | None:
        """Return the driver's version."""
        if self.library is None:
            return None
        version = self.library.nvmlSystemGetDriverVersion()
        return version.decode() if isinstance(version, bytes) else str(version)

    def state(self) -> AcceleratorState:
        """Read every instrument."""
        if self.library is None:
            return AcceleratorState()
        sm, memory = self.library.NVML_CLOCK_SM, self.library.NVML_CLOCK_MEM
        milliwatts = self._ask("nvmlDeviceGetPowerUsage")
        return AcceleratorState(
            clock_mhz=self._ask("nvmlDeviceGetClockInfo", sm),
            clock_limit_mhz=self._ask("nvmlDeviceGetMaxClockInfo", sm),
            memory_clock_mhz=self._ask("nvmlDeviceGetClockInfo", memory),
            temperature=self._ask("nvmlDeviceGetTemperature", self.library.NVML_TEMPERATURE_GPU),
            watts=None if milliwatts is None else milliwatts / MILLIWATTS,
            throttled=self._throttled(),
            foreign_processes=self._foreign(),
        )

    def _foreign(self) -> int | None:
        """Other processes that hold memory on the device.

        In a container the library may give the numbers that processes have outside. Then this
        one's own number is not among them, but one of them is this process if it holds memory.
        """
        processes = self._ask("nvmlDeviceGetComputeRunningProcesses")
        if processes is None:
            return None
        numbers = {process.pid for process in processes}
        hidden = self.holds() and not numbers & self.own
        return max(len(numbers - self.own) - hidden, 0)

    def joules(self) -> float | None:
        """Return the energy used since the driver was loaded; None where it is not counted."""
        counted = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        return None if counted is None else counted / MILLIJOULES

    def _throttled(self) -> tuple[str, ...]:
        # NVML 12 renamed the question; drivers of either age are about.
        reasons = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if reasons is None:
            reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        if not reasons:
            return ()
        return tuple(words for name, words in REASONS.items() if reasons & self._bit(name))

    def _bit(self, reason: str) -> int:
        for prefix in ("nvmlClocksEventReason", "nvmlClocksThrottleReason"):
            bit = getattr(self.library, prefix + reason, None)
            if bit is not None:
                return int(bit)
        return 0
