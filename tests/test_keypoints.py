"""Keypoint sets against the tables of the zoos that define them."""

from __future__ import annotations

import pytest

from posebench.keypoints import COCO_SIGMAS, keypoint_set, keypoint_sets, selection
from posebench.types.errors import UserError

pytestmark = pytest.mark.light

SIZES = {
    "coco_17": 17,
    "mpii_16": 16,
    "halpe_26": 26,
    "halpe_136": 136,
    "wholebody_133": 133,
    "noface_68": 68,
    "hand_21": 21,
    "crowdpose_14": 14,
}

# AlphaPose halpe_136_det.py and coco_wholebody_det.py list the face pairs with these numbers.
HALPE_FACE = (
    "26,42 27,41 28,40 29,39 30,38 31,37 32,36 33,35 43,52 44,51 45,50 46,49 47,48 62,71 63,70 "
    "64,69 65,68 66,73 67,72 57,61 58,60 74,80 75,79 76,78 87,89 93,91 86,90 85,81 84,82"
)
WHOLEBODY_FACE = (
    "23,39 24,38 25,37 26,36 27,35 28,34 29,33 30,32 40,49 41,48 42,47 43,46 44,45 59,68 60,67 "
    "61,66 62,65 63,70 64,69 54,58 55,57 71,77 72,76 73,75 84,86 90,88 83,87 82,78 81,79"
)


def _unordered(pairs: str) -> set[frozenset[int]]:
    return {frozenset(int(i) for i in pair.split(",")) for pair in pairs.split()}


def test_every_set_is_known_and_has_its_size() -> None:
    assert {name: len(keypoint_set(name)) for name in keypoint_sets()} == SIZES


@pytest.mark.parametrize("name", SIZES)
def test_names_are_unique_and_the_mirror_exchanges_left_and_right(name: str) -> None:
    joints = keypoint_set(name)
    assert len(set(joints.names)) == len(joints)
    order = joints.flip_index()
    assert sorted(order) == list(range(len(joints)))
    assert [order[k] for k in order] == list(range(len(joints)))
    sides = {"left": "right", "right": "left"}
    for k, mirrored in enumerate(order):
        side, _, part = joints.names[k].partition("_")
        if side in sides:
            assert joints.names[mirrored] == f"{sides[side]}_{part}"
        elif side != "face":
            assert mirrored == k


@pytest.mark.parametrize("name", SIZES)
def test_sigma_tables_have_one_value_for_each_joint(name: str) -> None:
    joints = keypoint_set(name)
    if name == "mpii_16":
        assert joints.sigmas == ()
        return
    assert next(iter(joints.sigma_tables.values())) == joints.sigmas
    for table in joints.sigma_tables.values():
        assert len(table) == len(joints)
        assert all(0 < sigma < 0.2 for sigma in table)


@pytest.mark.parametrize("name", ["coco_17", "halpe_26", "halpe_136", "noface_68"])
def test_mirrored_joints_share_their_sigma(name: str) -> None:
    joints = keypoint_set(name)
    for table in joints.sigma_tables.values():
        assert [table[k] for k in joints.flip_index()] == list(table)


def test_coco_sigmas_are_those_of_pycocotools() -> None:
    params = pytest.importorskip("pycocotools.cocoeval").Params(iouType="keypoints")
    assert list(COCO_SIGMAS) == pytest.approx(list(params.kpt_oks_sigmas), abs=1e-12)


def test_wholebody_sigmas_are_measured_for_each_face_point() -> None:
    sigmas = keypoint_set("wholebody_133").sigmas
    assert sigmas[17:23] == (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
    assert (sigmas[23], sigmas[39], sigmas[70], sigmas[90]) == (0.042, 0.045, 0.034, 0.008)
    assert sum(sigmas[23:91]) == pytest.approx(1.137, abs=1e-9)
    assert sum(sigmas[91:112]) == sum(sigmas[112:]) == pytest.approx(0.553, abs=1e-9)


def test_alphapose_scores_133_joints_with_a_flat_table() -> None:
    flat = keypoint_set("wholebody_133").sigma_tables["halpe"]
    assert flat[17:23] == (0.089,) * 6
    assert set(flat[23:]) == {0.015}


def test_mpii_pairs() -> None:
    expected = {frozenset(p) for p in ((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13))}
    assert {frozenset(p) for p in keypoint_set("mpii_16").flip_pairs} == expected


@pytest.mark.parametrize(
    ("name", "face", "hands"),
    [("halpe_136", HALPE_FACE, 94), ("wholebody_133", WHOLEBODY_FACE, 91)],
)
def test_face_and_hand_pairs_are_those_alphapose_lists(name: str, face: str, hands: int) -> None:
    found = {frozenset(p) for p in keypoint_set(name).flip_pairs}
    start = hands - 68
    assert {p for p in found if min(p) >= start and max(p) < hands} == _unordered(face)
    assert {p for p in found if min(p) >= hands} == {
        frozenset((hands + k, hands + 21 + k)) for k in range(21)
    }


def test_feet_stand_in_each_zoo_s_own_order() -> None:
    assert keypoint_set("halpe_26").names[20:22] == ("left_big_toe", "right_big_toe")
    assert keypoint_set("wholebody_133").names[17:20] == (
        "left_big_toe",
        "left_small_toe",
        "left_heel",
    )


def test_unknown_set_suggests_a_known_one() -> None:
    with pytest.raises(UserError, match=r"coco_71.*Did you mean coco_17"):
        keypoint_set("coco_71")


@pytest.mark.parametrize("name", keypoint_sets())
def test_a_set_is_a_selection_of_itself(name: str) -> None:
    assert selection(name, name) == tuple(range(len(keypoint_set(name))))


def test_halpe_holds_the_other_sets_by_name() -> None:
    assert selection("halpe_136", "halpe_26") == tuple(range(26))
    assert selection("halpe_136", "noface_68") == (*range(26), *range(94, 136))
    found = selection("halpe_136", "wholebody_133")
    assert found is not None
    # body, the feet in COCO-WholeBody's order, then face and hands
    assert found[:23] == (*range(17), 20, 22, 24, 21, 23, 25)
    assert found[23:] == tuple(range(26, 136))
    assert selection("wholebody_133", "coco_17") == tuple(range(17))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("halpe_26", "halpe_136"),
        ("wholebody_133", "halpe_26"),
        ("coco_17", "hand_21"),
        ("wholebody_133", "hand_21"),
        ("mpii_16", "coco_17"),
        ("halpe_136", "mpii_16"),
    ],
)
def test_a_set_with_a_keypoint_missing_is_no_selection(source: str, target: str) -> None:
    assert selection(source, target) is None


def test_mpii_s_head_and_neck_are_not_halpe_s() -> None:
    shared = {"head", "neck"}
    assert shared <= set(keypoint_set("mpii_16").names) & set(keypoint_set("halpe_26").names)
    assert selection("halpe_26", "mpii_16") is None
