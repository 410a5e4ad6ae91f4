"""Which persons each zoo crops, and where: sanitising, MPII's centres, whole-pixel boxes."""

from __future__ import annotations

import annotation_files as files
import make
import numpy as np
import pytest
import reference_boxes
import reference_steps
from hypothesis import given
from hypothesis import strategies as st

from posebench.datasets.boxes import (
    SANITISERS,
    alpha_pose_box,
    annotation_persons,
    clip_after_width,
    clip_before_width,
    detector_persons,
    ground_truth_persons,
)
from posebench.datasets.coco import load_coco
from posebench.datasets.detections import read_detections
from posebench.datasets.halpe import load_halpe
from posebench.datasets.mpii import load_mpii
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError

SPEC = InputSpec(size=(256, 192))
WHOLE_PIXELS = InputSpec(size=(320, 256), crop="alpha_pose_box", pixel_std=1.0)


@pytest.fixture
def root(tmp_path):
    return make.write_coco(tmp_path / "data")


def load(root, keypoints="coco_17"):
    file = root / "annotations" / "person_keypoints_val2017.json"
    return load_coco(file, root / "val2017", dataset_id="coco", keypoint_set=keypoints)


def load_content(tmp_path, content, keypoints="coco_17"):
    path = files.write(tmp_path / "file.json", content)
    return load_coco(path, tmp_path, dataset_id="coco", keypoint_set=keypoints)


# --- ground truth ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clip", "reference"),
    [
        (clip_before_width, reference_steps.hrnet_box),
        (clip_after_width, reference_boxes.clip_after_width),
    ],
)
def test_boxes_shrink_by_a_pixel_as_in_the_references(clip, reference):
    generator = np.random.default_rng(0)
    boxes = generator.uniform([-30, -30, 0, 0], [200, 160, 150, 150], (500, 4))
    width, height = np.full(500, 160), np.full(500, 120)
    cleaned, usable = clip(boxes, width, height)
    for box, ours, keep in zip(boxes, cleaned, usable, strict=True):
        expected = reference(box, 160, 120)
        assert keep == (expected is not None)
        if keep:
            assert ours.tolist() == list(expected)
    assert 0 < usable.sum() < 500


def test_clipping_before_or_after_the_width_differs_left_of_the_image():
    box = np.array([[-10.0, 5.0, 50.0, 40.0]])
    before, _ = clip_before_width(box, np.array([100]), np.array([100]))
    after, _ = clip_after_width(box, np.array([100]), np.array([100]))
    assert before[0].tolist() == [0, 5, 49, 39]
    assert after[0].tolist() == [0, 5, 39, 39]


def test_a_box_of_one_pixel_is_kept_by_one_rule_only():
    box = np.array([[10.0, 5.0, 1.0, 1.0]])
    assert clip_before_width(box, np.array([100]), np.array([100]))[1].all()
    assert not clip_after_width(box, np.array([100]), np.array([100]))[1].any()


def test_persons_come_image_by_image(root):
    persons = ground_truth_persons(load(root), SPEC, "clip_before_width")
    assert (np.diff(persons.image_index) >= 0).all()
    assert persons.score.tolist() == [1.0] * len(persons)


@pytest.mark.parametrize("sanitise", SANITISERS)
def test_a_box_without_area_is_nobody(tmp_path, sanitise):
    content = files.coco(17)
    content["annotations"][1]["bbox"] = [10.0, 10.0, 0.0, 20.0]
    dataset = load_content(tmp_path, content)
    assert 41 in dataset.truth.id, "it stays in the ground truth"
    kept = ground_truth_persons(dataset, SPEC, sanitise).person_id
    # HRNet's rule leaves a line where the box was, and keeps it
    assert (41 in kept) == (sanitise == "clip_before_width")


@pytest.mark.parametrize(
    ("sanitise", "kept"),
    [
        ("clip_before_width", False),
        ("clip_after_width", False),
        ("none", False),
        ("clip_after_width_visible", True),
    ],
)
def test_only_alphapose_s_whole_body_rule_does_not_ask_for_the_annotated_area(
    tmp_path, sanitise, kept
):
    content = files.coco(17)
    content["annotations"][1]["area"] = 0.0
    persons = ground_truth_persons(load_content(tmp_path, content), SPEC, sanitise)
    assert (41 in persons.person_id) == kept


def visible(values):
    """17 joints of which the first have these visibilities."""
    numbers = [0.0] * 51
    for joint, value in enumerate(values):
        numbers[3 * joint : 3 * joint + 3] = [30.0, 40.0, value]
    return numbers


@pytest.mark.parametrize(
    ("values", "before", "after", "trusted"),
    [
        ([2.0], True, True, True),
        ([0.35, 0.1], True, True, True),
        ([0.34, 0.1], True, True, False),
        # positions, but not one joint that is labelled
        ([0.0, 0.0], True, False, False),
        ([], False, False, False),
    ],
)
def test_how_sure_a_joint_must_be(tmp_path, values, before, after, trusted):
    content = files.coco(17)
    content["annotations"][1]["keypoints"] = visible(values)
    dataset = load_content(tmp_path, content)
    for sanitise, kept in (
        ("clip_before_width", before),
        ("clip_after_width", after),
        ("clip_after_width_visible", trusted),
    ):
        persons = ground_truth_persons(dataset, SPEC, sanitise)
        assert (41 in persons.person_id) == kept, sanitise


@pytest.mark.parametrize("keypoints", ["halpe_136", "halpe_26", "noface_68"])
def test_alphapose_s_whole_body_rule_wants_a_body_joint(tmp_path, keypoints):
    content = files.coco(136)
    for number, first in enumerate((0, 17, 100)):
        row = [0.0] * 408
        row[3 * first : 3 * first + 3] = [30.0, 40.0, 1.0]
        content["annotations"][number]["keypoints"] = row
    path = files.write(tmp_path / "halpe.json", content)
    dataset = load_halpe(path, tmp_path, dataset_id="halpe", keypoint_set=keypoints)
    found = ground_truth_persons(dataset, SPEC, "clip_after_width_visible").person_id
    assert found.tolist() == [40], "neither the head's top nor a hand is one of COCO's 17"
    assert len(ground_truth_persons(dataset, SPEC, "clip_after_width")) > 1


def test_hands_have_no_body_joint_to_ask_for(tmp_path):
    dataset = load_content(tmp_path, files.coco(21), "hand_21")
    assert len(ground_truth_persons(dataset, SPEC, "clip_after_width_visible")) == 3


# --- dummy boxes -------------------------------------------------------------------------------


def test_an_image_in_which_nobody_is_left_gets_a_dummy(tmp_path):
    content = files.coco(17, persons=2)
    content["images"] += [
        {"id": 90, "file_name": "90.jpg", "width": 30, "height": 20},
        {"id": 91, "file_name": "91.jpg", "width": 30, "height": 20},
    ]
    nobody = dict(content["annotations"][0], id=60, image_id=90, keypoints=[0] * 51)
    crowd = dict(content["annotations"][0], id=61, image_id=91, iscrowd=1)
    content["annotations"] += [nobody, crowd]
    dataset = load_content(tmp_path, content)
    persons = ground_truth_persons(dataset, SPEC, "clip_after_width", dummy=True)
    # image rows 0 (id 7) and 1 (id 5) have a person each
    assert persons.image_index.tolist() == [0, 1, 2, 3]
    assert persons.person_id.tolist() == [41, 40, -3, -4]
    assert persons.box[2:].tolist() == [[-1, -1, 1, 1]] * 2
    assert persons.score.tolist() == [1.0] * 4
    without = ground_truth_persons(dataset, SPEC, "clip_after_width")
    assert without.person_id.tolist() == [41, 40]


def test_dummies_are_five_pixels_at_the_origin(tmp_path):
    dataset = load_content(tmp_path, files.coco(17, persons=0))
    persons = ground_truth_persons(dataset, WHOLE_PIXELS, "clip_after_width", dummy=True)
    assert persons.box.tolist() == [[0, 0, 5, 5]] * 2
    assert persons.centre.tolist() == [[2.5, 2.5]] * 2
    assert persons.scale.tolist() == [[5, 5]] * 2


@pytest.mark.parametrize(
    ("clean", "sanitise"), [("before", "clip_before_width"), ("after", "clip_after_width")]
)
@pytest.mark.parametrize("dummy", [False, True])
def test_the_made_up_dataset_against_a_reference_walk(root, clean, sanitise, dummy):
    import json

    content = json.loads((root / "annotations" / "person_keypoints_val2017.json").read_text())
    expected = reference_boxes.annotated(content["annotations"], content["images"], clean, dummy)
    persons = ground_truth_persons(load(root), SPEC, sanitise, dummy=dummy)
    assert persons.person_id.tolist() == [person["id"] for person in expected]
    assert persons.box.tolist() == [list(person["box"]) for person in expected]


# --- whole-pixel boxes -------------------------------------------------------------------------


@given(
    x=st.floats(-20, 200),
    y=st.floats(-20, 200),
    w=st.floats(0, 250),
    h=st.floats(0, 250),
    width=st.integers(8, 260),
    height=st.integers(8, 260),
)
def test_whole_pixel_boxes_are_gluon_s(x, y, w, h, width, height):
    box = clip_after_width(np.array([[x, y, w, h]]), np.array([width]), np.array([height]))[0]
    found = alpha_pose_box(box, np.array([width]), np.array([height]))
    assert found.dtype == np.int64
    assert tuple(found[0].tolist()) == reference_boxes.whole_pixel_box(box[0], width, height)


def test_a_box_wider_than_100_pixels_grows_less():
    size = np.array([1000, 1000]), np.array([1000, 1000])
    box = np.array([[400.0, 400.0, 100.0, 50.0], [400.0, 400.0, 101.0, 50.0]])
    assert alpha_pose_box(box, *size).tolist() == [[385, 392, 515, 457], [389, 395, 511, 455]]


def test_many_boxes_at_once_are_the_boxes_one_by_one():
    generator = np.random.default_rng(5)
    box = generator.uniform([0, 0, 1, 1], [150, 90, 160, 120], (300, 4))
    width, height = generator.integers(100, 200, (2, 300))
    box, _ = clip_after_width(box, width, height)
    found = alpha_pose_box(box, width, height)
    for row, each in enumerate(found.tolist()):
        assert tuple(each) == reference_boxes.whole_pixel_box(box[row], width[row], height[row])


def test_persons_hold_the_whole_pixel_box(root):
    dataset = load(root)
    rough = ground_truth_persons(dataset, SPEC, "clip_after_width")
    persons = ground_truth_persons(dataset, WHOLE_PIXELS, "clip_after_width")
    assert persons.person_id.tolist() == rough.person_id.tolist()
    images = dataset.images
    for row in range(len(persons)):
        index = persons.image_index[row]
        left, top, right, bottom = reference_boxes.whole_pixel_box(
            rough.box[row], int(images.width[index]), int(images.height[index])
        )
        assert persons.box[row].tolist() == [left, top, right - left, bottom - top]
        assert persons.centre[row].tolist() == [(left + right) / 2, (top + bottom) / 2]
        assert persons.scale[row].tolist() == [right - left, bottom - top]


def test_detected_persons_hold_the_whole_pixel_box_too(root):
    dataset = load(root)
    rows = [{"image_id": 12, "category_id": 1, "bbox": [5.5, 6, 60, 70], "score": 0.5}]
    found = read_detections(files.write(root / "boxes.json", rows), dataset)
    persons = detector_persons(found, dataset, WHOLE_PIXELS, "none", 0.0)
    width, height = dataset.images.width[2], dataset.images.height[2]
    left, top, right, bottom = reference_boxes.whole_pixel_box([5.5, 6, 60, 70], width, height)
    assert persons.box.tolist() == [[left, top, right - left, bottom - top]]


# --- MPII --------------------------------------------------------------------------------------


def mpii(tmp_path, rows):
    path = files.write(tmp_path / "valid.json", rows)
    return load_mpii(path, tmp_path, dataset_id="mpii", keypoint_set="mpii_16")


def test_mpii_s_persons_stand_where_hrnet_puts_them(tmp_path):
    rows = files.mpii(5)
    rows[3]["center"] = [-1.0, -1.0]
    persons = annotation_persons(mpii(tmp_path, rows), InputSpec(size=(256, 256)))
    for row, person in enumerate(rows):
        centre, scale = np.array(person["center"], np.float32), np.float32(person["scale"])
        if centre[0] != -1:
            centre[1] = float(centre[1]) + 15 * float(scale)
            scale = scale * np.float32(1.25)
        assert persons.centre[row].tolist() == (centre - np.float32(1)).tolist()
        assert persons.scale[row].tolist() == [scale, scale]
    assert persons.person_id.tolist() == [0, 1, 2, 3, 4]
    assert persons.image_index.tolist() == [0, 0, 1, 2, 3]
    assert persons.source == "annotation"
    assert persons.centre.dtype == persons.scale.dtype == np.float32


def test_mpii_s_numbers_once_by_hand(tmp_path):
    rows = files.mpii(1)
    rows[0] |= {"center": [300.0, 200.0], "scale": 2.0}
    persons = annotation_persons(mpii(tmp_path, rows), InputSpec(size=(256, 256)))
    # 200 + 15 * 2 - 1; 2 * 1.25; a square of 400 px
    assert persons.centre.tolist() == [[299.0, 229.0]]
    assert persons.scale.tolist() == [[2.5, 2.5]]
    assert persons.box.tolist() == [[99.0, 29.0, 400.0, 400.0]]
    pixels = annotation_persons(mpii(tmp_path, rows), InputSpec(size=(256, 256), pixel_std=1.0))
    assert pixels.scale.tolist() == [[500.0, 500.0]]


def test_a_dataset_of_boxes_has_no_centres(root):
    with pytest.raises(UserError, match="annotates boxes, not the centre") as caught:
        annotation_persons(load(root), SPEC)
    assert "--boxes gt" in caught.value.hint


def test_the_real_sample_of_mpii(shared):
    path = shared / "data" / "samples" / "mpii" / "test_mpii.json"
    dataset = load_mpii(path, path.parent, dataset_id="mpii", keypoint_set="mpii_16")
    persons = annotation_persons(dataset, InputSpec(size=(256, 256)))
    assert persons.centre[0].tolist() == [965.0, np.float32(340 + 15 * 4.718488 - 1)]
    assert persons.scale[0, 0] == np.float32(1.25) * np.float32(4.718488)
