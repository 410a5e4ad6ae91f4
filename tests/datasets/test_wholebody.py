"""COCO-WholeBody: lists of parts and one flat list, and the hands alone."""

from __future__ import annotations

import annotation_files as files
import numpy as np
import pytest
from refusals import refused

from posebench.datasets.coco import load_coco
from posebench.datasets.wholebody import load_hands, load_wholebody
from posebench.types.errors import UserError


def load(path):
    return load_wholebody(path, path.parent, dataset_id="wb", keypoint_set="wholebody_133")


def hands(path):
    return load_hands(path, path.parent, dataset_id="hands", keypoint_set="hand_21")


def same(one, other):
    """Whether two datasets are the same but for the file they come from."""
    left, right = vars(one.truth), vars(other.truth)
    return (
        all(np.array_equal(left[name], right[name]) for name in left if left[name] is not None)
        and one.images.file_name == other.images.file_name
        and np.array_equal(one.images.id, other.images.id)
    )


def test_parts_stand_in_the_published_order(tmp_path):
    content = files.wholebody(1)
    row = content["annotations"][0]
    truth = load(files.write(tmp_path / "wb.json", content)).truth
    found = truth.keypoints[0].reshape(-1).tolist()
    ends = np.cumsum([0, 51, 18, 204, 63, 63])
    for key, start, end in zip(("keypoints", *files.PARTS), ends, ends[1:], strict=False):
        assert found[start:end] == row[key], key


def test_both_forms_give_the_same_dataset(tmp_path):
    content = files.wholebody(5)
    parts = load(files.write(tmp_path / "a" / "wb.json", content))
    flat = load(files.write(tmp_path / "b" / "wb.json", files.flat(content)))
    assert same(parts, flat)
    assert parts.truth.num_keypoints.tolist() == (
        (parts.truth.keypoints[:, :, 2] > 0).sum(axis=1).tolist()
    )
    assert parts.annotations_sha256 != flat.annotations_sha256


def test_a_part_that_is_not_there_is_not_labelled(tmp_path):
    content = files.wholebody(2)
    del content["annotations"][0]["face_kpts"]
    truth = load(files.write(tmp_path / "wb.json", content)).truth
    row = truth.id.tolist().index(40)
    assert not truth.keypoints[row, 23:91].any()
    assert truth.keypoints[row, 91:].any()


def test_a_part_of_another_length_is_named(tmp_path):
    content = files.wholebody(3)
    content["annotations"][2]["face_kpts"] = [1.0] * 203
    with pytest.raises(UserError, match="annotation 42 has 203 numbers in face_kpts"):
        load(files.write(tmp_path / "wb.json", content))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (files.coco(17), r"17 keypoints a person \(COCO\)"),
        (files.coco(136), r"136 keypoints a person \(Halpe\)"),
        (files.mpii(), "MPII's list"),
        ({"images": []}, "no 'images' and 'annotations'"),
    ],
)
def test_another_file_is_called_by_its_name(tmp_path, content, words):
    path = files.write(tmp_path / "file.json", content)
    with pytest.raises(UserError, match=words):
        load(path)
    with pytest.raises(UserError, match=words):
        hands(path)


def test_the_body_of_a_wholebody_file_is_a_coco_file(tmp_path):
    content = files.wholebody(3)
    path = files.write(tmp_path / "wb.json", content)
    body = load_coco(path, tmp_path, dataset_id="coco", keypoint_set="coco_17").truth
    assert np.array_equal(body.keypoints, load(path).truth.keypoints[:, :17])


def test_every_valid_hand_is_a_row_of_its_own(tmp_path):
    content = files.wholebody(3)
    content["annotations"][0]["iscrowd"] = 1
    dataset = hands(files.write(tmp_path / "wb.json", content))
    truth, rows = dataset.truth, {row["id"]: row for row in content["annotations"]}
    # persons 40 and 42 have both hands, 41 the left one; image 7 comes first
    assert truth.id.tolist() == [82, 80, 81, 84, 85]
    assert truth.image_id.tolist() == [7, 5, 5, 5, 5]
    for number, hand in enumerate(truth.id.tolist()):
        person, side = rows[hand // 2], ("lefthand", "righthand")[hand % 2]
        assert truth.box[number].tolist() == person[f"{side}_box"]
        assert truth.area[number] == person[f"{side}_box"][2] * person[f"{side}_box"][3]
        assert truth.keypoints[number].reshape(-1).tolist() == person[f"{side}_kpts"]
    assert truth.crowd.tolist() == [False, True, True, False, False]
    assert dataset.keypoint_set == "hand_21"


@pytest.mark.parametrize("box", [[], [1, 2], "box", None, [1, 2, -3, 4], [1, 2, float("nan"), 4]])
def test_a_hand_without_a_box_is_explained(tmp_path, box):
    content = files.wholebody()
    content["annotations"][0]["lefthand_box"] = box
    with pytest.raises(UserError, match="keypoint format"):
        hands(files.write(tmp_path / "wb.json", content))


def test_a_file_of_hands_is_taken_as_it_is(tmp_path):
    content = files.coco(21)
    truth = hands(files.write(tmp_path / "hands.json", content)).truth
    assert truth.id.tolist() == [41, 40, 42]
    assert truth.keypoints.shape == (3, 21, 3)


def test_merged_parts_have_no_boxes_of_hands(tmp_path):
    path = files.write(tmp_path / "flat.json", files.flat(files.wholebody()))
    with refused("hands", "boxes"):
        hands(path)


def test_the_real_sample(shared):
    path = shared / "data" / "samples" / "coco" / "test_coco_wholebody.json"
    truth = load(path).truth
    assert truth.keypoints.shape == (14, 133, 3)
    # body 17, feet 6, face 68, right hand 21 of the first person
    assert truth.num_keypoints[0] == 17 + 6 + 68 + 21
    found = hands(path).truth
    # twice the person's id, plus one for right hands: the sides the file calls valid
    people, sides = (found.id // 2).tolist(), (found.id % 2).tolist()
    assert people[:5] == [442619, 198196, 460541, 460541, 488308]
    assert sides == [1, 0, 0, 1, 0, 0, 1, 1, 0, 1]
    assert found.box[0].tolist() == [280.43, 173.12, 27.860000000000014, 24.849999999999994]
    assert (found.num_keypoints == 21).all()
