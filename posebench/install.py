"""How this posebench came here, and the command that adds an optional part to it.

No index holds the distribution: from a clone an extra is installed by the clone's folder, and to
an installed wheel by the packages that it stands for.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "posebench-zoo"
_REQUIREMENT = re.compile(
    r"([\w.-]+)(?:\[[^]]*\])?\s*([^;]*)(?:;.*extra == ['\"]([\w-]+)['\"])?"
)  # fmt: skip


def clone_folder() -> Path | None:
    """Return the clone that this module was imported from; None for an installed wheel."""
    folder = Path(__file__).resolve().parent.parent
    return folder if (folder / "pyproject.toml").is_file() else None


def requirements() -> list[tuple[str, str, str]]:
    """Return (distribution, versions, extra) of what the installed distribution declares.

    Packages that are always needed have an empty extra; the list is empty where posebench is not
    installed but imported from a folder.
    """
    try:
        declared = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        declared = []
    found = (_REQUIREMENT.match(line) for line in declared)
    return [(m[1].lower(), m[2].strip(), m[3] or "") for m in found if m]


def install_command(extra: str) -> str:
    """Return the command that installs what an extra brings, as it works where the user is.

    Args:
        extra: One of ``[project.optional-dependencies]`` in ``pyproject.toml``.
    """
    clone = clone_folder()
    if clone is not None:
        place = "." if Path.cwd() == clone else clone.as_posix()
        return f'pip install -e "{place}[{extra}]"'
    packages = [f'"{name}{versions}"' for name, versions, of in requirements() if of == extra]
    return f"pip install {' '.join(packages)}"
