"""A detector's file of boxes, right and wrong."""

from __future__ import annotations

import annotation_files as files
import pytest
from refusals import refused

from posebench.datasets.boxes import detector_persons
from posebench.datasets.coco import load_coco
from posebench.datasets.detections import read_detections
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError

SPEC = InputSpec(size=(256, 192))


@pytest.fixture
def dataset(tmp_path):
    path = files.write(tmp_path / "coco.json", files.coco(17))
    return load_coco(path, tmp_path, dataset_id="coco", keypoint_set="coco_17")


def detection(**changes):
    return {"image_id": 5, "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.5} | changes


def read(dataset, tmp_path, rows):
    return read_detections(files.write(tmp_path / "boxes.json", rows), dataset)


def test_detections_of_persons_in_known_images_are_read(dataset, tmp_path):
    rows = [
        detection(),
        detection(image_id=7, score=0.9),
        detection(category_id=3),
        detection(image_id=77),
        detection(score=0.1, bbox=[0.5, 0.5, 0, 10]),
    ]
    found = read(dataset, tmp_path, rows)
    assert (found.read, len(found)) == (5, 3)
    assert found.position.tolist() == [1, 0, 4]
    persons = detector_persons(found, dataset, SPEC, "none", 0.0)
    assert persons.person_id.tolist() == [1, 0]
    assert persons.box[1].tolist() == [1, 2, 30, 40], "a detector's box is taken as it is"
    assert detector_persons(found, dataset, SPEC, "none", 0.5).person_id.tolist() == [1, 0]
    assert detector_persons(found, dataset, SPEC, "none", 0.51).person_id.tolist() == [1]


def test_ids_may_be_any_number_of_64_bits(tmp_path):
    content = files.coco(17)
    content["images"][0]["id"] = 2**63 - 1
    path = files.write(tmp_path / "large.json", content)
    large = load_coco(path, tmp_path, dataset_id="coco", keypoint_set="coco_17")
    found = read(large, tmp_path, [detection(image_id=2**63 - 1), detection(image_id=5.0)])
    assert large.images.id[found.image_index].tolist() == [2**63 - 1, 5]


@pytest.mark.parametrize("size", [[0, 10], [10, 0], [-5, 10], [10, -5]])
def test_a_box_without_area_is_read_but_nobody_is_cropped(dataset, tmp_path, size):
    found = read(dataset, tmp_path, [detection(bbox=[1, 2, *size])])
    assert len(found) == 1
    assert not len(detector_persons(found, dataset, SPEC, "none", 0.0))


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ({"a": 1}, ("list of detections", "'images'")),
        (files.coco(17), ("annotations", "17 keypoints")),
        ([3], ("list of other things",)),
        ([detection(), 3], ("entry 1", "3", "object")),
        ([detection(bbox=[1, 2])], ("entry 0", "2", "bbox", "4")),
        ([detection(bbox=None)], ("entry 0", "null", "bbox", "list of 4")),
        ([detection(score="high")], ("entry 0", "'high'", "score", "finite number")),
        ([{"image_id": 5}], ("entry 0", "category_id")),
        ([detection(image_id="five")], ("'five'", "image_id", "whole number")),
        ([detection(image_id=float("inf"))], ("inf", "image_id", "whole number")),
        ([detection(), detection(score=float("nan"))], ("entry 1", "nan", "score")),
        (
            [detection(image_id=77), detection(bbox=[0, 0, float("inf"), 1])],
            ("entry 1", "inf", "bbox"),
        ),
        ([detection(image_id="5")], ("entry 0", "'5'", "image_id", "whole number")),
        ([detection(image_id=5.4)], ("entry 0", "5.4", "image_id", "whole number")),
        ([detection(category_id="1")], ("entry 0", "'1'", "category_id", "whole number")),
        ([detection(category_id=True)], ("entry 0", "true", "category_id", "whole number")),
        ([detection(score="0.5")], ("entry 0", "'0.5'", "score", "finite number")),
        ([detection(bbox="1234")], ("entry 0", "'1234'", "bbox", "list of 4")),
        ([detection(bbox=[True, 2, 3, 4])], ("entry 0", "true", "bbox")),
        ([detection(bbox=[1e300, 2, 3, 4])], ("entry 0", "1e+300", "bbox", "-10,000,000")),
        ([detection(image_id=2**63)], ("9223372036854775808", "image_id")),
        (
            [
                detection(),
                detection(category_id="1", image_id=77),
                detection(category_id=3, score=[]),
            ],
            ("2 rows", "entry 1", "'1'", "category_id", "entry 2", "list", "score"),
        ),
        ([detection(image_id=77)], ("1 boxes",)),
        ([detection(category_id=2), detection(image_id=77)], ("1 boxes", "category 1")),
        ([], ("0 boxes",)),
    ],
)
def test_a_wrong_box_file_is_explained(dataset, tmp_path, rows, names):
    with refused(*names) as caught:
        read(dataset, tmp_path, rows)
    assert "boxes.json" in caught.value.message
    assert caught.value.hint


def test_the_first_twenty_wrong_rows_are_listed(dataset, tmp_path):
    rows = [detection(), *(detection(score="high") for _ in range(25))]
    with pytest.raises(UserError, match="has 25 rows that cannot be used") as caught:
        read(dataset, tmp_path, rows)
    named = [number for number in range(26) if f"entry {number} has" in caught.value.message]
    assert named == list(range(1, 21))
    assert caught.value.message.endswith("; and 5 more.")


def test_the_real_sample(shared):
    folder = shared / "data" / "samples" / "coco"
    dataset = load_coco(
        folder / "test_coco.json", folder, dataset_id="coco", keypoint_set="coco_17"
    )
    found = read_detections(folder / "test_coco_det_AP_H_56.json", dataset)
    assert len(found) > 14
    assert found.read >= len(found)
