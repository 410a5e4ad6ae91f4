"""Folders whose names are not UTF-8: libraries in C and Rust take their paths differently."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import posebench

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names of files are any bytes")
WEIGHTS = Path(posebench.__file__).parent / "assets" / "demo" / "demo_s.safetensors"


@pytest.mark.parametrize(
    "locale", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_every_step_takes_folders_of_any_name(tmp_path, locale):
    """In processes of their own: OpenCV crashes where such a name reaches it."""
    place = os.fsencode(tmp_path) + b"/\xff"
    Path(os.fsdecode(place)).mkdir()
    environment = os.environb | {b"POSEBENCH_CACHE": place + b"/cache", b"OMP_NUM_THREADS": b"1"}
    environment |= {os.fsencode(k): os.fsencode(v) for k, v in locale.items()}

    def run(*words: str | bytes | Path) -> dict:
        command = [sys.executable, "-m", "posebench", *words, "--json"]
        done = subprocess.run(command, capture_output=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr[-2000:]
        assert b"Traceback" not in done.stderr
        return json.loads(done.stdout)

    copy = place + b"/copy.safetensors"
    run("convert", "demo_s", "--checkpoint", WEIGHTS, "--output", copy)
    words = ("eval", "demo_s", "--limit", "8", "--boxes", "gt", "--save-predictions")
    record = run(*words, "--checkpoint", copy, "--output", place + b"/runs")
    assert Path(record["file"]).is_file()
    score = run("score", os.fsencode(record["file"]))
    assert score["scores"]["AP"] == pytest.approx(record["scores"]["AP"])
    run("diagnose", os.fsencode(record["file"]))
    site = run("report", "--records", place + b"/runs", "--output", place + b"/site")
    assert Path(site["page"]).is_file()
    images = place + b"/cache/synthetic"
    folder = next(Path(os.fsdecode(images)).rglob("val2017"))
    run("speed", "demo_s", "--cpu", "--quick", "--images", folder, "--output", place + b"/speed")
