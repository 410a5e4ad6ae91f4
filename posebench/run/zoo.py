"""Zoos of optional packages: their index as a zoo file, and which of their rows build and run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from posebench.registry import load_registry
from posebench.registry.loader import shipped_folder
from posebench.types.errors import UserError


@dataclass(frozen=True)
class Imported:
    """What an import gave.

    Attributes:
        path: The zoo file.
        rows: Rows in it.
        changed: Whether it differs from what was there.
    """

    path: Path
    rows: int
    changed: bool


def import_zoo(zoo: str, output: Path | None = None, *, write: bool = True) -> Imported:
    """Write the zoo file of an installed package.

    Args:
        zoo: ``mmpose``.
        output: The file; by default the registry's own.
        write: Or only compare.

    Raises:
        UserError: There is no such zoo to import, its package is missing, or one of its models
            is evaluated in a way that no protocol describes.
    """
    if zoo != "mmpose":
        raise UserError(f"There is nothing to import for {zoo!r}.", "Known: mmpose.")
    from posebench.adapters.mmpose_index import package_folder
    from posebench.run.zoo_mmpose import zoo_text

    path = output or shipped_folder() / "zoos" / f"{zoo}.yaml"
    text = zoo_text(package_folder(), load_registry().protocols)
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    if write and text != before:
        path.write_text(text, encoding="utf-8")
    return Imported(path, text.count("\n  - id: "), text != before)
