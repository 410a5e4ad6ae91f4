"""PCKh against a reference, and each of its conventions on its own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from random_mpii import found, mpii

from posebench.keypoints import keypoint_set
from posebench.scoring import pckh
from posebench.types.arrays import Results
from posebench.types.errors import UserError

# gt_valid.mat spells them like this; HRNet looks them up in these pairs.
MAT = [
    "rank",
    "rkne",
    "rhip",
    "lhip",
    "lkne",
    "lank",
    "pelv",
    "thor",
    "neck",
    "head",
    "rwri",
    "relb",
    "rsho",
    "lsho",
    "lelb",
    "lwri",
]
PAIRS = {
    "shoulder": ("lsho", "rsho"),
    "elbow": ("lelb", "relb"),
    "wrist": ("lwri", "rwri"),
    "hip": ("lhip", "rhip"),
    "knee": ("lkne", "rkne"),
    "ankle": ("lank", "rank"),
}


def reference(dataset, results):
    """HRNet's evaluation as a loop over persons and joints."""
    truth = dataset.truth
    by_person = {}
    for row, person in enumerate(results.predictions.person_id.tolist()):
        by_person[person] = results.predictions.keypoints[row]
    limits = {"PCKh@0.5": 0.5, "PCKh@0.11": 0.11, "PCKh@0.10": 0.10}
    near = {name: [0] * 16 for name in limits}
    seen = [0] * 16
    for k, person in enumerate(truth.id.tolist()):
        for j in range(16):
            x, y, visible = truth.keypoints[k, j]
            if not visible:
                continue
            seen[j] += 1
            if person not in by_person:
                continue
            px, py = by_person[person][j]
            distance = math.hypot(float(px) + 1 - x, float(py) + 1 - y)
            for name, limit in limits.items():
                near[name][j] += distance / (0.6 * truth.head_size[k]) <= limit
    values = {}
    for name in limits:
        in_mean = [j for j in range(16) if MAT[j] not in ("pelv", "thor")]
        everything = sum(seen[j] for j in in_mean)
        rate = [100 * near[name][j] / seen[j] for j in range(16)]
        values[name] = sum(rate[j] * seen[j] / everything for j in in_mean)
    rate = [100 * near["PCKh@0.5"][j] / seen[j] for j in range(16)]
    values["PCKh@0.5/head"] = rate[MAT.index("head")]
    for group, (left, right) in PAIRS.items():
        values[f"PCKh@0.5/{group}"] = (rate[MAT.index(left)] + rate[MAT.index(right)]) / 2
    for j, joint in enumerate(keypoint_set("mpii_16").names):
        values[f"PCKh@0.5/{joint}"] = rate[j]
    return values


def measured(dataset, results):
    return pckh.measure(pckh.count(results, dataset))


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_equals_the_reference(seed):
    dataset, results = mpii(seed)
    ours, expected = measured(dataset, results), reference(dataset, results)
    assert set(ours) == set(expected)
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value), name
    assert 1 < ours["PCKh@0.10"] < ours["PCKh@0.11"] < ours["PCKh@0.5"] < 99


def exact(dataset):
    rows = np.arange(len(dataset.truth))
    return found(dataset, rows, dataset.truth.keypoints[:, :, :2] - 1)


def test_ground_truth_counted_from_zero_is_perfect_everywhere():
    dataset, _ = mpii()
    assert set(measured(dataset, exact(dataset)).values()) == {100.0}


def shifted(dataset, heads):
    """Ground truth moved right by a share of the head box's diagonal."""
    xy = dataset.truth.keypoints[:, :, :2] - 1
    xy = xy + np.array([1.0, 0.0]) * (heads * dataset.truth.head_size)[:, None, None]
    return measured(dataset, found(dataset, np.arange(len(dataset.truth)), xy))


def test_thresholds_are_shares_of_six_tenths_of_the_head():
    dataset, _ = mpii()
    reached = {
        heads: [name for name in pckh.THRESHOLDS if shifted(dataset, 0.6 * heads)[name] == 100.0]
        for heads in (0.099, 0.105, 0.115, 0.499, 0.501)
    }
    assert reached == {
        0.099: ["PCKh@0.5", "PCKh@0.11", "PCKh@0.10"],
        0.105: ["PCKh@0.5", "PCKh@0.11"],
        0.115: ["PCKh@0.5"],
        0.499: ["PCKh@0.5"],
        0.501: [],
    }
    # The rows of HRNet's table that its "Mean@0.1" and mmpose's stand in.
    table = np.arange(0, 0.5 + 0.01, 0.01)
    assert (pckh.THRESHOLDS["PCKh@0.11"], pckh.THRESHOLDS["PCKh@0.10"]) == (table[11], table[10])


def test_a_joint_exactly_at_the_threshold_is_found():
    dataset, _ = mpii()
    whole = dataset.truth.keypoints.round()
    dataset = replace(
        dataset, truth=replace(dataset.truth, keypoints=whole, head_size=np.full(80, 20.0))
    )
    assert 6 / (20 * 0.6) == 0.5
    xy = whole[:, :, :2] - 1 + np.array([6.0, 0.0])
    values = measured(dataset, found(dataset, np.arange(80), xy))
    assert (values["PCKh@0.5"], values["PCKh@0.11"]) == (100.0, 0.0)


def test_pelvis_and_thorax_are_in_no_mean_but_have_rows():
    dataset, _ = mpii()
    xy = dataset.truth.keypoints[:, :, :2] - 1
    xy[:, [6, 7]] += 5000
    values = measured(dataset, found(dataset, np.arange(len(xy)), xy))
    assert values["PCKh@0.5"] == 100.0
    assert values["PCKh@0.5/pelvis"] == values["PCKh@0.5/thorax"] == 0.0


def test_the_mean_is_weighted_by_labels_and_a_pair_is_not():
    dataset, _ = mpii()
    keypoints = dataset.truth.keypoints.copy()
    keypoints[:, :, 2] = 0
    keypoints[:, 0, 2] = 1  # every right ankle
    keypoints[:20, 5, 2] = 1  # some left ankles
    dataset = replace(dataset, truth=replace(dataset.truth, keypoints=keypoints))
    xy = keypoints[:, :, :2] - 1
    xy[:, 5] += 5000
    values = measured(dataset, found(dataset, np.arange(len(xy)), xy))
    assert values["PCKh@0.5"] == pytest.approx(100 * 80 / 100)
    assert values["PCKh@0.5/ankle"] == pytest.approx(50.0)
    assert math.isnan(values["PCKh@0.5/knee"])


def test_a_person_without_a_prediction_is_missed_altogether():
    dataset, _ = mpii()
    whole = exact(dataset)
    half = Results(whole.predictions, whole.score, np.arange(len(whole.score)) % 2 == 0)
    labels = dataset.truth.keypoints[:, :, 2]
    for k, joint in enumerate(keypoint_set("mpii_16").names):
        expected = 100 * labels[::2, k].sum() / labels[:, k].sum()
        assert measured(dataset, half)[f"PCKh@0.5/{joint}"] == pytest.approx(expected)
    none = Results(whole.predictions, whole.score, np.zeros(len(whole.score), np.bool_))
    assert set(measured(dataset, none).values()) == {0.0}


def test_a_head_of_no_size_finds_nothing():
    dataset, _ = mpii()
    dataset = replace(dataset, truth=replace(dataset.truth, head_size=np.zeros(80)))
    assert set(measured(dataset, exact(dataset)).values()) == {0.0}


def test_nobody_annotated_has_no_value():
    dataset, _ = mpii(persons=5)
    unseen = dataset.truth.keypoints * [1, 1, 0]
    dataset = replace(dataset, truth=replace(dataset.truth, keypoints=unseen))
    assert all(math.isnan(value) for value in measured(dataset, exact(dataset)).values())
    assert pckh.persons(dataset) == 0


def test_a_draw_is_the_images_drawn():
    dataset, results = mpii()
    counts = pckh.count(results, dataset)
    weights = np.zeros((30, 2))
    weights[:10, 0], weights[:, 1] = 1, 2
    values = pckh.resampled(counts, weights)
    first = np.isin(dataset.truth.image_id, np.arange(1, 11))
    columns = {
        name: value[first] for name, value in vars(dataset.truth).items() if value is not None
    }
    some = replace(dataset, truth=replace(dataset.truth, **columns))
    theirs = np.isin(results.predictions.person_id, some.truth.id)
    expected = measured(some, Results(results.predictions, results.score, theirs))
    whole = measured(dataset, results)
    for name, (part, twice) in values.items():
        assert part == pytest.approx(expected[name]), name
        assert twice == pytest.approx(whole[name]), name


def test_without_head_sizes_the_file_that_has_them_is_named():
    dataset, results = mpii()
    dataset = replace(dataset, truth=replace(dataset.truth, head_size=None))
    with pytest.raises(UserError, match="size of each head") as caught:
        pckh.count(results, dataset)
    assert "gt_valid.mat" in caught.value.hint


def test_rows_of_nobody_and_of_one_person_twice_are_refused():
    dataset, _ = mpii()
    whole = exact(dataset)
    ids = whole.predictions.person_id.copy()
    ids[7] = ids[3]
    with pytest.raises(UserError, match=f"Row 7 .* second one of person {ids[3]}"):
        measured(dataset, replace(whole, predictions=replace(whole.predictions, person_id=ids)))
    ids[7] = 999
    with pytest.raises(UserError, match="person 999"):
        measured(dataset, replace(whole, predictions=replace(whole.predictions, person_id=ids)))


def test_other_keypoints_are_refused():
    dataset, results = mpii()
    with pytest.raises(UserError, match="not for coco_17"):
        pckh.count(results, replace(dataset, keypoint_set="coco_17"))
