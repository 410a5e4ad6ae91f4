"""Which code ran: the version alone does not tell an edited line."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path

from posebench.registry.loader import shipped_folder
from posebench.speed.machine import processor_name

PACKAGE = Path(__file__).resolve().parent.parent
# Rooms whose code no number depends on.
SILENT = ("cli", "nightly", "report", "launch")
DIGITS = 8


@cache
def code_facts(package: Path = PACKAGE) -> dict[str, str]:
    """Return what tells one state of the code from another.

    Returns:
        ``commit`` where the package lies in a repository; ``code of <room>``: a digest of each
        room that numbers depend on; ``registry``: of its YAML files.
    """
    found = {"commit": _commit(package), "processor": processor_name()}
    for room in sorted(path for path in package.iterdir() if path.is_dir()):
        files = sorted(room.rglob("*.py"))
        if files and room.name not in SILENT and not room.name.startswith(("_", ".")):
            found[f"code of {room.name}"] = _digest(files, room)
    found["code of keypoints"] = _digest([package / "keypoints.py"], package)
    folder = shipped_folder()
    found["registry"] = _digest(sorted(folder.rglob("*.yaml")), folder)
    return found


def _digest(files: list[Path], root: Path) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:DIGITS]


def _commit(package: Path) -> str:
    """The repository's commit, only where the package is one of its own files."""
    if not (package.parent / ".git").exists():
        return ""
    try:
        answer = subprocess.run(
            ["git", "-C", str(package.parent), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
