"""How much memory a model's tasks hold, remembered beside their parts."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from posebench.files import write_whole
from posebench.timing.memory import peak_memory
from posebench.types.request import EvalRequest

# Asked for where nothing was measured: Python, torch and a batch of 64 crops of the registry's
# largest inputs stay below.
UNKNOWN = 3 * 2**30
ROOM = 1.2  # asked for over what was measured
# proc(5): writing 5 resets the peak that status shows as VmHWM.
RESET, STATUS, KIB = Path("/proc/self/clear_refs"), Path("/proc/self/status"), 1024


def forget_peak() -> None:
    """Begin a new peak, where the system can: workers live longer than their tasks."""
    with contextlib.suppress(OSError):
        RESET.write_text("5")


def peak() -> int | None:
    """Return the most bytes this process held since ``forget_peak``; None if nobody counts."""
    with contextlib.suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * KIB
    return peak_memory()


class Peaks:
    """Peaks by model and how it is run.

    Args:
        file: JSON; a damaged one counts as empty, since everything in it can be measured again.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, int] = {}
        with contextlib.suppress(OSError, ValueError, AttributeError):
            found = json.loads(file.read_bytes()).items()
            self._known = {name: v for name, v in found if type(v) is int and v > 0}

    def of(self, request: EvalRequest) -> int | None:
        """Return the most bytes that a task of this kind held."""
        return self._known.get(_kind(request))

    def note(self, request: EvalRequest, measured: int | None) -> None:
        """Remember a peak if it is the highest of its kind so far."""
        name = _kind(request)
        if measured is not None and measured > self._known.get(name, 0):
            self._known[name] = measured
            write_whole(self._file, json.dumps(self._known, indent=1, sort_keys=True).encode())


def _kind(request: EvalRequest) -> str:
    device = request.device.partition(":")[0]
    words = (request.dataset or "-", device, f"batch {request.batch_size}", request.form.words)
    return " | ".join((request.model, *words))
