"""The most memory that was held: by an accelerator's allocator, or by this process."""

from __future__ import annotations

import sys

import torch


def reset_memory(device: str) -> None:
    """Forget earlier peaks, where that can be done."""
    if device != "cpu":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def memory_of(device: str) -> dict[str, int]:
    """Return peak bytes: ``allocated`` and ``reserved``, or ``rss`` on a CPU."""
    if device != "cpu":
        return {
            "allocated": torch.cuda.max_memory_allocated(device),
            "reserved": torch.cuda.max_memory_reserved(device),
        }
    peak = peak_memory()
    return {} if peak is None else {"rss": peak}


def peak_memory() -> int | None:
    """Return the most memory this process ever held, bytes; None where it is not counted."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
