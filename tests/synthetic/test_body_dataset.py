"""Tests of the drawn bodies: same bytes everywhere, three layouts that agree, sensible points."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from posebench.keypoints import (
    FACE_PAIRS,
    HAND_NAMES,
    MPII_NAMES,
    WHOLEBODY_NAMES,
    keypoint_set,
)
from posebench.synthetic import body_dataset
from posebench.synthetic.body_figure import make_body
from posebench.synthetic.body_files import MPII_MAT_NAMES, MPII_POINTS, BodyTruth, mat_bytes
from posebench.synthetic.body_points import (
    FACE,
    FACE_POINTS,
    FINGERS,
    HEAD_RADIUS,
    HEAD_TOP,
    LEFT_HAND,
    MID_HIP,
    NECK,
    POINTS,
    RIGHT_HAND,
    UPPER_NECK,
    face_points,
    hand_points,
)
from posebench.synthetic.figure import L_SHOULDER, R_SHOULDER
from posebench.synthetic.raster import UNIT, PortableRng
from posebench.types import UserError

# Of the first four pictures; all of them are hashed when the whole folder is written.
FIRST_FOUR = "76335ca7d3f676c9638651cb08f9ff020dd987fde47ca3f4b5a9f718cbd292e7"


@pytest.fixture(scope="module")
def truth() -> BodyTruth:
    return body_dataset.synthetic_body()


@pytest.fixture(scope="module")
def bodies() -> list:
    return [
        make_body(PortableRng(f"body {number}"), (190 * UNIT, 190 * UNIT), 300 * UNIT)
        for number in range(80)
    ]


def _points(annotation: dict, field: str = "keypoints") -> np.ndarray:
    return np.array(annotation[field], float).reshape(-1, 3)


def _wholebody(annotation: dict) -> np.ndarray:
    fields = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
    return np.concatenate([_points(annotation, field) for field in fields])


# --- determinism ------------------------------------------------------------------------------


def test_first_pictures_have_the_committed_hash() -> None:
    assert body_dataset.synthetic_body_sha256(4) == FIRST_FOUR


def test_whole_folder_has_the_committed_hash_and_is_reused(tmp_path: Path) -> None:
    """Writing checks the hash of everything; what lies there afterwards is what was drawn."""
    folder = body_dataset.write_synthetic_body(tmp_path)
    assert (folder / "COMPLETE").read_text().strip() == body_dataset.BODY_SHA256
    assert len(list((folder / "val2017").glob("*.png"))) == body_dataset.BODY_IMAGES
    stamp = (folder / "annot/gt_valid.mat").stat().st_mtime_ns
    assert body_dataset.write_synthetic_body(tmp_path) == folder
    assert (folder / "annot/gt_valid.mat").stat().st_mtime_ns == stamp
    (folder / "annot/valid.json").unlink()
    assert body_dataset.write_synthetic_body(tmp_path, 2) != folder
    assert [path.name[0] for path in tmp_path.iterdir()] == ["s", "s"]


def test_written_files_are_the_truth(tmp_path: Path) -> None:
    import cv2

    folder = body_dataset.write_synthetic_body(tmp_path, 5)
    truth = body_dataset.synthetic_body("val", 5)
    for path, expected in (
        ("annotations/halpe_val_v1.json", truth.halpe_file()),
        ("annotations/coco_wholebody_val_v1.0.json", truth.wholebody_file()),
        ("annot/valid.json", truth.mpii),
        ("detections.json", truth.detections),
    ):
        assert json.loads((folder / path).read_text()) == expected
    assert (folder / "annot/gt_valid.mat").read_bytes() == truth.mpii_mat()
    for image in truth.images:
        stored = cv2.imread(str(folder / "val2017" / image["file_name"]))
        assert stored is not None
        assert np.array_equal(stored, body_dataset.draw_body("val", image["id"] - 1).image)


def test_other_pixels_than_the_committed_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_dataset, "BODY_IMAGES", 1)
    with pytest.raises(UserError, match="SHA-256"):
        body_dataset.write_synthetic_body(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_mat_says_nothing_of_when_it_was_written() -> None:
    data = mat_bytes(np.ones((2, 16, 2)), np.ones((2, 16)), np.ones((2, 2, 2)))
    assert data[:116].rstrip() == b"MATLAB 5.0 MAT-file, written by posebench"
    assert data[124:128] == b"\x00\x01IM"


def test_splits_are_different_pictures() -> None:
    val, train = body_dataset.draw_body("val", 3), body_dataset.draw_body("train", 3)
    assert val.image.shape != train.image.shape or (val.image != train.image).any()


# --- layouts ----------------------------------------------------------------------------------


def test_the_counts_of_the_whole_split(truth: BodyTruth) -> None:
    labelled = [a for a in truth.halpe if _points(a)[:, 2].any()]
    assert len(truth.images) == body_dataset.BODY_IMAGES
    assert len(labelled) == 206
    assert len(truth.mpii) == len(truth.heads) == 206
    assert len(truth.detections) == 351
    assert sum(a["iscrowd"] for a in truth.halpe) >= 1
    assert len({a["image_id"] for a in truth.halpe}) < len(truth.images)
    ids = [a["id"] for a in truth.halpe]
    assert ids == [a["id"] for a in truth.wholebody] == list(range(1, len(ids) + 1))


def test_every_part_is_sometimes_labelled_and_sometimes_not(truth: BodyTruth) -> None:
    persons = [a for a in truth.wholebody if a["num_keypoints"]]
    for part in ("foot", "face", "lefthand", "righthand"):
        share = np.mean([a[f"{part}_valid"] for a in persons])
        assert 0.3 < share < 0.95
        for annotation in persons:
            assert annotation[f"{part}_valid"] == _points(annotation, f"{part}_kpts")[:, 2].any()


def test_halpe_visibilities_are_fractions(truth: BodyTruth) -> None:
    persons = [_points(a) for a in truth.halpe]
    assert {points.shape for points in persons} == {(136, 3)}
    values = np.concatenate(persons)[:, 2]
    assert ((values == 0) | ((values >= 0.2) & (values <= 1))).all()
    # Both sides of 0.35, from which AlphaPose calls a joint visible.
    assert ((values > 0) & (values < 0.35)).any()
    assert (values > 0.6).mean() > 0.3


def test_halpe_and_wholebody_agree_by_name(truth: BodyTruth) -> None:
    halpe = keypoint_set("halpe_136").names
    order = [halpe.index(name) for name in WHOLEBODY_NAMES]
    for one, other in zip(truth.halpe, truth.wholebody, strict=True):
        assert np.array_equal(_points(one)[order, :2], _wholebody(other)[:, :2])
        assert np.array_equal(_points(one)[order, 2] > 0, _wholebody(other)[:, 2] > 0)
        assert np.array_equal(_points(one)[order, 2] >= 0.6, _wholebody(other)[:, 2] == 2)
        for field in ("bbox", "area", "iscrowd", "image_id", "num_keypoints"):
            assert one[field] == other[field]


def test_part_boxes_hold_their_points(truth: BodyTruth) -> None:
    for annotation in truth.wholebody:
        for part in ("face", "lefthand", "righthand"):
            points = _points(annotation, f"{part}_kpts")
            seen = points[points[:, 2] > 0, :2]
            x, y, w, h = annotation[f"{part}_box"]
            if not len(seen):
                assert [x, y, w, h] == [0, 0, 0, 0]
                continue
            assert np.array_equal(seen.min(0), [x, y])
            assert np.array_equal(seen.max(0), [x + w, y + h])


def test_mpii_counts_from_one_and_matches_halpe(truth: BodyTruth) -> None:
    halpe = keypoint_set("halpe_136").names
    same = {"pelvis": "hip", "thorax": "neck", "head": "head"}
    persons = iter(truth.mpii)
    for annotation in truth.halpe:
        if not annotation["num_keypoints"]:
            continue
        record, points = next(persons), _points(annotation)
        assert record["image"] == f"{annotation['image_id']:012d}.png"
        for k, name in enumerate(MPII_NAMES):
            if name == "neck":
                continue
            x, y, v = points[halpe.index(same.get(name, name))]
            assert record["joints_vis"][k] == (v > 0)
            assert record["joints"][k] == ([x + 1, y + 1] if v else [-1, -1])
        # HRNet's loader: down by 15 px per scale, then from 1-based to 0-based.
        x, y, w, h = annotation["bbox"]
        assert record["scale"] == max(w, h) / 200
        across, down = record["center"]
        assert abs(across - 1 - (x + w / 2)) <= 1
        assert abs(down + 15 * record["scale"] - 1 - (y + h / 2)) <= 1
    assert next(persons, None) is None


def test_mat_is_what_hrnets_evaluation_reads(truth: BodyTruth, tmp_path: Path) -> None:
    from scipy.io import loadmat

    (tmp_path / "gt.mat").write_bytes(truth.mpii_mat())
    mat = loadmat(tmp_path / "gt.mat")
    number = len(truth.mpii)
    assert [str(name[0]) for name in mat["dataset_joints"][0]] == list(MPII_MAT_NAMES)
    assert np.where(mat["dataset_joints"] == "head")[1][0] == MPII_NAMES.index("head")
    assert mat["pos_gt_src"].shape == (16, 2, number)
    joints = np.array([record["joints"] for record in truth.mpii])
    assert np.array_equal(mat["pos_gt_src"], joints.transpose(1, 2, 0))
    missing = 1 - np.array([record["joints_vis"] for record in truth.mpii]).T
    assert np.array_equal(mat["jnt_missing"], missing)
    assert mat["headboxes_src"].shape == (2, 2, number)
    sizes = mat["headboxes_src"][1] - mat["headboxes_src"][0]
    assert (sizes > 5).all()
    # The head box holds the labelled head top, or ends just below it.
    head = MPII_NAMES.index("head")
    for k, (left, top, right, bottom) in enumerate(truth.heads):
        if truth.mpii[k]["joints_vis"][head]:
            x, y = truth.mpii[k]["joints"][head]
            reach = 0.15 * (right - left)
            assert left - reach <= x <= right + reach
            assert top - reach <= y <= bottom + reach


# --- points and pictures ----------------------------------------------------------------------


def test_points_lie_on_the_person(truth: BodyTruth) -> None:
    sizes = {image["id"]: (image["width"], image["height"]) for image in truth.images}
    for annotation in truth.wholebody:
        points = _wholebody(annotation)
        assert (points[points[:, 2] == 0] == 0).all()
        x, y, w, h = annotation["bbox"]
        width, height = sizes[annotation["image_id"]]
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
        assert 0 < annotation["area"] <= w * h
        seen = points[points[:, 2] == 2, :2]
        # A pixel reaches half a px beyond its centre.
        assert (np.abs(seen - [x + (w - 1) / 2, y + (h - 1) / 2]) <= [w / 2, h / 2]).all()


def test_every_point_of_a_bare_body_lies_on_its_own_colour(bodies: list) -> None:
    """Painted alone, a body covers all of its points that face the viewer, but for its rims."""
    from posebench.synthetic.scene import Canvas, paint_figure

    covered, shown = np.zeros(POINTS), np.zeros(POINTS)
    for body in bodies:
        canvas = Canvas(400, 400)
        drawn = paint_figure(canvas, body.parts, 0, 256)
        points = (np.array(body.points) + UNIT // 2) // UNIT
        inside = ((points >= 0) & (points < 400)).all(1) & body.facing
        points = points.clip(0, 399)
        shown += inside
        covered += inside & drawn[points[:, 1], points[:, 0]]
    assert (shown > len(bodies) / 3).all()
    assert (covered >= 0.93 * shown).all()
    assert covered.sum() >= 0.99 * shown.sum()


def test_derived_points_stand_where_their_names_say(bodies: list) -> None:
    for body in bodies:
        points = np.array(body.points, float)
        middle = (points[L_SHOULDER] + points[R_SHOULDER]) / 2
        assert np.abs(points[NECK] - middle).max() <= 2
        assert np.abs(points[MID_HIP] - (points[11] + points[12]) / 2).max() <= 2
        (left, top), (right, bottom) = body.head_box
        centre = np.array([left + right, top + bottom]) / 2
        neck, head = centre - points[NECK], points[UPPER_NECK] - points[NECK]
        assert 0 <= head @ neck < neck @ neck
        radius = HEAD_RADIUS * 300 * UNIT / 1000
        assert np.linalg.norm(points[HEAD_TOP] - centre) < 1.2 * radius
        face = points[FACE : FACE + FACE_POINTS] - centre
        assert (np.linalg.norm(face, axis=1) < 1.3 * radius).all()


def test_face_is_its_own_mirror_image() -> None:
    """The mirror pairs of the keypoint set fit the face that is drawn."""
    swap = list(range(FACE_POINTS))
    for left, right in FACE_PAIRS:
        swap[left], swap[right] = right, left
    for number in range(20):
        face = np.array(face_points(PortableRng(f"face {number}")))
        mirrored = face[swap] * [-1, 1, 1]
        # Shifting a negative number rounds the other way.
        assert np.abs(face - mirrored).max() <= 2
    # From the person's right: negative x; brows above eyes above lips.
    assert face[0, 0] < 0 < face[16, 0]
    assert face[17:27, 1].max() < face[36:48, 1].min()
    assert face[36:48, 1].max() < face[48:68, 1].min()
    assert face[36:42, 0].max() < 0 < face[42:48, 0].min()


def test_hand_goes_on_from_the_forearm() -> None:
    assert len(HAND_NAMES) == 1 + 4 * len(FINGERS)
    for number in range(40):
        points = np.array(hand_points(PortableRng(f"hand {number}"), (0, 0, 0), (2000, 1000, 0)))
        along = (points - [2000, 1000]) @ [2, 1]
        assert along[0] > 0
        # Middle finger: each point farther out than the one before.
        assert (np.diff(along[[0, *range(9, 13)]]) > 0).all()
        tips = points[[4, 8, 12, 16, 20]]
        apart = np.linalg.norm(tips[:, None] - tips[None], axis=2)[~np.eye(5, dtype=bool)]
        assert apart.min() > 100


def test_both_hands_hang_on_their_own_wrists(bodies: list) -> None:
    for body in bodies:
        points = np.array(body.points, float)
        for first, wrist in ((LEFT_HAND, 9), (RIGHT_HAND, 10)):
            assert np.linalg.norm(points[first] - points[wrist]) < 0.02 * 300 * UNIT
            reach = np.linalg.norm(points[first : first + 21] - points[wrist], axis=1)
            assert reach.max() < 0.2 * 300 * UNIT


def test_left_is_at_the_right_of_a_person_who_faces_the_viewer(bodies: list) -> None:
    fronts = 0
    for body in bodies:
        points = body.points
        if body.frontal and abs(points[L_SHOULDER][0] - points[R_SHOULDER][0]) > 50 * UNIT:
            eye = points[FACE + 45][0] - points[FACE + 36][0]
            shoulder = points[L_SHOULDER][0] - points[R_SHOULDER][0]
            fronts += 1
            assert eye > 0
            assert shoulder > 0 or not all(body.facing[:5])
    assert fronts > 30


def test_mpii_names_fit_their_points() -> None:
    halpe = (*keypoint_set("halpe_136").names, "upper neck")
    names = [halpe[k] for k in MPII_POINTS]
    assert names == [
        *MPII_NAMES[:6],
        *("hip", "neck", "upper neck", "head"),
        *MPII_NAMES[10:],
    ]
