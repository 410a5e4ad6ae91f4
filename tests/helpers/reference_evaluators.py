"""The published evaluators, fed with rows as everybody feeds them.

In the environment that is meant for them a missing one is a failure
(``POSEBENCH_REQUIRE_REFEREES=1``), elsewhere a skip.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import json
import os
import sys
import tempfile
import types
import warnings
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

ARRAYS = ("precision", "recall", "scores")
LISTS = {
    "body": "keypoints",
    "foot": "foot_kpts",
    "face": "face_kpts",
    "lefthand": "lefthand_kpts",
    "righthand": "righthand_kpts",
}
SIZES = (17, 6, 68, 21, 21)


def require(package):
    """(COCO, COCOeval) of an evaluator's package."""
    if package == "halpecocotools":
        _old_names()
    try:
        coco = importlib.import_module(f"{package}.coco").COCO
        return coco, importlib.import_module(f"{package}.cocoeval").COCOeval
    except ImportError as error:
        if os.environ.get("POSEBENCH_REQUIRE_REFEREES"):
            raise
        pytest.skip(f"needs {package} ({error}): tox -e openmmlab")


def _old_names():
    """halpecocotools asks for a name that numpy dropped and for a toolkit it does not use."""
    if "float" not in vars(np):
        np.float = float
    try:
        importlib.import_module("tkinter")
    except ImportError:
        sys.modules["tkinter"] = types.SimpleNamespace(_flatten=None)


def pycocotools(sample, sigmas):
    """Arrays of the whole keypoint set."""
    engine = _run("pycocotools", sample, "keypoints", sigmas)
    return _arrays(engine.eval)


def xtcocotools(sample, part, sigmas):
    """Arrays of one part of 133 keypoints; the rows' flat lists are split as published."""
    split = dict(sample)
    for rows in ("annotations", "results"):
        split[rows] = [_split(row) for row in sample[rows]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # parts without a score of their own
        engine = _run("xtcocotools", split, f"keypoints_{part}", sigmas)
    return _arrays(engine.eval)


def halpecocotools(sample):
    """Part -> arrays, with the evaluator's own sigmas."""
    engine = _run("halpecocotools", sample, "keypoints", None)
    return {part: _arrays(found) for part, found in engine.eval.items()}


def _split(row):
    joints = [row["keypoints"][3 * k : 3 * k + 3] for k in range(sum(SIZES))]
    parts, start = {}, 0
    for name, size in zip(LISTS.values(), SIZES, strict=True):
        parts[name] = list(chain.from_iterable(joints[start : start + size]))
        start += size
    return row | parts


def _run(package, sample, kind, sigmas):
    coco, evaluator = require(package)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco()
        categories = [{"id": 1, "name": "person"}]
        truth.dataset = copy.deepcopy(
            {key: sample[key] for key in ("images", "annotations")} | {"categories": categories}
        )
        truth.createIndex()
        truth.anno_file = [""]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "results.json"  # halpecocotools takes nothing else
            file.write_text(json.dumps(sample["results"]), encoding="utf-8")
            found = truth.loadRes(str(file))
        if package == "xtcocotools":
            engine = evaluator(truth, found, kind, np.array(sigmas), use_area=True)
        else:
            engine = evaluator(truth, found, kind)
        if package == "pycocotools":
            engine.params.kpt_oks_sigmas = np.array(sigmas)
        engine.evaluate()
        engine.accumulate()
    return engine


def _arrays(found):
    return tuple(np.asarray(found[name]).tobytes() for name in ARRAYS)
