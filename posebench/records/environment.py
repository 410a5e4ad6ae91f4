"""What ran an evaluation, without names of hosts or folders."""

from __future__ import annotations

import platform
from importlib import metadata

from posebench.install import DISTRIBUTION
from posebench.types.record import Environment


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def environment(*, device: str, threads: int, batch_size: int, crop_self_test: str) -> Environment:
    """Describe this process.

    Args:
        device: As torch names it.
        threads: That read and crop images.
        batch_size: Persons a forward pass.
        crop_self_test: From ``posebench.inference.crop.self_test``.
    """
    opencv = _version("opencv-python-headless") or _version("opencv-python")
    return Environment(
        posebench=_version(DISTRIBUTION) or "not installed",
        python=platform.python_version(),
        torch=_version("torch"),
        numpy=_version("numpy") or "",
        opencv=opencv or "",
        platform=f"{platform.system()} {platform.machine()}",
        device=device,
        threads=threads,
        batch_size=batch_size,
        crop_self_test=crop_self_test,
    )
