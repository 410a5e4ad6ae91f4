"""Seed known faults one at a time into a copy of the package: each must make a test fail.

Run from the repository: ``python tools/seed_faults.py [NAME ...]``.  Exit status 1 if a fault
survives or no longer applies.  The list in ``tools/faults.yaml`` is the evidence that the tests
have teeth.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Fault:
    """One replacement of source text, and the tests that must notice it."""

    name: str
    file: str
    old: str
    new: str
    tests: str


FAULTS = tuple(
    Fault(**row)
    for row in yaml.safe_load((ROOT / "tools" / "faults.yaml").read_text(encoding="utf-8"))
)


def copy_tree(target: Path) -> None:
    """Copy what git tracks or would track, so that a fault never touches the real tree."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def caught(fault: Fault, tree: Path) -> bool:
    """Seed a fault into the copied tree, run its tests, take the fault out again.

    Raises:
        SystemExit: The text to replace is not there exactly once.
    """
    path = tree / fault.file
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise SystemExit(f"{fault.name}: {fault.file} must hold {fault.old!r} once")
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run([*command, *fault.tests.split()], cwd=tree, capture_output=True)
    finally:
        path.write_text(text, encoding="utf-8")
    # 1: a test failed; 2: a module no longer imports, which any test run notices; below 0: the
    # whole process ended.
    return done.returncode in (1, 2) or done.returncode < 0


def main() -> int:
    """Seed all faults, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these faults")
    names = parser.parse_args().names
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        for fault in chosen:
            found = caught(fault, tree)
            survivors += [] if found else [fault.name]
            print(f"{'caught ' if found else 'MISSED '} {fault.name}", flush=True)
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} seeded faults caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
