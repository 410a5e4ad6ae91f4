"""Annotations in COCO's layout: what is read, what is left out, and what is refused."""

from __future__ import annotations

import itertools
import json
from hashlib import sha256

import annotation_files as files
import numpy as np
import pytest

from posebench.datasets.boxes import ground_truth_persons
from posebench.datasets.coco import load_coco
from posebench.datasets.sample import restrict
from posebench.evaluation.data import sample_of
from posebench.types.dataset import Sample
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError

NAN, INFINITE = float("nan"), float("inf")


@pytest.fixture
def content():
    """Persons 40, 41 and 42 on images 5, 7 and 5; image 7 comes first."""
    return files.coco(17)


def load(tmp_path, content, **how):
    path = files.write(tmp_path / "persons.json", content)
    return load_coco(path, tmp_path, dataset_id="coco", keypoint_set="coco_17", **how)


def test_persons_come_image_by_image(tmp_path, content):
    dataset = load(tmp_path, content)
    assert dataset.images.id.tolist() == [7, 5]
    assert dataset.truth.id.tolist() == [41, 40, 42]
    assert dataset.truth.num_keypoints.tolist() == [3, 3, 3], "as the file says"
    assert not dataset.complete


def test_visibilities_may_be_fractions(tmp_path, content):
    content["annotations"][1]["keypoints"] = [12.5, 30.25, 0.375] * 17
    truth = load(tmp_path, content).truth
    assert truth.keypoints[0].tolist() == [[12.5, 30.25, 0.375]] * 17


def test_labelled_keypoints_are_counted_where_the_file_does_not_say(tmp_path, content):
    row = content["annotations"][1]
    del row["num_keypoints"]
    assert load(tmp_path, content).truth.num_keypoints[0] == sum(
        v > 0 for v in row["keypoints"][2::3]
    )


def test_other_categories_are_no_persons(tmp_path, content):
    content["categories"].append({"id": 7, "name": "dog"})
    content["annotations"][0]["category_id"] = 7
    assert load(tmp_path, content).truth.id.tolist() == [41, 42]


def test_a_file_without_any_person_s_category_has_no_persons(tmp_path, content):
    content["categories"] = [{"id": 7, "name": "dog"}, {"id": 8, "name": "cat"}]
    for row in content["annotations"]:
        row["category_id"] = 7
    dataset = load(tmp_path, content)
    assert (len(dataset.images), len(dataset.truth)) == (2, 0)


def test_persons_may_have_any_number_as_category(tmp_path, content):
    content["categories"] = [{"id": 3, "name": "person"}]
    for row in content["annotations"]:
        row["category_id"] = 3
    dataset = load(tmp_path, content)
    assert dataset.category_id == 3
    assert len(dataset.truth) == 3


def test_annotations_of_images_that_are_not_listed_are_left_out(tmp_path, content):
    content["annotations"][0]["image_id"] = 99
    assert load(tmp_path, content).truth.id.tolist() == [41, 42]


def test_images_without_persons_are_a_dataset(tmp_path, content):
    dataset = load(tmp_path, content | {"annotations": []})
    assert (len(dataset.images), len(dataset.truth)) == (2, 0)
    assert not len(ground_truth_persons(dataset, InputSpec(size=(64, 48)), "clip_before_width"))
    empty = load(tmp_path, content | {"annotations": [], "images": []})
    assert (len(empty.images), len(empty.truth)) == (0, 0)


def test_a_sample_is_the_images_whose_ids_have_the_smallest_digests(tmp_path, content):
    dataset = load(tmp_path, content)
    ids = sorted(dataset.images.id.tolist(), key=lambda i: sha256(str(i).encode()).hexdigest())
    one = restrict(dataset, Sample(limit=1))
    assert one.images.id.tolist() == ids[:1]
    assert set(one.truth.image_id.tolist()) <= set(ids[:1])
    assert one.sample == Sample(limit=1)
    assert restrict(dataset, Sample(limit=2)) is dataset
    first = restrict(dataset, Sample(limit=1, order="file"))
    assert first.images.id.tolist() == dataset.images.id[:1].tolist()
    with pytest.raises(UserError, match="--limit 0"):
        sample_of(0)


def test_samples_are_nested_and_keep_the_order_of_the_file(tmp_path):
    rows = [{"id": i, "file_name": f"{i}.jpg", "width": 9, "height": 9} for i in range(50, 0, -1)]
    dataset = load(tmp_path, {"images": rows, "annotations": []})
    samples = [restrict(dataset, Sample(limit=n)).images.id.tolist() for n in range(1, 51)]
    by_digest = sorted(range(1, 51), key=lambda i: sha256(str(i).encode()).hexdigest())
    assert [set(found) for found in samples] == [set(by_digest[:n]) for n in range(1, 51)]
    for smaller, larger in itertools.pairwise(samples):
        assert set(smaller) < set(larger)
    assert all(found == sorted(found, reverse=True) for found in samples)


def person(**changes):
    return lambda content: content["annotations"][1].update(changes)


def image(**changes):
    return lambda content: content["images"][1].update(changes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["images"].append(c["images"][0]), "image id 7 stands 2 times"),
        (lambda c: c["annotations"].append(c["annotations"][0]), "annotation id 40 stands 2"),
        (lambda c: c["annotations"][0].pop("bbox"), "annotation 40 has no bbox"),
        (lambda c: c["annotations"][0].pop("area"), "annotation 40 has no area"),
        (lambda c: c["annotations"][0].pop("id"), "row 1 of the annotations has no id"),
        (lambda c: c["images"][0].pop("file_name"), "image 7 has no file_name"),
        (lambda c: c["annotations"].append(5), "row 4 of the annotations is 5, not an object"),
        (lambda c: c.update(categories=[5]), "category 1 is 5, not an object"),
        (person(keypoints=[1.0] * 48), "annotation 41 has 48 numbers in keypoints instead of 51"),
        (person(keypoints="all"), "annotation 41 has 'all' for its keypoints, not a list of 51"),
        (
            person(keypoints=[NAN, 1, 1] * 17),
            "annotation 41 has nan in its keypoints, not a finite",
        ),
        (person(keypoints=[1, 1, INFINITE] * 17), "annotation 41 has inf in its keypoints"),
        (person(bbox=[1, NAN, 3, 4]), "annotation 41 has nan in its bbox, not a finite number"),
        (person(bbox=[1, 2, 3, INFINITE]), "annotation 41 has inf in its bbox"),
        (person(bbox=[1, 2, -3, 4]), "annotation 41 has a bbox of negative size"),
        (person(bbox=[1, 2, 3]), "annotation 41 has 3 numbers in bbox instead of 4"),
        (person(bbox="big"), "annotation 41 has 'big' for its bbox, not a list of 4 numbers"),
        (person(area=NAN), "annotation 41 has nan for its area, not a finite number"),
        (person(area=-1), "annotation 41 has -1 for its area, outside 0 to 100,000,000,000,000"),
        (person(id=INFINITE), "row 2 of the annotations has inf for its id, not a whole number"),
        (person(id=2**70), "has 1180591620717411303424 for its id, outside -9,223,"),
        (person(image_id=None), "annotation 41 has null for its image_id, not a whole number"),
        (image(width=None), "image 5 has null for its width, not a whole number"),
        (image(width=0), "image 5 has 0 for its width, outside 1 to 10,000,000"),
        (image(height=-100), "image 5 has -100 for its height, outside 1 to"),
    ],
)
def test_a_wrong_annotation_is_named(tmp_path, content, change, words):
    change(content)
    with pytest.raises(UserError, match=words) as caught:
        load(tmp_path, content)
    assert "persons.json" in caught.value.message
    assert "51" in caught.value.hint or "17 x 3" in caught.value.hint


DIGITS = "1" * 51


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"category_id": "1"}, "has '1' for its category_id, not a whole number"),
        ({"category_id": 1.5}, "has 1.5 for its category_id, not a whole number"),
        ({"category_id": None}, "has null for its category_id, not a whole number"),
        ({"category_id": True}, "has true for its category_id, not a whole number"),
        ({"iscrowd": "0"}, "has '0' for its iscrowd, not 0 or 1"),
        ({"iscrowd": INFINITE}, "has inf for its iscrowd, not 0 or 1"),
        ({"iscrowd": False}, "has false for its iscrowd, not 0 or 1"),
        ({"iscrowd": None}, "has null for its iscrowd, not 0 or 1"),
        ({"ignore": 2}, "has 2 for its ignore, not 0 or 1"),
        ({"num_keypoints": 0.7}, "has 0.7 for its num_keypoints, not a whole number"),
        ({"num_keypoints": -1}, "has -1 for its num_keypoints, outside 0 to"),
        ({"area": "900"}, "has '900' for its area, not a finite number"),
        ({"area": True}, "has true for its area, not a finite number"),
        ({"keypoints": DIGITS}, "for its keypoints, not a list of 51 numbers"),
        ({"keypoints": dict.fromkeys(DIGITS, 1)}, "has an object for its keypoints, not a list"),
        ({"keypoints": [True] * 51}, "has true in its keypoints, not a finite number"),
        ({"keypoints": ["1"] * 51}, "has '1' in its keypoints, not a finite number"),
        ({"keypoints": None}, "has null for its keypoints, not a list of 51 numbers"),
        ({"keypoints": ""}, "has '' for its keypoints, not a list of 51 numbers"),
        ({"bbox": [1, 2, "3", 4]}, "has '3' in its bbox, not a finite number"),
        ({"image_id": 7.4}, "has 7.4 for its image_id, not a whole number"),
        ({"image_id": "7"}, "has '7' for its image_id, not a whole number"),
        ({"id": 0.5}, "has 0.5 for its id, not a whole number"),
        ({"id": "41"}, "has '41' for its id, not a whole number"),
        ({"id": 2**63}, "has 9223372036854775808 for its id, outside -9,223,"),
        ({"id": 2.0**60}, r"has 1.15\d+e\+18 for its id, not a whole number"),
    ],
)
def test_no_value_is_taken_for_another(tmp_path, content, change, words):
    fine = load(tmp_path, content).truth
    person(**change)(content)
    with pytest.raises(UserError, match=words):
        load(tmp_path, content)
    found = load(tmp_path, content, tolerant=True)
    # the person is neither gone nor changed into somebody: it is listed, and counts as missed
    assert len(found.faults) == 1
    assert len(found.truth) == len(fine)
    assert found.truth.num_keypoints.min() > 0 and not found.truth.crowd.any()


@pytest.mark.parametrize(
    "change",
    [
        {"id": 41.0, "image_id": 7.0, "category_id": 1.0},
        {"iscrowd": 0.0, "ignore": 0, "num_keypoints": 3.0},
        {"area": 3001, "bbox": [11, 12.0, 60, 70.0]},
    ],
)
def test_whole_numbers_may_be_written_with_a_point(tmp_path, content, change):
    before = load(tmp_path, content).truth
    person(**change)(content)
    after = load(tmp_path, content).truth
    assert all(np.array_equal(getattr(before, n), getattr(after, n)) for n in vars(before))


@pytest.mark.parametrize("number", [-(2**63), -1, 0, 10**15, 2**53 + 1, 2**63 - 1])
def test_ids_may_be_any_number_of_64_bits(tmp_path, content, number):
    person(id=number, image_id=number)(content)
    content["images"][0]["id"] = number
    found = load(tmp_path, content)
    assert found.truth.id[0] == found.truth.image_id[0] == found.images.id[0] == number


def test_all_faults_of_a_file_are_listed_whatever_the_limit(tmp_path, content):
    content["annotations"][0]["area"] = "900"  # of the image that comes second
    found = load(tmp_path, content, tolerant=True)
    assert [fault.text for fault in restrict(found, Sample(limit=1)).faults] == [
        "annotation 40 has '900' for its area, not a finite number"
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a" * 5000 + ".jpg", "which is too long: it has 5,004 bytes"),
        ("a/" * 3000 + "a.jpg", "which is too long: it has 6,005 bytes"),
        ("\ud800.jpg", r"the file name '\\ud800.jpg', which is not valid Unicode"),
        ("", "the file name '', which does not name a file"),
        (".", "which does not name a file"),
        ("a\0.jpg", "which does not name a file"),
        (5, "image 7 has 5 for its file_name, not a text"),
        (None, "image 7 has null for its file_name, not a text"),
    ],
)
def test_a_name_that_no_file_has_is_refused(tmp_path, content, name, words):
    content["images"][0]["file_name"] = name
    with pytest.raises(UserError, match=words) as caught:
        load(tmp_path, content)
    caught.value.message.encode()


def test_images_of_any_kind_of_fault_are_all_listed(tmp_path, content):
    content["images"][0]["id"] = "7"
    content["images"][1] |= {"width": 120.5}
    with pytest.raises(UserError, match=r"row 1 of the images has '7' .*; image 5 has 120.5 for"):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("categories", "words"),
    [
        ([{"id": "1", "name": "person"}], "category 1 has '1' for its id, not a whole number"),
        ([{"id": 1.4, "name": "person"}], "category 1 has 1.4 for its id"),
        ([{"id": 1, "name": 5}], "category 1 has 5 for its name, not a text"),
        ({"id": 1}, "its categories are an object, not a list"),
        (None, "its categories are null, not a list"),
    ],
)
def test_categories_are_numbers_too(tmp_path, content, categories, words):
    with pytest.raises(UserError, match=words):
        load(tmp_path, content | {"categories": categories})


def test_faults_without_any_image_are_told(tmp_path, content):
    content["annotations"][0]["category_id"] = "1"
    with pytest.raises(UserError, match="it lists no image, but annotation 40 has '1'"):
        load(tmp_path, content | {"images": []}, tolerant=True)


@pytest.mark.parametrize(
    ("other", "words", "hint"),
    [
        ([], "an empty list", "JSON object"),
        (
            [{"image_id": 5, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}],
            "a list of detected boxes",
            "--boxes",
        ),
        (
            [{"image_id": 5, "category_id": 1, "keypoints": [1] * 51, "score": 0.5}],
            "a list of predicted keypoints",
            "JSON object",
        ),
        (files.mpii(), "MPII's list of persons", "JSON object"),
        ({"annotations": []}, "no 'images' and 'annotations'", "JSON object"),
        ({"images": {}, "annotations": []}, "no 'images' and 'annotations'", "JSON object"),
        ("persons", "a single str", "JSON object"),
        (None, "a single NoneType", "JSON object"),
        (files.coco(136), r"136 keypoints a person \(Halpe\), not", "this dataset"),
        (files.coco(23), r"23 keypoints a person \(COCO layout\), not", "this dataset"),
        (files.flat(files.wholebody()), "in one flat list", "this dataset"),
    ],
)
def test_another_kind_of_file_is_called_by_its_name(tmp_path, other, words, hint):
    with pytest.raises(UserError, match=words) as caught:
        load(tmp_path, other)
    assert hint in caught.value.hint


def test_boxes_without_keypoints_are_no_keypoint_file(tmp_path, content):
    for row in content["annotations"]:
        del row["keypoints"]
    with pytest.raises(UserError, match="COCO annotations without keypoints, not"):
        load(tmp_path, content)


@pytest.mark.parametrize("text", ["", "[1", "{", "[" * 100_000, b"\xff\xfe\x00".decode("latin1")])
def test_no_json_is_explained(tmp_path, text):
    path = tmp_path / "persons.json"
    path.write_text(text, encoding="latin1")
    with pytest.raises(UserError, match=r"persons\.json is no valid JSON"):
        load_coco(path, tmp_path, dataset_id="coco", keypoint_set="coco_17")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"persons\.json cannot be read: No such file"):
        load_coco(tmp_path / "persons.json", tmp_path, dataset_id="c", keypoint_set="coco_17")


def test_the_real_samples(shared):
    samples = shared / "data" / "samples" / "coco"
    mini = shared / "data" / "coco_mini"
    names = {"dataset_id": "coco", "keypoint_set": "coco_17"}
    few = load_coco(samples / "test_coco.json", samples, **names)
    assert (len(few.images), len(few.truth)) == (4, 14)
    assert few.truth.num_keypoints.tolist()[:4] == [17, 14, 15, 0]
    file = mini / "annotations" / "person_keypoints_val2017.json"
    more = load_coco(file, mini / "val2017", **names)
    assert (len(more.images), len(more.truth), int(more.truth.crowd.sum())) == (79, 118, 1)
    assert int((more.truth.num_keypoints > 0).sum()) == 68
    rows = json.loads(file.read_text())["annotations"]
    ids = more.truth.id.tolist()
    for row in rows:
        at = ids.index(row["id"])
        assert np.array_equal(more.truth.keypoints[at].reshape(-1), row["keypoints"])
        assert more.truth.box[at].tolist() == row["bbox"]
