"""Paths that a registry row or a record may name: below a folder, on every system.

Rows come from strangers, and what they name is read and written below a folder of the user's.
These types are the only ones for such paths; ``checkpoints.cache_files.inside`` looks again, at
links, where a file is written.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

LONGEST = 400  # characters
# Bytes of one part in UTF-8: most systems take 255, and temporary names add to it.
LONGEST_PART = 200
PLACEHOLDER = "{annotations}"
# ``\`` and ``:`` lead elsewhere on Windows; braces are a placeholder or a mistake.
_REFUSED = re.compile(r"[\\:{}]")
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def check_relative(path: str) -> str:
    """Return a path that stays below the folder it is joined to.

    Raises:
        ValueError: It does not, or some system cannot have such a file.
    """
    if len(path) > LONGEST:
        raise ValueError(f"a path has at most {LONGEST} characters")
    if path.startswith("/"):
        raise ValueError("a path must be relative, below its folder")
    for part in path.split("/"):
        _check_part(part)
    return path


def check_place(path: str) -> str:
    """Return a relative path of a file, or of a folder, which ends in ``/``.

    Raises:
        ValueError: See ``check_relative``.
    """
    check_relative(path.removesuffix("/"))
    return path


def check_name(name: str) -> str:
    """Return the name of a file, without any folder.

    Raises:
        ValueError: It has a folder, or see ``check_relative``.
    """
    if "/" in name:
        raise ValueError("a file's name has no folder in it")
    return check_relative(name)


def check_template(path: str) -> str:
    """Return a relative path in which ``{annotations}`` may stand for the protocol's choice.

    Raises:
        ValueError: It has other braces, or see ``check_relative``.
    """
    filled = fill_template(path, "annotations")
    if "{" in filled or "}" in filled:
        raise ValueError(f"the only placeholder is {PLACEHOLDER}")
    check_relative(filled)
    return path


def fill_template(path: str, annotations: str) -> str:
    """Put a protocol's annotation stem in its place; nothing else in the path is interpreted."""
    return path.replace(PLACEHOLDER, annotations)


def _check_part(part: str) -> None:
    if part in ("", ".", "..") or part.startswith("."):
        raise ValueError("a part of a path is not empty and does not begin with a dot")
    if not part.isprintable() or _REFUSED.search(part):
        raise ValueError("a path has no control characters, backslashes, colons or braces")
    if part != part.rstrip(". ") or part != part.lstrip() or _DEVICE.fullmatch(part):
        raise ValueError(f"{part!r} is not a file's name on every system")
    if len(part.encode()) > LONGEST_PART:
        raise ValueError(f"a part of a path has at most {LONGEST_PART} bytes")


RelativePath = Annotated[str, AfterValidator(check_relative)]
RelativePlace = Annotated[str, AfterValidator(check_place)]
FileName = Annotated[str, AfterValidator(check_name)]
PathTemplate = Annotated[str, AfterValidator(check_template)]
