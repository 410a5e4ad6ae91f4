"""AlphaPose's merging suppression: against reference loops, and what must hold of it."""

from __future__ import annotations

import make
import numpy as np
import pytest
import reference_pose_nms as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from posebench.inference.pose_nms import HEATMAP, INTEGRAL_FULL_BODY, pose_nms
from posebench.inference.select import select
from posebench.types.arrays import Predictions

SETS = {"coco_17": 17, "halpe_26": 26, "halpe_136": 136, "wholebody_133": 133}
CONSTANTS = {
    "heatmaps": (HEATMAP, reference.HEATMAP),
    "integrals": (INTEGRAL_FULL_BODY, reference.INTEGRAL),
}


def crowd(seed, joints, count=7, highest=1.0):
    """Persons of whom most are copies of another, near or far, some of their joints elsewhere."""
    generator = np.random.default_rng(seed)
    points = generator.uniform(0, 300, (count, joints, 2))
    for row in range(1, count):
        if generator.uniform() < 0.7:
            noise = generator.choice([0.3, 2.0, 5.0, 12.0])
            points[row] = points[generator.integers(row)] + generator.normal(0, noise, (joints, 2))
            elsewhere = generator.uniform(size=joints) < generator.uniform()
            points[row, elsewhere] = generator.uniform(0, 300, (elsewhere.sum(), 2))
    scores = generator.uniform(0, highest, (count, joints))
    scores[generator.uniform(size=scores.shape) < 0.02] = 0
    return points, scores, generator.uniform(20, 400, count), generator.uniform(0, 1, count)


def reference_people(points, scores, side, box):
    return [
        {"points": p.tolist(), "scores": s.tolist(), "side": float(d), "box": float(b)}
        for p, s, d, b in zip(points, scores, side, box, strict=True)
    ]


@pytest.mark.parametrize("joints", SETS.values())
@pytest.mark.parametrize("name", CONSTANTS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), highest=st.sampled_from([1.0, 0.6, 0.05]))
def test_persons_equal_the_reference_loops(joints, name, seed, highest):
    ours, theirs = CONSTANTS[name]
    people = crowd(seed, joints, highest=highest)
    found = pose_nms(*people, ours, full_body=joints > 100)
    expected = reference.pose_nms(reference_people(*people), theirs, joints > 100)
    assert found.rows.tolist() == [row for row, *_ in expected]
    for k, (_, points, scores, total) in enumerate(expected):
        np.testing.assert_allclose(found.keypoints[k], points, atol=1e-8)
        np.testing.assert_allclose(found.joint_scores[k], scores, atol=1e-9)
        assert found.score[k] == pytest.approx(total)


def test_the_crowds_really_merge_and_drop():
    left = {}
    for joints, name in ((17, "heatmaps"), (136, "heatmaps"), (136, "integrals")):
        constants = CONSTANTS[name][0]
        rows = [
            len(pose_nms(*crowd(seed, joints), constants, full_body=joints > 100).rows)
            for seed in range(20)
        ]
        left[joints, name] = sum(n < 7 for n in rows)
    assert min(left.values()) >= 5, left
    faint = crowd(0, 17, highest=0.2)
    assert len(pose_nms(*faint).rows) == 0


def copies(joints=17, apart=(0.0, 0.0), scores=(0.9, 0.6)):
    points = np.random.default_rng(0).uniform(0, 200, (1, joints, 2))
    both = np.concatenate([points, points + np.array(apart)])
    values = np.repeat(np.array(scores)[:, None], joints, axis=1)
    return both, values, np.full(2, 100.0), np.array([0.5, 0.25])


def test_a_merged_joint_stands_at_the_mean_weighted_by_scores():
    """Two persons 4 px apart with joint scores 0.9 and 0.6, box score 0.5."""
    merged = pose_nms(*copies(apart=(4.0, 0.0)))
    assert merged.rows.tolist() == [0]
    first = copies()[0][0]
    np.testing.assert_allclose(merged.keypoints[0], first + np.array([1.6, 0.0]))
    mean = (0.9**2 + 0.6**2) / 1.5
    np.testing.assert_allclose(merged.joint_scores[0], mean)
    assert merged.score[0] == pytest.approx(0.5 + mean + 1.25 * mean)


def test_alone_nobody_moves():
    points, scores, side, box = (each[:1] for each in copies())
    merged = pose_nms(points, scores, side, box)
    np.testing.assert_allclose(merged.keypoints, points)
    assert merged.score[0] == pytest.approx(0.5 + 0.9 + 1.25 * 0.9)


def test_joints_match_within_a_tenth_of_the_box_but_no_more_than_seven_pixels():
    for apart, side, together in ((6.9, 200, True), (7.1, 200, False), (3.9, 40, True)):
        points, scores, _, box = copies(apart=(apart, 0.0))
        left = pose_nms(points, scores, np.full(2, side), box).rows
        assert (len(left) == 1) == together, (apart, side)
    points, scores, _, box = copies(apart=(4.9, 0.0))
    assert len(pose_nms(points, scores, np.full(2, 40.0), box).rows) == 2, "a tenth of 40 is 4"


def test_five_joints_in_reach_are_one_person():
    for same, left in ((4, 2), (5, 1)):
        points, scores, side, box = copies()
        points[1, same:] += 100
        assert len(pose_nms(points, scores, side, box).rows) == left


def test_a_person_whose_merged_joints_are_too_weak_is_dropped():
    """Its best joint has 0.31, but 0.274 after merging."""
    points, scores, side, box = copies(scores=(0.25, 0.24))
    scores[:, 0] = 0.31, 0.05
    assert pose_nms(points[:1], scores[:1], side[:1], box[:1]).rows.tolist() == [0]
    assert len(pose_nms(points, scores, side, box).rows) == 0


def full_body_pair(joints, near, apart, side, scores=0.9):
    """Two persons, the joints ``near`` so far apart, all others a thousand px."""
    points, _, _, box = copies(joints, apart=(1000.0, 0.0))
    points[1, near] = points[0, near] + [apart, 0.0]
    values = np.broadcast_to(np.asarray(scores), (2, joints)) * np.array([[1.0], [0.99]])
    return points, values, np.full(2, side), box


# In these the reach is 0.15 px, so that no joint matches and similarity decides alone.
@pytest.mark.parametrize(
    ("near", "one_person"),
    [
        (np.r_[:94], False),  # body and face: 1.65 (0.939 + 0.968) = 3.15, below 3.6
        (np.r_[26:136], True),  # face and hands: 1.65 (0.968 + 1.5 * 0.893) = 3.81
        (np.r_[:26, 94:136], True),  # body and hands: 3.76
    ],
)
def test_similarity_of_the_full_body_weighs_its_parts(near, one_person):
    """Sure joints compare their distances alone; hands count one and a half times."""
    people = full_body_pair(136, near, 0.5, side=1.0)
    found = pose_nms(*people, INTEGRAL_FULL_BODY, full_body=True)
    assert (len(found.rows) == 1) == one_person
    expected = reference.pose_nms(reference_people(*people), reference.INTEGRAL, True)
    assert len(expected) == len(found.rows)


@pytest.mark.parametrize(
    ("places", "one_person"), [((23, 24), False), ((26, 27), True), ((91, 92), True)]
)
def test_faces_of_133_joints_are_matched_where_halpes_face_is(places, one_person):
    """A face may be 1.9 times the reach apart, from the 27th joint on as among 136 joints."""
    scores = np.full(133, 0.001)
    scores[list(places)] = scores[:9] = 0.9
    people = full_body_pair(133, list(places), 1.5 * 3.0, side=20.0, scores=scores)
    found = pose_nms(*people, INTEGRAL_FULL_BODY, full_body=True)
    assert (len(found.rows) == 1) == one_person
    expected = reference.pose_nms(reference_people(*people), reference.INTEGRAL, True)
    assert len(expected) == len(found.rows)


def test_the_arguments_stay_as_they_were():
    people = crowd(3, 17)
    before = [each.copy() for each in people]
    pose_nms(*people)
    assert all(np.array_equal(a, b) for a, b in zip(people, before, strict=True))


def predictions(keypoint_set, seeds=(1, 2), **changes):
    people = [crowd(seed, SETS[keypoint_set]) for seed in seeds]
    points, scores, side, box = (np.concatenate(each) for each in zip(*people, strict=True))
    fields = {
        "keypoints": points.astype(np.float32),
        "joint_scores": scores.astype(np.float32),
        "box": np.stack([side * 0, side * 0, side * 0.5, side], axis=1),
        "box_score": box,
        "crop_area": side**2,
        "image_id": np.repeat(np.arange(len(seeds)), 7),
        "person_id": np.arange(len(points)),
        "keypoint_set": keypoint_set,
    }
    return Predictions(**(fields | changes))


def chosen(raw, decode="quarter"):
    return select(
        raw,
        make.protocol(nms="alphapose", rescoring="alphapose_2022", boxes="detector", decode=decode),
    )


@pytest.mark.parametrize(
    ("name", "decode", "constants"),
    [
        ("coco_17", "quarter", "heatmaps"),
        ("halpe_26", "integral_sigmoid", "heatmaps"),
        ("halpe_136", "quarter", "heatmaps"),
        ("halpe_136", "integral_sigmoid", "integrals"),
        ("wholebody_133", "combined", "integrals"),
    ],
)
def test_images_are_merged_one_by_one_with_the_sets_own_constants(name, decode, constants):
    raw = predictions(name)
    results = chosen(raw, decode)
    for image in (0, 1):
        rows = np.flatnonzero(raw.image_id == image)
        people = (raw.keypoints[rows].astype(float), raw.joint_scores[rows].astype(float))
        people = reference_people(*people, raw.box[rows, 3], raw.box_score[rows])
        expected = reference.pose_nms(people, CONSTANTS[constants][1], SETS[name] > 100)
        kept = rows[results.kept[rows]]
        assert sorted(rows[row] for row, *_ in expected) == kept.tolist()
        for row, points, scores, total in expected:
            np.testing.assert_allclose(
                results.predictions.keypoints[rows[row]], points, rtol=1e-6, atol=1e-4
            )
            np.testing.assert_allclose(
                results.predictions.joint_scores[rows[row]], scores, atol=1e-6
            )
            assert results.score[rows[row]] == pytest.approx(total, rel=1e-6)


def test_a_whole_body_run_changes_nothing_for_the_next():
    """In the reference the constants of an integral whole-body model stay for heatmap models."""
    raw, body = predictions("halpe_136"), predictions("coco_17")
    first, first_body = chosen(raw), chosen(body)
    chosen(raw, "integral_sigmoid")
    for before, again in ((first, chosen(raw)), (first_body, chosen(body))):
        assert np.array_equal(before.kept, again.kept)
        assert np.array_equal(before.score, again.score)
        assert np.array_equal(before.predictions.keypoints, again.predictions.keypoints)
    other = chosen(raw, "integral_sigmoid")
    assert not np.array_equal(first.kept, other.kept), "the two sets of constants do differ"


def test_nobody_in_nobody_out():
    nobody = predictions("coco_17")
    empty = {k: v[:0] if isinstance(v, np.ndarray) else v for k, v in vars(nobody).items()}
    assert len(chosen(Predictions(**empty)).kept) == 0
