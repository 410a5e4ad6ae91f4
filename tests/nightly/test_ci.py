"""The nightly workflow: its steps run here, in a clone whose origin has no history yet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
SUITE = "name: tiny\nexact: true\nruns:\n  - {entries: [demo/demo_s], limit: 2, threads: 1}\n"
WORKFLOWS = ("ci", "nightly")
BRANCH = "nightly-history"


def workflow(name):
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_pinned_and_jobs_end(name):
    jobs = workflow(name)["jobs"]
    for job in jobs.values():
        assert job["timeout-minutes"] <= 720
        for step in job["steps"]:
            assert "@v" in step.get("uses", "@v")
    assert workflow(name)["permissions"] == {"contents": "read"}


def test_the_jobs_run_what_is_tested_here():
    jobs = workflow("nightly")["jobs"]
    for name, install in (("demo", "-e ."), ("gpu", "-e '.[gpu,fetch]'")):
        runs = [step["run"] for step in jobs[name]["steps"] if "run" in step]
        assert runs == [f"pip install torch==2.13.0 {install}", ".ci/nightly"]
        paths = next(s for s in jobs[name]["steps"] if "upload-artifact" in s.get("uses", ""))
        assert {Path(p).name for p in paths["with"]["path"].split()} == {
            *("site", "records", "summary.md", "junit.xml", "nightly.json")
        }
    assert jobs["demo"]["env"]["SUITE"] == "demo"
    # a fork has none of the variables: only the demo job runs
    assert "if" not in jobs["demo"]
    assert "vars.POSEBENCH_PAGES == 'true'" in jobs["pages"]["if"]
    assert jobs["gpu"]["if"] == "${{ vars.POSEBENCH_GPU_SUITE != '' }}"


def git(folder, *words):
    who = ("-c", "user.name=t", "-c", "user.email=t@t.invalid")
    return subprocess.run(
        ["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def clone(tmp_path):
    origin, made = tmp_path / "origin.git", tmp_path / "clone"
    git(tmp_path, "init", "-q", "--bare", str(origin))
    git(tmp_path, "init", "-q", "-b", "main", str(made))
    (made / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "nightly", made / ".ci" / "nightly")
    (made / "tiny.yaml").write_text(SUITE)
    git(made, "add", ".")
    git(made, "commit", "-qm", "first")
    git(made, "remote", "add", "origin", str(origin))
    git(made, "push", "-q", "origin", "main")
    return made


@pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="needs the repository")
def test_two_nights_of_the_job(clone, tmp_path):
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {
        "PATH": programs,
        "SUITE": "tiny.yaml",
        "HISTORY": BRANCH,
        "ACCEPT": "false",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "step.md"),
    }
    for night in (1, 2):
        subprocess.run([clone / ".ci" / "nightly"], env=environment, check=True)
        (file,) = git(tmp_path / "origin.git", "ls-tree", "--name-only", BRANCH).split()
        lines = git(tmp_path / "origin.git", "show", f"{BRANCH}:{file}").splitlines()
        assert len(lines) == night
    assert all(json.loads(line)["good"] for line in lines)
    assert git(tmp_path / "origin.git", "log", "--oneline", BRANCH).count("\n") == 2
    assert (tmp_path / "step.md").read_text().count("# Nightly tiny") == 2
    assert (clone / "nightly" / "site" / "nightly.html").is_file()
    assert git(clone, "rev-parse", "--abbrev-ref", "HEAD").strip() == "main"
    # a night that could not run leaves its status, and keeps the history
    broken = environment | {"SUITE": "none.yaml"}
    assert subprocess.run([clone / ".ci" / "nightly"], env=broken, check=False).returncode == 2
    assert (tmp_path / "step.md").read_text().count("# Nightly tiny") == 2
