"""What ran an evaluation or a timing, without names of hosts or folders."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from posebench.types.record import Environment
from posebench.version import __version__

CPU_INFO = Path("/proc/cpuinfo")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def versions() -> dict[str, str | None]:
    """Return the versions of what computes a prediction: two equal ones compute the same."""
    opencv = _version("opencv-python-headless") or _version("opencv-python")
    return {
        "posebench": __version__,
        "torch": _version("torch"),
        "numpy": _version("numpy"),
        "opencv": opencv,
    }


def environment(*, device: str, threads: int, batch_size: int, crop_self_test: str) -> Environment:
    """Describe this process.

    Args:
        device: As torch names it.
        threads: That read and crop images.
        batch_size: Persons in a batch.
        crop_self_test: From ``posebench.inference.crop.self_test``.
    """
    known = versions()
    return Environment(
        posebench=__version__,
        python=platform.python_version(),
        torch=known["torch"],
        numpy=known["numpy"] or "",
        opencv=known["opencv"] or "",
        platform=f"{platform.system()} {platform.machine()}",
        device=device,
        threads=threads,
        batch_size=batch_size,
        crop_self_test=crop_self_test,
    )


def processor_name(info: Path = CPU_INFO) -> str:
    """Return the processor's model name."""
    try:
        for line in info.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """Return how many logical cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def hardware_name(device: str) -> str:
    """Return the name of what computes: the processor with its cores, or the accelerator.

    Args:
        device: ``cpu``, or a ``cuda:N`` that this machine has.
    """
    if device == "cpu":
        return f"{processor_name()}, {cores()} cores"
    import torch  # heavy, and not needed for a processor

    return torch.cuda.get_device_name(device)
