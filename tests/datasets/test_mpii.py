"""MPII's persons: HRNet's and mmpose's names, joints and head boxes, and files that are neither."""

from __future__ import annotations

import hashlib

import annotation_files as files
import numpy as np
import pytest
from refusals import refused

from posebench.datasets.mpii import head_file, load_mpii
from posebench.datasets.sample import restrict
from posebench.types.dataset import Sample
from posebench.types.errors import UserError


@pytest.fixture
def rows():
    return files.mpii()


def load(path, **changes):
    return load_mpii(path, path.parent, **({"dataset_id": "mpii", "keypoint_set": "mpii_16"}))


def write(tmp_path, rows, mat=None, name="valid.json", beside="gt_valid.mat"):
    path = files.write(tmp_path / "annot" / name, rows)
    if mat is not None:
        path.with_name(beside).write_bytes(mat)
    return path


def test_rows_stay_in_the_order_of_the_file(tmp_path, rows):
    dataset = load(write(tmp_path, rows))
    truth, images = dataset.truth, dataset.images
    assert truth.id.tolist() == [0, 1, 2, 3]
    assert images.file_name == ("b.jpg", "a.jpg", "c.jpg")
    assert images.id.tolist() == [1, 2, 3]
    assert truth.image_id.tolist() == [1, 1, 2, 3]
    assert not images.width.any() and not images.height.any()
    assert not truth.crowd.any() and not truth.ignore.any()


def test_without_head_boxes_the_joints_are_the_list_s(tmp_path, rows):
    truth = load(write(tmp_path, rows)).truth
    assert truth.keypoints[:, :, :2].tolist() == [row["joints"] for row in rows]
    assert truth.keypoints[:, :, 2].tolist() == [row["joints_vis"] for row in rows]
    assert truth.num_keypoints.tolist() == [sum(row["joints_vis"]) for row in rows]
    assert truth.head_size is None


def test_centre_and_scale_are_as_annotated_and_the_box_is_their_square(tmp_path, rows):
    truth = load(write(tmp_path, rows)).truth
    assert truth.centre.tolist() == [row["center"] for row in rows]
    assert truth.scale.tolist() == [row["scale"] for row in rows]
    for row, box, area in zip(rows, truth.box, truth.area, strict=True):
        side = 200 * row["scale"]
        assert box == pytest.approx(
            [row["center"][0] - side / 2, row["center"][1] - side / 2, side, side]
        )
        assert area == pytest.approx(side * side)


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("valid.json", "gt_valid.mat"),
        ("mpii_val.json", "mpii_gt_val.mat"),
        ("mine.json", "gt_mine.mat"),
        ("mine.json", "gt_valid.mat"),
        ("mine.json", "mpii_gt_val.mat"),
    ],
)
def test_head_boxes_are_found_under_both_zoos_names(tmp_path, rows, name, beside):
    path = write(tmp_path, rows, files.heads(rows), name, beside)
    assert head_file(path) == path.with_name(beside)
    truth = load(path).truth
    assert truth.head_size.tolist() == [5.0] * 4, "the diagonal, without PCKh's factor"
    # the file of head boxes is what the score is computed against, not the list
    assert truth.keypoints[:, :, :2] == pytest.approx(
        np.array([row["joints"] for row in rows]) + 0.25
    )
    assert truth.keypoints[:, :, 2].tolist() == [row["joints_vis"] for row in rows]


def test_the_split_s_own_head_boxes_go_first(tmp_path, rows):
    path = write(tmp_path, rows, files.heads(rows), "train.json", "gt_valid.mat")
    own = path.with_name("gt_train.mat")
    own.write_bytes(path.with_name("gt_valid.mat").read_bytes())
    assert head_file(path) == own


def test_joints_in_another_order_are_put_into_ours(tmp_path, rows):
    first = load(write(tmp_path / "a", rows, files.heads(rows))).truth
    turned = files.SPELLINGS[5:] + files.SPELLINGS[:5]
    other = load(write(tmp_path / "b", rows, files.heads(rows, turned))).truth
    assert np.array_equal(first.keypoints, other.keypoints)


def test_one_person_is_enough(tmp_path):
    rows = files.mpii(1)
    truth = load(write(tmp_path, rows, files.heads(rows))).truth
    assert truth.keypoints.shape == (1, 16, 3)
    assert truth.head_size.tolist() == [5.0]


def test_the_digest_covers_both_files(tmp_path, rows):
    path = write(tmp_path, rows)
    alone = load(path).annotations_sha256
    assert alone == hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name("gt_valid.mat").write_bytes(files.heads(rows))
    together = load(path)
    both = path.read_bytes() + path.with_name("gt_valid.mat").read_bytes()
    assert together.annotations_sha256 == hashlib.sha256(both).hexdigest() != alone
    assert together.annotations_file == "valid.json"


def test_a_missing_joint_may_stand_nowhere(tmp_path, rows):
    rows[0]["joints_vis"][3] = 0
    position = np.array([row["joints"] for row in rows]).transpose(1, 2, 0)
    position[3, :, 0] = np.nan
    truth = load(write(tmp_path, rows, files.heads(rows, pos_gt_src=position))).truth
    assert truth.keypoints[0, 3].tolist() == [0, 0, 0]


FIRST = Sample(limit=2, order="file")


def test_the_first_images_keep_centre_scale_and_heads(tmp_path, rows):
    dataset = restrict(load(write(tmp_path, rows, files.heads(rows))), FIRST)
    assert dataset.images.file_name == ("b.jpg", "a.jpg")
    assert dataset.truth.id.tolist() == [0, 1, 2]
    assert dataset.truth.scale.tolist() == [row["scale"] for row in rows[:3]]
    assert len(dataset.truth.head_size) == 3
    without = restrict(load(write(tmp_path / "other", rows)), FIRST)
    assert without.truth.head_size is None


def changed(key, value):
    return lambda rows: rows[2].update({key: value})


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda rows: rows[2].pop("joints"), ("person 2", "joints")),
        (changed("joints", [[1, 2]] * 15), ("person 2", "30", "joints", "32")),
        (changed("joints", [[1, float("nan")]] * 16), ("person 2", "nan", "joints")),
        (changed("joints_vis", "all"), ("person 2", "'all'", "joints_vis", "list of 16")),
        (changed("center", [1, 2, 3]), ("person 2", "3", "center", "2")),
        (changed("center", [float("inf"), 2]), ("person 2", "inf", "center")),
        (changed("scale", None), ("person 2", "null", "scale", "finite number")),
        (changed("scale", -1), ("person 2", "-1", "scale", "0.0001", "1,000,000")),
        (changed("scale", 0), ("person 2", "0", "scale")),
        (changed("scale", 1e300), ("person 2", "1e+300", "scale")),
        (changed("scale", "1.5"), ("person 2", "'1.5'", "scale", "finite number")),
        (changed("scale", True), ("person 2", "true", "scale", "finite number")),
        (changed("center", ["1", "2"]), ("person 2", "'1'", "center", "finite number")),
        (changed("joints", [["1", "2"]] * 16), ("person 2", "'1'", "joints")),
        (changed("joints", ["12"] * 16), ("person 2", "joints", "list of 16")),
        (changed("joints_vis", [0.5] * 16), ("person 2", "joints_vis", "0", "1")),
        (changed("joints_vis", [True] * 16), ("person 2", "true", "joints_vis")),
        (changed("image", 5), ("person 2", "5", "image", "text")),
        (changed("image", "\ud800.jpg"), ("person 2", r"'\ud800.jpg'", "Unicode")),
        (lambda rows: rows.append("nobody"), ("person 4", "'nobody'", "object")),
    ],
)
def test_a_wrong_row_is_named(tmp_path, rows, change, names):
    change(rows)
    with refused(*names):
        load(write(tmp_path, rows))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (files.coco(17), r"17 keypoints a person \(COCO\)"),
        ([{"image_id": 1, "bbox": [1, 2, 3, 4], "score": 1}], "detected boxes"),
        ([], "an empty list"),
        ([1, 2], "a list of other things"),
        (3, "a single int"),
    ],
)
def test_another_kind_of_file_is_called_by_its_name(tmp_path, content, words):
    with pytest.raises(UserError, match=words) as caught:
        load(write(tmp_path, content))
    assert "valid.json" in caught.value.hint


def test_lists_of_two_splits_do_not_go_together(tmp_path, rows):
    path = write(tmp_path, rows, files.heads(rows[:3]))
    with pytest.raises(UserError, match=r"lists 4 persons, .*gt_valid\.mat beside it 3"):
        load(path)


def broken(rows):
    """Files of head boxes that are wrong, and what the sentence says."""
    good = files.heads(rows)
    position = np.array([row["joints"] for row in rows]).transpose(1, 2, 0)
    box = np.zeros((2, 2, len(rows)))
    rows[0]["joints_vis"] = [1] * 16
    nowhere = position.copy()
    nowhere[2, 0, 0] = np.inf
    return [
        (b"", "not a MATLAB file"),
        (b"not a matlab file at all, but long enough to look at" * 9, "not a MATLAB file"),
        (good[:200], "not a MATLAB file"),
        (good[:128] + b"\xff" * 400, "not a MATLAB file"),
        (files.heads(rows, pos_gt_src=None), "lacks pos_gt_src"),
        (files.heads(rows, headboxes_src=None, jnt_missing=None), "jnt_missing, headboxes_src"),
        (files.heads(rows, pos_gt_src=position[:15]), "pos_gt_src has the shape"),
        (files.heads(rows, pos_gt_src=position[..., :3]), "3, 4 persons at once"),
        (files.heads(rows, headboxes_src=box), "head box without size"),
        (files.heads(rows, headboxes_src=box + np.nan), "head box without size"),
        (files.heads(rows, jnt_missing=np.full((16, 4), 2)), "neither 0 nor 1"),
        (files.heads(rows, pos_gt_src=nowhere), "no finite position"),
        (files.heads(rows, dataset_joints=np.array([["nose"] * 16], object)), "nose"),
        (files.heads(rows, pos_gt_src="far away"), "pos_gt_src does not hold numbers"),
        (files.heads(rows, pos_gt_src=position + 1e300), "no finite position"),
    ]


@pytest.mark.parametrize("case", range(15))
def test_a_wrong_file_of_head_boxes_is_one_clear_sentence(tmp_path, rows, case):
    data, words = broken(rows)[case]
    with pytest.raises(UserError, match=words) as caught:
        load(write(tmp_path, rows, data))
    assert "gt_valid.mat" in str(caught.value)
    assert "\n" not in caught.value.message


def test_every_case_above_is_run(rows):
    assert len(broken(rows)) == 15


def test_a_file_too_large_for_head_boxes_is_not_parsed(tmp_path, rows, monkeypatch):
    monkeypatch.setattr("posebench.datasets.mpii.LARGEST_MAT", 100)
    with refused("gt_valid.mat", "head boxes"):
        load(write(tmp_path, rows, files.heads(rows)))


def test_the_real_sample(shared):
    dataset = load(shared / "data" / "samples" / "mpii" / "test_mpii.json")
    truth = dataset.truth
    assert (len(truth), len(dataset.images)) == (5, 5)
    assert dataset.images.file_name[0] == "005808361.jpg"
    assert truth.centre[0].tolist() == [966.0, 340.0]
    assert truth.scale[0] == 4.718488
    assert truth.keypoints[0, 9].tolist() == [962.2409, 80.0306, 1]
    assert truth.head_size is None
    assert all(dataset.images.path(row).is_file() for row in range(5))
