"""Halpe's 136 keypoints, and the sets picked out of them by name."""

from __future__ import annotations

import annotation_files as files
import numpy as np
import pytest

from posebench.datasets.halpe import load_halpe
from posebench.types.errors import UserError


def load(path, keypoints="halpe_136"):
    return load_halpe(path, path.parent, dataset_id="halpe", keypoint_set=keypoints)


def points(content):
    """Persons of a file as the reader orders them: by image, then by place."""
    order = [image["id"] for image in content["images"]]
    rows = sorted(content["annotations"], key=lambda row: order.index(row["image_id"]))
    return np.array([row["keypoints"] for row in rows]).reshape(len(rows), -1, 3)


def test_all_136_keypoints_with_fractional_visibilities(tmp_path):
    content = files.coco(136)
    truth = load(files.write(tmp_path / "halpe.json", content)).truth
    assert np.array_equal(truth.keypoints, points(content))
    assert 0.3 in truth.keypoints[:, :, 2]


@pytest.mark.parametrize(
    ("keypoints", "places"),
    [("halpe_26", [*range(26)]), ("noface_68", [*range(26), *range(94, 136)])],
)
def test_smaller_sets_are_picked_and_counted_anew(tmp_path, keypoints, places):
    content = files.coco(136)
    dataset = load(files.write(tmp_path / "halpe.json", content), keypoints)
    assert dataset.keypoint_set == keypoints
    expected = points(content)[:, places]
    assert np.array_equal(dataset.truth.keypoints, expected)
    # the file says 3 everywhere, and it means other joints
    assert dataset.truth.num_keypoints.tolist() == (expected[:, :, 2] > 0).sum(axis=1).tolist()


@pytest.mark.parametrize(("keypoints", "joints"), [("halpe_26", 26), ("noface_68", 68)])
def test_a_file_of_the_wanted_keypoints_alone_is_taken_as_it_is(tmp_path, keypoints, joints):
    content = files.coco(joints)
    truth = load(files.write(tmp_path / "part.json", content), keypoints).truth
    assert np.array_equal(truth.keypoints, points(content))


@pytest.mark.parametrize(
    ("content", "keypoints", "words"),
    [
        (files.wholebody(), "halpe_136", "COCO-WholeBody annotations, not Halpe's"),
        (files.flat(files.wholebody()), "halpe_136", "133 keypoints .*in one flat list"),
        (files.coco(17), "halpe_136", r"17 keypoints a person \(COCO\)"),
        (files.coco(26), "halpe_136", "26 keypoints"),
        (files.coco(26), "noface_68", "of 136 or 68 keypoints"),
        (files.coco(135), "halpe_26", "135 keypoints"),
        (files.mpii(), "halpe_136", "MPII's list of persons"),
        (files.coco(136), "mpii_16", "every keypoint of mpii_16"),
        (files.coco(136), "hand_21", "every keypoint of hand_21"),
    ],
)
def test_another_file_is_called_by_its_name(tmp_path, content, keypoints, words):
    path = files.write(tmp_path / "file.json", content)
    with pytest.raises(UserError, match=words):
        load(path, keypoints)


def test_one_person_with_other_numbers_is_named(tmp_path):
    content = files.coco(136)
    content["annotations"][1]["keypoints"] = [1.0] * 51
    with pytest.raises(UserError, match=r"annotation 41 has 51 numbers .* instead of 408"):
        load(files.write(tmp_path / "file.json", content))


def test_a_person_without_keypoints_is_not_labelled(tmp_path):
    content = files.coco(136)
    del content["annotations"][1]["keypoints"]
    truth = load(files.write(tmp_path / "file.json", content)).truth
    row = truth.id.tolist().index(41)
    assert truth.num_keypoints[row] == 0
    assert not truth.keypoints[row].any()


def test_images_without_any_person_are_a_dataset_without_persons(tmp_path):
    content = files.coco(136, persons=0)
    dataset = load(files.write(tmp_path / "file.json", content), "halpe_26")
    assert (len(dataset.images), len(dataset.truth)) == (2, 0)
    assert dataset.truth.keypoints.shape == (0, 26, 3)


def test_the_real_sample(shared):
    path = shared / "data" / "samples" / "halpe" / "test_halpe.json"
    whole, part = load(path), load(path, "halpe_26")
    assert len(whole.images) == 4
    assert whole.truth.id[:3].tolist() == [442619, 198196, 230195]
    assert whole.truth.num_keypoints[:4].tolist() == [55, 80, 84, 0]
    assert part.truth.num_keypoints.max() <= 26
    assert np.array_equal(part.truth.keypoints, whole.truth.keypoints[:, :26])
