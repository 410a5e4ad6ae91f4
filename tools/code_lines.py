"""Counts lines of code per room: ``python tools/code_lines.py [REVISION [REVISION]]``.

A room is a first-level folder or module of ``posebench`` or ``tests``. Docstrings, comments and
blank lines do not count; of a statement over several lines each line that holds code does.
Without a revision the working tree is counted; one revision is compared with it, two with each
other.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import tarfile
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("posebench", "tests")
LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(source: str) -> int:
    """Return how many lines of a module hold code; a SyntaxError says that it is not Python."""
    ends = {}  # (line, column) where a docstring begins -> where it ends
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            end = (text.end_lineno or 0, text.end_col_offset or 0)
            ends[text.lineno, text.col_offset] = end
    found: set[int] = set()
    end = (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        end = ends.get(token.start, end)
        if token.type not in LAYOUT and token.start >= end:
            found.update(range(token.start[0], token.end[0] + 1))
    # a text over several lines may hold blank ones
    return sum(bool(line.strip()) for n, line in enumerate(source.split("\n"), 1) if n in found)


def sources(revision: str | None) -> dict[str, str]:
    """Return path -> text of the Python files of a git revision; None means the working tree.

    Raises:
        subprocess.CalledProcessError: There is no such revision.
    """
    if revision is None:
        paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
        return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}
    command = ["git", "archive", revision, "--", *FOLDERS]
    packed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.endswith(".py") else None
            if file is not None:
                found[member.name] = file.read().decode()
    return found


def by_room(files: dict[str, str]) -> Counter[str]:
    """Return room -> lines of code, given path -> text."""
    rooms: Counter[str] = Counter()
    for path, source in files.items():
        rooms["/".join(path.split("/")[:2])] += code_lines(source)
    return rooms


def table(counts: dict[str, Counter[str]]) -> str:
    """Return a table of one or two counts by name: a line per room, then the totals."""
    rooms = sorted(set().union(*counts.values()))
    groups = {room: [room] for room in rooms}
    groups |= {f"total {top}": [r for r in rooms if r.startswith(f"{top}/")] for top in FOLDERS}
    lines = [("room", *counts, *(["difference"] if len(counts) == 2 else []))]
    for name, group in (groups | {"total": rooms}).items():
        numbers = [sum(count[room] for room in group) for count in counts.values()]
        change = [f"{numbers[1] - numbers[0]:+,}"] if len(numbers) == 2 else []
        lines.append((name, *(f"{number:,}" for number in numbers), *change))
    return "\n".join(" | ".join([f"{n:26}", *(f"{cell:>12}" for cell in c)]) for n, *c in lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("revisions", nargs="*", metavar="REVISION", help="of git, at most two")
    revisions = parser.parse_args().revisions
    if len(revisions) > 2:
        parser.error("at most two revisions are compared")
    named = revisions if len(revisions) == 2 else [*revisions, None]
    print(table({name or "working tree": by_room(sources(name)) for name in named}))


if __name__ == "__main__":
    main()
