"""One model timed in a fresh interpreter: ``python -m posebench.timing.child_process FOLDER``.

A child of its own program and not of the caller's, whose script or notebook must not run again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from posebench.records.store import save
from posebench.timing.benchmark import SpeedJob, measure_cell

MODULE = "posebench.timing.child_process"
JOB = "job.json"


def spawn(job: SpeedJob, output: Path) -> int:
    """Run a job in a fresh interpreter; return its exit status, negative for a signal.

    Args:
        job: What to time.
        output: An empty folder, where the job lies and the record is written.
    """
    (output / JOB).write_text(json.dumps(job.model_dump(mode="json")), encoding="utf-8")
    # The caller's modules are found where it finds them, also after changes to sys.path.
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, str(output)],
        stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": paths},
    )
    try:
        return process.wait()
    finally:
        if process.poll() is None:  # interrupted
            process.terminate()
            process.wait()


def main(folder: Path) -> None:
    """Time the job in a folder and write its record there; all that is printed goes to stderr."""
    # Whoever interrupts is told by the parent.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.dup2(2, 1)
    job = SpeedJob.model_validate(json.loads((folder / JOB).read_bytes()))
    save(measure_cell(job), folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
