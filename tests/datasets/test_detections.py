"""A detector's file of boxes, right and wrong."""

from __future__ import annotations

import annotation_files as files
import pytest

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
    ("rows", "words"),
    [
        ({"a": 1}, "no list of detections: it holds no 'images'"),
        (files.coco(17), r"it holds annotations of 17 keypoints a person"),
        ([3], "it holds a list of other things"),
        ([detection(), 3], "entry 1 is 3, not an object"),
        ([detection(bbox=[1, 2])], "entry 0 has 2 numbers in bbox instead of 4"),
        ([detection(bbox=None)], "entry 0 has null for its bbox, not a list of 4 numbers"),
        ([detection(score="high")], "entry 0 has 'high' for its score, not a finite number"),
        ([{"image_id": 5}], "entry 0 has no category_id"),
        ([detection(image_id="five")], "'five' for its image_id, not a whole number"),
        ([detection(image_id=float("inf"))], "inf for its image_id, not a whole number"),
        ([detection(), detection(score=float("nan"))], "entry 1 has nan for its score"),
        ([detection(image_id=77), detection(bbox=[0, 0, float("inf"), 1])], "entry 1 has inf"),
        ([detection(image_id="5")], "entry 0 has '5' for its image_id, not a whole number"),
        ([detection(image_id=5.4)], "entry 0 has 5.4 for its image_id, not a whole number"),
        ([detection(category_id="1")], "entry 0 has '1' for its category_id, not a whole"),
        ([detection(category_id=True)], "entry 0 has true for its category_id, not a whole"),
        ([detection(score="0.5")], "entry 0 has '0.5' for its score, not a finite number"),
        ([detection(bbox="1234")], "entry 0 has '1234' for its bbox, not a list of 4 numbers"),
        ([detection(bbox=[True, 2, 3, 4])], "entry 0 has true in its bbox"),
        ([detection(bbox=[1e300, 2, 3, 4])], r"entry 0 has 1e\+300 in its bbox, outside -1"),
        ([detection(image_id=2**63)], "9223372036854775808 for its image_id, outside"),
        (
            [
                detection(),
                detection(category_id="1", image_id=77),
                detection(category_id=3, score=[]),
            ],
            "has 2 rows that cannot be used: entry 1 has '1' .*; entry 2 has a list for its score",
        ),
        ([detection(image_id=77)], "None of the 1 boxes"),
        ([detection(category_id=2), detection(image_id=77)], "None of the 1 .* category 1"),
        ([], "None of the 0 boxes"),
    ],
)
def test_a_wrong_box_file_is_explained(dataset, tmp_path, rows, words):
    with pytest.raises(UserError, match=words) as caught:
        read(dataset, tmp_path, rows)
    assert "boxes.json" in caught.value.message
    assert caught.value.hint


def test_the_real_sample(shared):
    folder = shared / "data" / "samples" / "coco"
    dataset = load_coco(
        folder / "test_coco.json", folder, dataset_id="coco", keypoint_set="coco_17"
    )
    found = read_detections(folder / "test_coco_det_AP_H_56.json", dataset)
    assert len(found) > 14
    assert found.read >= len(found)
