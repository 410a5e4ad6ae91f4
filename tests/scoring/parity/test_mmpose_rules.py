"""The two scorers of mmpose's metrics equal xtcocotools: arrays to the byte, CrowdPose's stats."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import json

import numpy as np
import pytest
import random_persons
import reference_evaluators

from posebench.keypoints import keypoint_set
from posebench.registry import shipped_registry
from posebench.scoring import crowd
from posebench.scoring.evaluator_rules import EVALUATOR_RULES
from posebench.scoring.keypoint_ap import evaluate_parts

SETS = 20
STATS = ("AP", "AP50", "AP75", "AR", "AR50", "AR75", "easy/AP", "medium/AP", "hard/AP")


def xtcocotools(sample, kind, sigmas, folder, *, use_area):
    """The engine after its three steps; it reads both files again for the crowd index."""
    coco, evaluator = reference_evaluators.require("xtcocotools")
    content = copy.deepcopy({key: sample[key] for key in ("images", "annotations")})
    content["categories"] = [{"id": 1, "name": "person"}]
    (folder / "truth.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "found.json").write_text(json.dumps(sample["results"]), encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco(str(folder / "truth.json"))
        found = truth.loadRes(str(folder / "found.json"))
        engine = evaluator(truth, found, kind, np.array(sigmas), use_area=use_area)
        engine.evaluate()
        engine.accumulate()
        arrays = tuple(
            np.asarray(engine.eval[name]).tobytes() for name in reference_evaluators.ARRAYS
        )
        engine.summarize()
    return arrays, engine.stats


@pytest.mark.parametrize("name", ["coco_17", "halpe_26", "crowdpose_14"])
def test_xtcoco_oks_equals_xtcocotools_on_random_sets(name, tmp_path):
    sigmas = keypoint_set(name).sigmas
    for seed in range(SETS):
        sample = random_persons.sample(name, seed)
        theirs, _ = xtcocotools(sample, "keypoints", sigmas, tmp_path, use_area=True)
        results, dataset = random_persons.results(sample), random_persons.dataset(sample)
        found = evaluate_parts(results, dataset, EVALUATOR_RULES["xtcoco_oks"])[""]
        arrays = (found.precision, found.recall, found.scores)
        for what, mine, other in zip(reference_evaluators.ARRAYS, arrays, theirs, strict=True):
            assert mine.tobytes() == other, f"{what} of set {seed}"


@pytest.mark.parametrize("seed", range(SETS))
def test_crowdpose_oks_equals_xtcocotools_on_random_sets(seed, tmp_path):
    sample = random_persons.sample("crowdpose_14", seed)
    index = np.random.default_rng(seed).choice(
        [0.0, 0.1, 0.2, 0.5, 0.8, 0.9], len(sample["images"])
    )
    index[:3] = (0.1, 0.5, 0.9)
    for image, value in zip(sample["images"], index, strict=True):
        image["crowdIndex"] = float(value)
    sigmas = keypoint_set("crowdpose_14").sigmas
    _, stats = xtcocotools(sample, "keypoints_crowd", sigmas, tmp_path, use_area=False)
    dataset = random_persons.dataset(sample)
    images = dataclasses.replace(dataset.images, crowd_index=index)
    dataset = dataclasses.replace(dataset, images=images)
    protocol = shipped_registry().protocols["mmpose_crowdpose_quarter@1"]
    protocol = protocol.with_choices(result_area="extent")
    values, draws, _ = crowd.measure(random_persons.results(sample), dataset, protocol, None)
    theirs = {name: value for name, value in zip(STATS, stats, strict=True) if value >= 0}
    assert {name: values[name] / 100 for name in theirs} == pytest.approx(theirs, abs=1e-12)
    assert all(np.isnan(values[name]) for name in STATS if name not in theirs)
    assert draws == {}
