"""``python -m posebench``."""

from __future__ import annotations

from posebench.cli.main import entry_point

if __name__ == "__main__":
    entry_point()
