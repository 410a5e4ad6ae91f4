"""What ran an evaluation, without names of hosts or folders."""

from __future__ import annotations

import platform
from importlib import metadata

from posebench import __version__
from posebench.types.record import Environment


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
        batch_size: Persons a forward pass.
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
