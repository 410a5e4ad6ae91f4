"""The same evaluation several times at once, into one folder."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys

import pytest

from posebench.evaluation.evaluate import evaluate

TIMES = 4
ASKED = {"limit": 8, "batch_size": 1, "threads": 1}
STEPS = ((os, "mkdir"), (secrets, "token_hex"), (os, "replace"), (os, "rename"))


def test_equal_evaluations_at_once_in_one_folder_all_succeed(tmp_path):
    """Each finishes its parts, or takes those of another; none removes what another still needs."""
    words = "eval --model demo_s --limit 8 --batch-size 1 --threads 1 --json --output"
    command = [sys.executable, "-m", "posebench", *words.split(), str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(TIMES)
    ]
    ended = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0] * TIMES, ended
    records = [json.loads(out) for out, _ in ended]
    assert len({record["predictions_sha256"] for record in records}) == 1
    assert len({json.dumps(record["scores"]) for record in records}) == 1
    assert len(list(tmp_path.rglob("eval-*.json"))) == 1
    assert not list(tmp_path.rglob("*.npz"))


@pytest.mark.parametrize("resume", [False, True])
def test_another_one_may_begin_and_end_at_any_step(tmp_path, monkeypatch, resume):
    """A whole equal evaluation happens before each thing that is done to a file, one at a time."""
    alone = evaluate("demo_s", **ASKED)
    steps = 0

    class Meanwhile:
        """Runs the other evaluation before the n-th step of the first."""

        def __init__(self, moment: int) -> None:
            self.left, self.others = moment, 0

        def before(self, function):
            def step(*given, **named):
                self.left -= 1
                if self.left == 0:
                    other = evaluate("demo_s", chunks=tmp_path, resume=resume, **ASKED)
                    assert other.predictions_sha256 == alone.predictions_sha256
                    self.others += 1
                return function(*given, **named)

            return step

    for moment in range(1, 8):
        meanwhile = Meanwhile(moment)
        with monkeypatch.context() as patch:
            for module, name in STEPS:
                patch.setattr(module, name, meanwhile.before(getattr(module, name)))
            found = evaluate("demo_s", chunks=tmp_path, resume=resume, **ASKED)
        assert found.predictions_sha256 == alone.predictions_sha256
        assert found.scores == alone.scores
        steps += meanwhile.others
    assert steps > 3
