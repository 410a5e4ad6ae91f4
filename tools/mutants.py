"""Random mutants of inference/, scoring/ and checkpoints/: how many do the tests kill?

``python tools/mutants.py --output docs/mutants.json`` needs cosmic-ray (extra ``mutants``).

A copy of the tree is mutated, never the tree itself.  The sample is drawn with a fixed seed from
all of its mutants, without those of ``|`` in annotations, which Python never evaluates here.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from seed_faults import copy_tree

# Room -> the tests that are to kill its mutants.
ROOMS = {
    "inference": "tests/inference tests/datasets/test_coco.py",
    "scoring": "tests/scoring",
    "checkpoints": "tests/checkpoints tests/adapters",
}
ANNOTATION_OPERATORS = "core/ReplaceBinaryOperator_BitOr_%"
CONFIG = """
[cosmic-ray]
module-path = ["posebench/{room}"]
timeout = 300.0
excluded-modules = []
test-command = "{python} -m pytest -x -q -p no:cacheprovider {tests}"

[cosmic-ray.distributor]
name = "local"
"""


def jobs(session: Path) -> list[str]:
    """Return the ids of all mutants of a session that can change what Python runs."""
    query = (
        "SELECT job_id FROM mutation_specs WHERE operator_name NOT LIKE ? "
        "ORDER BY module_path, operator_name, occurrence"
    )
    with sqlite3.connect(session) as data:
        return [row[0] for row in data.execute(query, (ANNOTATION_OPERATORS,))]


def keep(session: Path, chosen: set[str]) -> None:
    """Drop all other mutants from a session."""
    with sqlite3.connect(session) as data:
        every = [row[0] for row in data.execute("SELECT job_id FROM work_items")]
        gone = [(job,) for job in every if job not in chosen]
        data.executemany("DELETE FROM mutation_specs WHERE job_id = ?", gone)
        data.executemany("DELETE FROM work_items WHERE job_id = ?", gone)


def read(session: Path) -> list[dict[str, Any]]:
    """Return the mutants of a finished session with their outcome."""
    query = (
        "SELECT m.module_path, m.operator_name, m.occurrence, m.start_pos_row, "
        "r.test_outcome, r.diff FROM mutation_specs m JOIN work_results r USING (job_id) "
        "ORDER BY m.module_path, m.start_pos_row, m.operator_name, m.occurrence"
    )
    with sqlite3.connect(session) as data:
        rows = data.execute(query).fetchall()
    return [
        {
            "file": file,
            "line": line,
            "operator": operator,
            "occurrence": occurrence,
            "killed": "KILLED" in str(outcome).upper(),
            "change": [
                t for t in (diff or "").splitlines() if t[:1] in "+-" and t[1:2] not in "+-"
            ],
        }
        for file, operator, occurrence, line, outcome, diff in rows
    ]


def main() -> int:
    """Draw, run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--output", type=Path, default=Path("docs/mutants.json"))
    arguments = parser.parse_args()
    tool = str(Path(sys.executable).with_name("cosmic-ray"))
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        found: dict[str, list[str]] = {}
        for room, tests in ROOMS.items():
            text = CONFIG.format(room=room, python=sys.executable, tests=tests)
            (tree / f"{room}.toml").write_text(text)
            healthy = [sys.executable, "-m", "pytest", "-x", "-q", *tests.split()]
            subprocess.run(healthy, cwd=tree, check=True)
            command = [tool, "init", f"{room}.toml", f"{room}.sqlite"]
            subprocess.run(command, cwd=tree, check=True)
            found[room] = jobs(tree / f"{room}.sqlite")
        # Job ids are random: the draw is of positions in the sorted list, so that it repeats.
        every = [job for ids in found.values() for job in ids]
        drawn = random.Random(arguments.seed).sample(range(len(every)), arguments.count)
        chosen = {every[position] for position in drawn}
        mutants = []
        for room in ROOMS:
            keep(tree / f"{room}.sqlite", chosen)
            command = [tool, "exec", f"{room}.toml", f"{room}.sqlite"]
            subprocess.run(command, cwd=tree, check=True)
            mutants += read(tree / f"{room}.sqlite")
            print(f"{room}: {len(mutants)} mutants so far", flush=True)
    killed = sum(mutant["killed"] for mutant in mutants)
    summary = {"seed": arguments.seed, "of": len(every), "mutants": len(mutants), "killed": killed}
    arguments.output.write_text(json.dumps(summary | {"list": mutants}, indent=1) + "\n")
    print(f"{killed} of {len(mutants)} mutants killed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
