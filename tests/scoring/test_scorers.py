"""The one entry point: names, intervals, persons that count, and inputs that break."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import effort
import numpy as np
import pytest
import random_persons
from random_mpii import mpii
from refusals import refused

from posebench.keypoints import keypoint_set
from posebench.registry import shipped_registry
from posebench.scoring.evaluator_rules import EVALUATOR_RULES
from posebench.scoring.scorers import SCORERS, score
from posebench.types.arrays import Results
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol

TEN = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
PARTS = {
    "coco_oks": ("",),
    "wholebody_oks": ("body/", "foot/", "face/", "lefthand/", "righthand/", "wholebody/"),
    "halpe_oks": ("body/", "foot/", "face/", "hand/", "fullbody/"),
}
SETS = [
    ("coco_oks", "coco_17"),
    ("coco_oks", "halpe_26"),
    ("wholebody_oks", "wholebody_133"),
    ("halpe_oks", "wholebody_133"),
    ("halpe_oks", "halpe_136"),
]


def protocol(scorer, **choices):
    fields = {
        "name": "test",
        "boxes": "gt",
        "flip": False,
        "shift": False,
        "decode": "quarter",
        "rescoring": "none",
        "nms": "none",
        "scorer": scorer,
    }
    return Protocol.model_validate(fields | choices)


def scored(sample, scorer, **options):
    results, dataset = random_persons.results(sample), random_persons.dataset(sample)
    return score(results, dataset, protocol(scorer), **options)


@pytest.mark.parametrize(("scorer", "name"), SETS)
def test_oks_scorers_name_every_part_joint_and_interval(scorer, name):
    found = scored(random_persons.sample(name, 0, images=12), scorer)
    metrics = [part + metric for part in PARTS[scorer] for metric in TEN]
    joints = [f"similarity/{joint}" for joint in keypoint_set(name).names]
    assert list(found.values) == metrics + joints
    assert set(found.intervals) == set(metrics)
    for metric, (low, high) in found.intervals.items():
        assert low <= found.values[metric] <= high, metric
    assert all(0 <= found.values[joint] <= 100 for joint in joints)
    assert re.fullmatch(rf"{scorer} 1 \(rules of \w+cocotools [\d.]+\)", found.scorer) or (
        found.scorer == "coco_oks 1 (rules of pycocotools 2.0.11)"
    )


def test_pckh_names_every_mean_group_and_joint():
    dataset, results = mpii()
    found = score(results, dataset, protocol("mpii_pckh"))
    groups = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    names = {"PCKh@0.5", "PCKh@0.11", "PCKh@0.10"}
    names |= {f"PCKh@0.5/{name}" for name in (*groups, *keypoint_set("mpii_16").names)}
    assert set(found.values) == set(found.intervals) == names
    for metric, (low, high) in found.intervals.items():
        assert low < found.values[metric] < high, metric
    assert (found.scorer, found.persons) == ("mpii_pckh 1 (rules of HRNet)", 80)


def test_every_published_metric_is_one_that_a_scorer_gives():
    """The names that registry rows claim numbers under."""
    registry = Path(__file__).resolve().parents[2] / "registry" / "zoos"
    text = "".join(file.read_text(encoding="utf-8") for file in registry.glob("*.yaml"))
    claimed = set(re.findall(r"metric: ([\w@./]+)", text))
    dataset, results = mpii()
    given = set(score(results, dataset, protocol("mpii_pckh"), with_intervals=False).values)
    for scorer, name in SETS:
        given |= set(scored(random_persons.sample(name, 0), scorer, with_intervals=False).values)
    assert {name for name in claimed if name.startswith("PCKh")} <= given
    assert any(name.startswith("PCKh") for name in claimed)


def test_persons_that_count_are_those_of_the_whole_body():
    sample = random_persons.sample("wholebody_133", 1)
    rows = sample["annotations"]
    labelled = [any(row["keypoints"][2::3]) for row in rows]
    pairs = list(zip(labelled, rows, strict=True))
    expected = {
        "coco_oks": [r for r in rows if r["num_keypoints"] > 0 and not r["iscrowd"]],
        "wholebody_oks": [row for seen, row in pairs if seen and not row["iscrowd"]],
        "halpe_oks": [row for seen, row in pairs if seen and not row["ignore"]],
    }
    assert len({len(counted) for counted in expected.values()}) == 3
    for scorer, counted in expected.items():
        found = scored(sample, scorer, with_intervals=False)
        assert found.persons == len(counted)
        assert found.images == len({row["image_id"] for row in counted}) < found.persons


def test_images_with_persons_are_counted_by_pckh():
    dataset, results = mpii()
    found = score(results, dataset, protocol("mpii_pckh"), with_intervals=False)
    seen = (dataset.truth.keypoints[:, :, 2] > 0).any(axis=1)
    assert found.images == len(set(dataset.truth.image_id[seen].tolist())) > 0


def test_the_protocol_says_how_many_detections_and_which_area():
    sample = random_persons.sample("coco_17", 0)
    results, dataset = random_persons.results(sample), random_persons.dataset(sample)

    def values(**choices):
        return score(results, dataset, protocol("coco_oks", **choices), with_intervals=False).values

    assert values(max_detections=2)["AR"] < values()["AR"]
    box, extent = values(result_area="box"), values()
    assert [box[name] for name in ("AP", "AP50", "AP75")] == [
        extent[name] for name in ("AP", "AP50", "AP75")
    ]
    assert box["APM"] != extent["APM"]


def test_intervals_can_be_left_out_and_are_the_same_every_time():
    sample = random_persons.sample("coco_17", 0, images=12)
    without, first = scored(sample, "coco_oks", with_intervals=False), scored(sample, "coco_oks")
    assert without.intervals == {} and without.values == pytest.approx(first.values, nan_ok=True)
    assert first.intervals == scored(sample, "coco_oks").intervals


def test_one_image_can_only_be_drawn_again():
    sample = random_persons.sample("coco_17", 0)
    image = sample["annotations"][-1]["image_id"]
    one = {
        key: [r for r in sample[key] if r["image_id"] == image]
        for key in ("annotations", "results")
    }
    one |= {"set": "coco_17", "images": [{"id": image}]}
    found = scored(one, "coco_oks")
    assert found.values["AP"] > 0
    assert found.intervals["AP"] == pytest.approx((found.values["AP"],) * 2)


def test_intervals_of_six_parts_are_quick():
    sample = random_persons.sample("wholebody_133", 0, images=150)
    work = effort.calls(lambda: scored(sample, "wholebody_oks"))
    assert work < 120_000, work  # 38,000; a loop over draws or images would be millions


# --- inputs that break --------------------------------------------------------------------------


@pytest.mark.parametrize(("scorer", "name"), SETS)
def test_no_prediction_scores_zero(scorer, name):
    found = scored(random_persons.sample(name, 0) | {"results": []}, scorer)
    metrics = [part + metric for part in PARTS[scorer] for metric in TEN]
    assert {found.values[metric] for metric in metrics} == {0.0}
    assert found.intervals[metrics[0]] == (0.0, 0.0)
    assert all(np.isnan(found.values[f"similarity/{j}"]) for j in keypoint_set(name).names)


@pytest.mark.parametrize(("scorer", "name"), SETS)
def test_images_without_persons_score_nothing(scorer, name):
    found = scored(random_persons.sample(name, 0) | {"annotations": []}, scorer)
    assert all(np.isnan(value) for value in found.values.values())
    assert (found.intervals, found.persons) == ({}, 0)


def test_no_images_score_nothing():
    empty = {"set": "coco_17", "images": [], "annotations": [], "results": []}
    found = scored(empty, "coco_oks")
    assert np.isnan(found.values["AP"]) and found.intervals == {}


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("column", ["instance score", "joint score", "keypoint"])
def test_a_number_that_is_none_is_refused_by_row(column, number):
    """pycocotools takes a joint at NaN for a perfect match."""
    sample = random_persons.sample("coco_17", 0)
    results, dataset = random_persons.results(sample), random_persons.dataset(sample)
    columns = {
        "instance score": results.score.copy(),
        "joint score": results.predictions.joint_scores.copy(),
        "keypoint": results.predictions.keypoints.copy(),
    }
    columns[column][[3, 6]] = number
    predictions = replace(
        results.predictions, joint_scores=columns["joint score"], keypoints=columns["keypoint"]
    )
    broken = Results(predictions, columns["instance score"], results.kept)
    with refused("Row 3", "person 3", column):
        score(broken, dataset, protocol("coco_oks"))
    kept = np.ones(len(results.score), np.bool_)
    kept[[3, 6]] = False
    dropped = Results(predictions, columns["instance score"], kept)
    assert np.isfinite(score(dropped, dataset, protocol("coco_oks")).values["AP"])


def test_another_images_results_and_other_joints_are_refused():
    sample = random_persons.sample("coco_17", 0)
    results, dataset = random_persons.results(sample), random_persons.dataset(sample)
    ids = results.predictions.image_id.copy()
    ids[4] = 12345
    stray = replace(results, predictions=replace(results.predictions, image_id=ids))
    with refused("Row 4", "image 12345", "random.json"):
        score(stray, dataset, protocol("coco_oks"))
    other = replace(results, predictions=replace(results.predictions, keypoint_set="hand_21"))
    with refused("hand_21", "coco_17"):
        score(other, dataset, protocol("coco_oks"))


def test_persons_and_detections_of_no_area_are_scored():
    sample = random_persons.sample("coco_17", 0)
    flat = [10.0, 10.0, 1.0] * 17
    image = sample["images"][1]["id"]
    point = {"id": 900, "image_id": image, "bbox": [10.0, 10.0, 0.0, 0.0], "area": 0.0}
    person = point | {"iscrowd": 0, "ignore": 0, "keypoints": flat, "num_keypoints": 17}
    found = {"image_id": image, "category_id": 1, "keypoints": flat, "score": 2.0}
    before = scored(sample, "coco_oks", with_intervals=False)
    sample = sample | {"annotations": [*sample["annotations"], person]}
    missed = scored(sample, "coco_oks", with_intervals=False)
    assert missed.values["AR"] < before.values["AR"]
    hit = scored(
        sample | {"results": [*sample["results"], found]}, "coco_oks", with_intervals=False
    )
    assert hit.values["AR"] > missed.values["AR"]


def test_the_protocols_scorers_are_all_there():
    protocols = shipped_registry().protocols.values()
    assert {protocol.scorer for protocol in protocols} <= set(SCORERS)
    assert set(SCORERS.built_in) >= set(EVALUATOR_RULES)
    named = protocol("coco_oks").model_copy(update={"scorer": "nobody"})
    sample = random_persons.sample("coco_17", 0)
    with pytest.raises(UserError, match="Unknown scorer 'nobody'"):
        score(random_persons.results(sample), random_persons.dataset(sample), named)


def test_scores_are_plain_numbers():
    found = scored(random_persons.sample("halpe_136", 0), "halpe_oks")
    assert json.loads(json.dumps([found.values, found.intervals]))
