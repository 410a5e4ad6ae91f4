"""Which code ran: the version alone does not tell an edited line."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from posebench.records.environment import processor_name
from posebench.registry.loader import shipped_folder

PACKAGE = Path(__file__).resolve().parent.parent
# Folders whose code no number depends on.
SILENT = ("cli", "nightly", "report", "launch")
DIGITS = 8


@cache
def code_fingerprint(package: Path = PACKAGE) -> dict[str, str]:
    """Return what tells one state of the code from another.

    Returns:
        ``commit`` where the package lies in a repository, ``processor``, and digests:
        ``code of <folder>`` of each folder that numbers depend on, ``registry`` of the YAML files.
    """
    found = {"commit": _commit(package.parent), "processor": processor_name()}
    for folder in sorted(path for path in package.iterdir() if path.is_dir()):
        if folder.name in SILENT or folder.name.startswith(("_", ".")):
            continue
        if files := list(folder.rglob("*.py")):
            found[f"code of {folder.name}"] = _digest(files, folder)
    for module in ("keypoints", "network_families"):
        found[f"code of {module}"] = _digest([package / f"{module}.py"], package)
    return found | {"registry": _digest(shipped_folder().rglob("*.yaml"), shipped_folder())}


def _digest(files: Iterable[Path], root: Path) -> str:
    total = hashlib.sha256()
    for file in sorted(files):
        total.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:DIGITS]


def _commit(root: Path) -> str:
    """The repository's commit, only where the package is one of its own files."""
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
