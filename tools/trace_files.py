"""Through which files does ``posebench eval`` pass, from the command line to the record?

``python tools/trace_files.py [WORDS ...]`` runs ``posebench WORDS`` (by default a small evaluation
of ``demo_s``) and prints the files of the rooms that carry an evaluation (``cli``, ``api``,
``evaluation``, ``records``), in the order in which they are entered, with the first function of
each; then how many files of each other room did the work that these call.  ``types/`` only holds
what travels, and is left out.  Exit status 1 if there are more files than ``MOST``.

The command runs twice: what only happens at the first import is not part of the way.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from posebench.cli.main import main as posebench

MOST = 17
CARRYING = ("cli", "api", "evaluation", "records")
PACKAGE = Path(sys.modules["posebench"].__file__ or "").parent
INNER = ("<module>", "<lambda>", "<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>")


def entered(words: Sequence[str]) -> dict[str, str]:
    """Return the package's files in which a function was called: file -> the first one."""
    found: dict[str, str] = {}
    root = f"{PACKAGE}/"

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(root) and code.co_name not in INNER:
            found.setdefault(
                code.co_filename.removeprefix(root), getattr(code, "co_qualname", code.co_name)
            )

    with contextlib.redirect_stdout(io.StringIO()):
        posebench(words)
        threading.setprofile(note)
        sys.setprofile(note)
        try:
            status = posebench(words)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]
    if status != 0:
        raise SystemExit(f"posebench {' '.join(words)} ended with status {status}.")
    return {file: name for file, name in found.items() if not file.startswith("types/")}


def main() -> int:
    """Trace, print, and compare with ``MOST``."""
    with tempfile.TemporaryDirectory() as folder:
        small = ["eval", "demo_s", "--dataset", "synthetic", "--limit", "40", "--output", folder]
        files = entered(sys.argv[1:] or small)
    way = [file for file in files if file.partition("/")[0] in CARRYING]
    for number, file in enumerate(way, 1):
        print(f"{number:3}  {file:30} {files[file]}")
    others = Counter(file.partition("/")[0] for file in files if file not in way)
    print(f"\n{len(way)} files; the work in other rooms: ", end="")
    print(", ".join(f"{room} {count}" for room, count in sorted(others.items())))
    return int(len(way) > MOST)


if __name__ == "__main__":
    raise SystemExit(main())
