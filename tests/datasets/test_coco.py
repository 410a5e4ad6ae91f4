"""Reading annotations and boxes; sanitising as the references do it."""

from __future__ import annotations

import json

import make
import numpy as np
import plain
import pytest

from posebench.datasets.boxes import (
    clip_after_width,
    clip_before_width,
    detector_persons,
    ground_truth_persons,
    read_detections,
)
from posebench.datasets.coco import load_coco, restrict
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError

SPEC = InputSpec(size=(256, 192))


def load(root, **changes):
    file = root / "annotations" / "person_keypoints_val2017.json"
    arguments = {"dataset_id": "coco", "keypoint_set": "coco_17", "joints": 17}
    return load_coco(file, root / "val2017", **(arguments | changes))


def edit(root, change):
    file = root / "annotations" / "person_keypoints_val2017.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return root


@pytest.fixture
def root(tmp_path):
    return make.write_coco(tmp_path / "data")


def test_boxes_shrink_by_a_pixel_as_in_the_references():
    generator = np.random.default_rng(0)
    boxes = generator.uniform([-30, -30, 0, 0], [200, 160, 150, 150], (500, 4))
    width, height = np.full(500, 160), np.full(500, 120)
    cleaned, usable = clip_before_width(boxes, width, height)
    for box, ours, keep in zip(boxes, cleaned, usable, strict=True):
        expected = plain.hrnet_box(box, 160, 120)
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
    dataset = load(root)
    persons = ground_truth_persons(dataset, SPEC, "clip_before_width")
    assert (np.diff(persons.image_index) >= 0).all()
    assert persons.score.tolist() == [1.0] * len(persons)


def test_a_zero_area_person_is_left_out(root):
    edit(root, lambda c: c["annotations"][0].update(area=0))
    persons = ground_truth_persons(load(root), SPEC, "clip_before_width")
    assert 1 not in persons.person_id


def test_other_categories_are_no_persons(root):
    def change(content):
        content["categories"].append({"id": 7, "name": "dog"})
        content["annotations"][0]["category_id"] = 7

    assert 1 not in load(edit(root, change)).truth.id


def test_images_without_annotations_count(root):
    assert len(load(root).images) == 4


def test_restrict_keeps_the_first_images(root):
    dataset = load(root)
    first = restrict(dataset, 2)
    assert first.images.id.tolist() == [10, 11]
    assert set(first.truth.image_id) == {10}
    assert not first.complete
    assert restrict(dataset, 4) is dataset
    with pytest.raises(UserError, match="--limit 0"):
        restrict(dataset, 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("images"), "no COCO annotation file: it holds no 'images'"),
        (lambda c: c["images"].append(c["images"][0]), "image id 10 stands 2 times"),
        (lambda c: c["annotations"].append(c["annotations"][0]), "annotation id 1 stands 2"),
        (lambda c: c["annotations"][0].pop("bbox"), "bbox"),
        (lambda c: c["annotations"][0].update(keypoints=[1.0] * 48), "keypoint format"),
        (lambda c: c["annotations"][0].update(bbox="big"), "keypoint format"),
        (lambda c: c["images"][0].update(width=None), "keypoint format"),
    ],
)
def test_a_wrong_annotation_file_is_explained(root, change, words):
    with pytest.raises(UserError, match=words):
        load(edit(root, change))


@pytest.mark.parametrize("text", ["", "[1", "null", "[" * 100_000])
def test_no_json_is_explained(root, text):
    file = root / "annotations" / "person_keypoints_val2017.json"
    file.write_text(text)
    with pytest.raises(UserError, match=r"person_keypoints_val2017\.json"):
        load(root)


def write_boxes(root, rows):
    file = root / "boxes.json"
    file.write_text(json.dumps(rows))
    return file


def detection(**changes):
    return {"image_id": 12, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.5} | changes


def test_detections_of_persons_in_known_images_are_read(root):
    rows = [
        detection(),
        detection(image_id=10, score=0.9),
        detection(category_id=3),
        detection(image_id=77),
        detection(score=0.1, bbox=[0.5, 0.5, 0, 10]),
    ]
    dataset = load(root)
    found = read_detections(write_boxes(root, rows), dataset)
    assert (found.read, len(found)) == (5, 3)
    assert found.position.tolist() == [1, 0, 4]
    persons = detector_persons(found, dataset, SPEC, "none", 0.0)
    assert persons.person_id.tolist() == [1, 0]
    assert persons.box[1].tolist() == [1, 2, 30, 40], "a detector's box is taken as it is"
    assert detector_persons(found, dataset, SPEC, "none", 0.5).person_id.tolist() == [1, 0]
    assert detector_persons(found, dataset, SPEC, "none", 0.51).person_id.tolist() == [1]


@pytest.mark.parametrize(
    "rows",
    [
        {"a": 1},
        [3],
        [detection(bbox=[1, 2])],
        [detection(bbox=None)],
        [detection(score="high")],
        [detection(score=float("nan"))],
        [{"image_id": 12}],
        [detection(image_id=77)],
        [],
    ],
)
def test_a_wrong_box_file_is_explained(root, rows):
    dataset = load(root)
    with pytest.raises(UserError, match=r"boxes\.json"):
        read_detections(write_boxes(root, rows), dataset)
