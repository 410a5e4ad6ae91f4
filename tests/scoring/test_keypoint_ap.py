"""The engine and its three rules against a reference evaluator, and each rule on its own."""

from __future__ import annotations

import numpy as np
import pytest
import random_persons
import reference_keypoint_ap

from posebench.keypoints import keypoint_set
from posebench.scoring import oks, pairs
from posebench.scoring.evaluator_rules import EVALUATOR_RULES
from posebench.scoring.keypoint_ap import evaluate_parts, mean_similarities
from posebench.types.arrays import Results
from posebench.types.errors import UserError

# Written from the evaluators' sources, without the package's tables.
COCO = [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]
FOOT = [68, 66, 66, 92, 94, 94]
HAND = [29, 22, 35, 37, 47, 26, 25, 24, 35, 18, 24, 22, 26, 17, 21, 21, 32, 20, 19, 22, 31]
FLAT = [15] * 110
HEAD = [80] * 3
FEET = [89] * 6
PLAIN = {
    "coco_oks": {
        "ignored": lambda row, labels: row["num_keypoints"] == 0 or row["iscrowd"],
        "dropped": lambda everything, part: False,
        "unmatchable": lambda number: number == 0,
        "body": None,
    },
    "wholebody_oks": {
        "ignored": lambda row, labels: not any(labels) or row["iscrowd"],
        "dropped": lambda everything, part: not (part > 0).any(),
        "unmatchable": lambda number: number < 0,
        "body": 17,
    },
    "halpe_oks": {
        "ignored": lambda row, labels: not any(labels) or row["ignore"],
        "dropped": lambda everything, part: not (everything > 0).any(),
        "unmatchable": lambda number: number == 0,
        "body": None,
        "dtype": np.float32,
    },
}
PARTS = {
    ("coco_oks", "coco_17"): {"": (0, 17, COCO)},
    ("coco_oks", "halpe_26"): {"": (0, 26, COCO + HEAD + FEET)},
    ("wholebody_oks", "wholebody_133"): {
        "body": (0, 17, COCO),
        "foot": (17, 23, FOOT),
        "lefthand": (91, 112, HAND),
        "righthand": (112, 133, HAND),
    },
    ("halpe_oks", "halpe_136"): {
        "body": (0, 20, COCO + HEAD),
        "foot": (20, 26, FEET),
        "face": (26, 94, FLAT[:68]),
        "hand": (94, 136, FLAT[:42]),
        "fullbody": (0, 136, COCO + HEAD + FEET + FLAT),
    },
    ("halpe_oks", "wholebody_133"): {
        "body": (0, 17, COCO),
        "foot": (17, 23, FEET),
        "face": (23, 91, FLAT[:68]),
        "hand": (91, 133, FLAT[:42]),
        "fullbody": (0, 133, COCO + FEET + FLAT),
    },
}


def evaluated(sample, scorer, **options):
    return evaluate_parts(
        random_persons.results(sample),
        random_persons.dataset(sample),
        EVALUATOR_RULES[scorer],
        **options,
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("scorer", "name"), list(PARTS))
def test_arrays_equal_the_reference_evaluator(scorer, name, seed):
    sample = random_persons.sample(name, seed)
    assert all(random_persons.promises(sample).values())
    found = evaluated(sample, scorer)
    for part, (start, stop, sigmas) in PARTS[scorer, name].items():
        expected = reference_keypoint_ap.evaluate(
            sample, slice(start, stop), np.array(sigmas) / 1000, **PLAIN[scorer]
        )
        mine = found[part].precision, found[part].recall, found[part].scores
        for array, other in zip(mine, expected, strict=True):
            assert array.tobytes() == other.tobytes(), part


def test_every_part_has_a_name_and_the_whole_is_last():
    keypoints = {name: keypoint_set(name) for name in random_persons.CUTS}
    names = {
        key: [part.name for part in EVALUATOR_RULES[key[0]].parts(keypoints[key[1]])]
        for key in PARTS
    }
    assert names["coco_oks", "coco_17"] == [""]
    assert names["wholebody_oks", "wholebody_133"] == [
        *("body", "foot", "face", "lefthand", "righthand", "wholebody"),
    ]
    assert names["halpe_oks", "halpe_136"] == ["body", "foot", "face", "hand", "fullbody"]
    for scorer, name in PARTS:
        whole = EVALUATOR_RULES[scorer].parts(keypoints[name])[-1].joints
        assert (whole.start, whole.stop) == (0, len(keypoints[name]))


def test_blocks_of_any_size_give_the_same_arrays(monkeypatch):
    sample = random_persons.sample("wholebody_133", 3)
    whole = evaluated(sample, "wholebody_oks")
    monkeypatch.setattr(oks, "BLOCK", 200)
    monkeypatch.setattr(pairs, "BLOCK", 1)
    for part, evaluation in evaluated(sample, "wholebody_oks").items():
        assert evaluation.precision.tobytes() == whole[part].precision.tobytes()
        assert evaluation.matches.truth.tobytes() == whole[part].matches.truth.tobytes()


# --- single rules, on one person seen exactly ----------------------------------------------------


def one_person(name="wholebody_133", **changes):
    """A sample of one image, one person with all joints labelled, and itself as its result."""
    joints = len(keypoint_set(name))
    generator = np.random.default_rng(0)
    xy = generator.integers(10, 150, (joints, 2)).astype(float)
    person = {
        "id": 7,
        "image_id": 1,
        "category_id": 1,
        "bbox": [0.0, 0.0, 160.0, 160.0],
        "area": 20000.0,
        "iscrowd": 0,
        "ignore": 0,
        "keypoints": np.column_stack([xy, np.full(joints, 2.0)]).ravel().tolist(),
        "num_keypoints": joints,
    } | changes
    found = {
        "image_id": 1,
        "category_id": 1,
        "score": 0.9,
        "keypoints": np.column_stack([xy, np.full(joints, 0.5)]).ravel().tolist(),
    }
    images = [{"id": 1, "width": 640, "height": 480}]
    return {"set": name, "images": images, "annotations": [person], "results": [found]}


def unlabelled(row, start, stop):
    """The row's keypoints with labels (or scores) of some joints set to 0."""
    flat = np.array(row["keypoints"]).reshape(-1, 3)
    flat[start:stop, 2] = 0
    return row | {"keypoints": flat.ravel().tolist()}


def ap(sample, scorer):
    return {part: each.values["AP"] for part, each in evaluated(sample, scorer).items()}


@pytest.mark.parametrize("scorer", list(EVALUATOR_RULES))
def test_a_person_seen_exactly_is_perfect(scorer):
    assert all(value == pytest.approx(100.0) for value in ap(one_person(), scorer).values())


def test_id_0_is_a_match_in_wholebody_alone():
    sample = one_person(id=0)
    assert ap(sample, "coco_oks")[""] == 0.0
    assert ap(sample, "halpe_oks")["fullbody"] == 0.0
    assert ap(sample, "wholebody_oks")["wholebody"] == pytest.approx(100.0)
    assert ap(one_person(id=-3), "wholebody_oks")["wholebody"] == 0.0
    assert ap(one_person(id=-3), "halpe_oks")["fullbody"] == pytest.approx(100.0)


def test_who_does_not_count():
    assert np.isnan(ap(one_person(num_keypoints=0), "coco_oks")[""])
    assert ap(one_person(num_keypoints=0), "halpe_oks")["body"] == pytest.approx(100.0)
    assert ap(one_person(num_keypoints=0), "wholebody_oks")["body"] == pytest.approx(100.0)
    for scorer, counts in {"coco_oks": True, "wholebody_oks": True, "halpe_oks": False}.items():
        flagged, crowd = ap(one_person(ignore=1), scorer), ap(one_person(iscrowd=1), scorer)
        assert [np.isnan(value) for value in flagged.values()] == [not counts] * len(flagged)
        assert [np.isnan(value) for value in crowd.values()] == [counts] * len(crowd)


def test_a_part_without_labels_does_not_count_in_that_part():
    sample = one_person()
    sample["annotations"] = [unlabelled(sample["annotations"][0], 91, 112)]
    wholebody = ap(sample, "wholebody_oks")
    assert {part for part, value in wholebody.items() if np.isnan(value)} == {"lefthand"}
    assert not any(np.isnan(value) for value in ap(sample, "halpe_oks").values())
    sample["annotations"] = [unlabelled(sample["annotations"][0], 91, 133)]
    assert {p for p, v in ap(sample, "halpe_oks").items() if np.isnan(v)} == {"hand"}


def test_a_detection_without_positive_scores_is_dropped_differently():
    """By the part, by the whole person, or not at all."""
    sample = one_person()
    sample["results"] = [unlabelled(sample["results"][0], 17, 23)]
    wholebody = ap(sample, "wholebody_oks")
    assert wholebody["foot"] == 0.0 and wholebody["wholebody"] == pytest.approx(100.0)
    assert ap(sample, "halpe_oks")["foot"] == pytest.approx(100.0)
    sample["results"] = [unlabelled(sample["results"][0], 0, 133)]
    assert set(ap(sample, "wholebody_oks").values()) == {0.0}
    assert set(ap(sample, "halpe_oks").values()) == {0.0}
    assert ap(sample, "coco_oks")[""] == pytest.approx(100.0)


def test_a_crowd_takes_many_detections_of_halpe_and_a_person_one():
    sample = one_person(iscrowd=1)
    sample["results"] = sample["results"] * 3
    hits = {
        crowd: evaluated(sample, "halpe_oks")["body"].matches.hit[0, 0].tolist()
        for crowd in (1, 0)
        if sample["annotations"][0].update(iscrowd=crowd) is None
    }
    assert hits == {1: [True, True, True], 0: [True, False, False]}


def test_halpes_coordinates_are_single_precision():
    """Written positions that a single cannot tell from the predicted ones are met exactly."""
    far = [1000000.3, 2000000.4, 2.0] * 133
    sample = one_person(keypoints=far, area=1e-6)
    near = np.float32(far).astype(float).tolist()
    assert near[0] != far[0]
    sample["results"] = [sample["results"][0] | {"keypoints": near}]
    assert ap(sample, "halpe_oks")["fullbody"] == pytest.approx(100.0)
    assert ap(sample, "wholebody_oks")["wholebody"] == 0.0


def test_only_the_best_scored_persons_of_an_image_are_looked_at():
    sample = one_person("coco_17")
    far = np.array(sample["results"][0]["keypoints"])
    far[0::3] += 1000
    stranger = sample["results"][0] | {"keypoints": far.tolist(), "score": 0.95}
    sample["results"] = [sample["results"][0], stranger]
    assert evaluated(sample, "coco_oks", max_detections=1)[""].values["AR"] == 0.0
    assert evaluated(sample, "coco_oks", max_detections=2)[""].values["AR"] == pytest.approx(100.0)


def test_the_area_of_a_detection_decides_which_sizes_it_can_miss():
    """Of the extent all joints span or the body's, or of the box that was cropped."""
    sample = one_person(area=9000.0)
    flat = np.array(sample["results"][0]["keypoints"]).reshape(-1, 3)
    flat[:17, :2] = 300 + flat[:17, :2] / 3  # a small body far away, with a wide face and hands
    stranger = sample["results"][0] | {"keypoints": flat.ravel().tolist()}
    boxed = random_persons.results(sample | {"results": [stranger]})
    assert boxed.predictions.box[0].tolist() == [0, 0, 50, 60]

    def misses(scorer, part, **options):
        found = evaluate_parts(
            boxed, random_persons.dataset(sample), EVALUATOR_RULES[scorer], **options
        )
        return found[part].matches.miss[:, -1, 0].tolist()

    assert misses("wholebody_oks", "body") == [True, True, False]
    assert misses("halpe_oks", "body") == [True, False, True]
    assert misses("halpe_oks", "body", result_area="box") == [True, True, False]
    assert misses("wholebody_oks", "body", result_area="box") == [True, True, False]


def test_a_set_that_the_rules_do_not_cover_is_refused():
    for scorer, name in (("wholebody_oks", "halpe_136"), ("halpe_oks", "halpe_26")):
        with pytest.raises(UserError, match=f"not {name}"):
            evaluated(random_persons.sample(name, 0), scorer)
    with pytest.raises(UserError, match="mpii_16 has no OKS sigmas"):
        EVALUATOR_RULES["coco_oks"].sigmas(keypoint_set("mpii_16"))


# --- similarity of single joints ----------------------------------------------------------------


def test_similarity_of_a_joint_is_that_of_the_persons_found():
    sample = one_person("coco_17", area=10000.0)
    person = sample["annotations"][0]
    other = unlabelled(person, 3, 4) | {"id": 8, "image_id": 2}
    lost = person | {"id": 9, "image_id": 3}
    ignored = person | {"id": 10, "image_id": 4, "num_keypoints": 0}
    sample["images"] = [{"id": i, "width": 640, "height": 480} for i in (1, 2, 3, 4)]
    sample["annotations"] = [person, unlabelled(other, 0, 1), lost, ignored]
    moved = np.array(sample["results"][0]["keypoints"])
    moved[0] += 10  # the nose, to the right
    moved[3 * 5 + 1] += 20  # the left shoulder, down
    moved[3 * 6] += 1000
    first = sample["results"][0] | {"keypoints": moved.tolist()}
    far = sample["results"][0] | {"keypoints": (moved + 3000).tolist(), "image_id": 3}
    other_joint = np.array(person["keypoints"])
    other_joint[3 * 9] += 30
    of_ignored = first | {"image_id": 4, "keypoints": other_joint.tolist()}
    sample["results"] = [first, first | {"image_id": 2}, far, of_ignored]
    values = mean_similarities(evaluated(sample, "coco_oks")[""])
    expected = np.full(17, 100.0)
    expected[0] = 100 * np.exp(-(10**2) / (2 * 10000 * (2 * 0.026) ** 2))  # labelled once
    expected[5] = 100 * np.exp(-(20**2) / (2 * 10000 * (2 * 0.079) ** 2))
    expected[6] = 0.0
    np.testing.assert_allclose(values, expected, atol=1e-9)


def test_similarity_of_a_joint_nobody_labelled_is_unknown():
    sample = one_person()
    sample["annotations"] = [unlabelled(sample["annotations"][0], 5, 6)]
    values = mean_similarities(evaluated(sample, "wholebody_oks")["wholebody"])
    assert np.flatnonzero(np.isnan(values)).tolist() == [5]
    nobody = mean_similarities(evaluated(sample | {"results": []}, "wholebody_oks")["body"])
    assert np.isnan(nobody).all() and len(nobody) == 17


# --- ground truth as prediction -----------------------------------------------------------------


@pytest.mark.parametrize(("scorer", "name"), list(PARTS))
def test_ground_truth_as_prediction_is_perfect_for_those_who_count(scorer, name):
    """Fed with the persons that count in a part, that part is perfect at every size.

    Persons who do not count are the exception: as predictions they are matched to persons that
    the score leaves out, or to nobody.
    """
    sample = random_persons.sample(name, 1)
    # No one annotated twice, and no id that an evaluator cannot match.
    unique = {tuple(row["keypoints"]): row for row in sample["annotations"] if not row["iscrowd"]}
    people = [row | {"id": k + 1} for k, row in enumerate(unique.values())]
    for part, evaluation in evaluated(sample | {"annotations": people}, scorer).items():
        counts = ~evaluation.arrays.ignored
        seen = [row for row, counted in zip(people, counts, strict=True) if counted]
        exact = [row | {"score": 0.5, "keypoints": scored(row)} for row in seen]
        again = evaluated({**sample, "annotations": people, "results": exact}, scorer)[part]
        assert counts.sum() > 5
        for metric, value in again.values.items():
            assert value == pytest.approx(100.0), (part, metric)


def scored(row):
    """Keypoints of a person as a result with positive joint scores."""
    flat = np.array(row["keypoints"]).reshape(-1, 3)
    flat[:, 2] = 0.5
    return flat.astype(np.float32).astype(np.float64).ravel().tolist()


def test_ground_truth_with_its_labels_as_scores_keeps_out_of_empty_parts():
    """As xtcocotools reads it: a person without a labelled joint in the part is dropped there."""
    sample = random_persons.sample("wholebody_133", 2)
    people = [row | {"id": k + 1} for k, row in enumerate(sample["annotations"])]
    results = [row | {"score": 0.5} for row in people]
    found = evaluated({**sample, "annotations": people, "results": results}, "wholebody_oks")
    for part, evaluation in found.items():
        labelled = evaluation.arrays.labelled.any(axis=1)
        assert evaluation.arrays.looked_at.sum() == labelled.sum(), part
    assert found["body"].arrays.looked_at.sum() < len(people)


def test_suppressed_persons_are_not_scored():
    sample = one_person("coco_17")
    results = random_persons.results(sample)
    none = Results(results.predictions, results.score, np.zeros(1, np.bool_))
    found = evaluate_parts(none, random_persons.dataset(sample), EVALUATOR_RULES["coco_oks"])
    assert found[""].values["AP"] == 0.0
