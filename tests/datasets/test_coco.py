"""Annotations in COCO's layout: what is read, what is left out, and what is refused."""

from __future__ import annotations

import itertools
import json
from hashlib import sha256

import annotation_files as files
import numpy as np
import pytest
from refusals import assert_mentions, refused

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
    ("change", "names"),
    [
        (lambda c: c["images"].append(c["images"][0]), ("image id 7", "2")),
        (lambda c: c["annotations"].append(c["annotations"][0]), ("annotation id 40", "2")),
        (lambda c: c["annotations"][0].pop("bbox"), ("annotation 40", "bbox")),
        (lambda c: c["annotations"][0].pop("area"), ("annotation 40", "area")),
        (lambda c: c["annotations"][0].pop("id"), ("row 1", "annotations", "id")),
        (lambda c: c["images"][0].pop("file_name"), ("image 7", "file_name")),
        (lambda c: c["annotations"].append(5), ("row 4", "annotations", "5", "object")),
        (lambda c: c.update(categories=[5]), ("category 1", "5", "object")),
        (person(keypoints=[1.0] * 48), ("annotation 41", "48", "keypoints", "51")),
        (person(keypoints="all"), ("annotation 41", "'all'", "keypoints", "list of 51")),
        (
            person(keypoints=[NAN, 1, 1] * 17),
            ("annotation 41", "nan", "keypoints", "finite number"),
        ),
        (person(keypoints=[1, 1, INFINITE] * 17), ("annotation 41", "inf", "keypoints")),
        (person(bbox=[1, NAN, 3, 4]), ("annotation 41", "nan", "bbox", "finite number")),
        (person(bbox=[1, 2, 3, INFINITE]), ("annotation 41", "inf", "bbox")),
        (person(bbox=[1, 2, -3, 4]), ("annotation 41", "bbox", "negative")),
        (person(bbox=[1, 2, 3]), ("annotation 41", "3", "bbox", "4")),
        (person(bbox="big"), ("annotation 41", "'big'", "bbox", "list of 4")),
        (person(area=NAN), ("annotation 41", "nan", "area", "finite number")),
        (person(area=-1), ("annotation 41", "-1", "area", "0", "100,000,000,000,000")),
        (person(id=INFINITE), ("row 2", "annotations", "inf", "id", "whole number")),
        (person(id=2**70), ("1180591620717411303424", "id", "-9,223,372,036,854,775,808")),
        (person(image_id=None), ("annotation 41", "null", "image_id", "whole number")),
        (image(width=None), ("image 5", "null", "width", "whole number")),
        (image(width=0), ("image 5", "0", "width", "1", "10,000,000")),
        (image(height=-100), ("image 5", "-100", "height", "1")),
    ],
)
def test_a_wrong_annotation_is_named(tmp_path, content, change, names):
    change(content)
    with refused(*names) as caught:
        load(tmp_path, content)
    assert "persons.json" in caught.value.message
    assert "51" in caught.value.hint or "17 x 3" in caught.value.hint


DIGITS = "1" * 51


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"category_id": "1"}, ("'1'", "category_id", "whole number")),
        ({"category_id": 1.5}, ("1.5", "category_id", "whole number")),
        ({"category_id": None}, ("null", "category_id", "whole number")),
        ({"category_id": True}, ("true", "category_id", "whole number")),
        ({"iscrowd": "0"}, ("'0'", "iscrowd", "0 or 1")),
        ({"iscrowd": INFINITE}, ("inf", "iscrowd", "0 or 1")),
        ({"iscrowd": False}, ("false", "iscrowd", "0 or 1")),
        ({"iscrowd": None}, ("null", "iscrowd", "0 or 1")),
        ({"ignore": 2}, ("2", "ignore", "0 or 1")),
        ({"num_keypoints": 0.7}, ("0.7", "num_keypoints", "whole number")),
        ({"num_keypoints": -1}, ("-1", "num_keypoints", "0")),
        ({"area": "900"}, ("'900'", "area", "finite number")),
        ({"area": True}, ("true", "area", "finite number")),
        ({"keypoints": DIGITS}, ("keypoints", "list of 51")),
        ({"keypoints": dict.fromkeys(DIGITS, 1)}, ("object", "keypoints", "list of 51")),
        ({"keypoints": [True] * 51}, ("true", "keypoints", "finite number")),
        ({"keypoints": ["1"] * 51}, ("'1'", "keypoints", "finite number")),
        ({"keypoints": None}, ("null", "keypoints", "list of 51")),
        ({"keypoints": ""}, ("''", "keypoints", "list of 51")),
        ({"bbox": [1, 2, "3", 4]}, ("'3'", "bbox", "finite number")),
        ({"image_id": 7.4}, ("7.4", "image_id", "whole number")),
        ({"image_id": "7"}, ("'7'", "image_id", "whole number")),
        ({"id": 0.5}, ("0.5", "id", "whole number")),
        ({"id": "41"}, ("'41'", "id", "whole number")),
        ({"id": 2**63}, ("9223372036854775808", "id", "-9,223,372,036,854,775,808")),
        ({"id": 2.0**60}, ("1.152921504606847e+18", "id", "whole number")),
    ],
)
def test_no_value_is_taken_for_another(tmp_path, content, change, names):
    fine = load(tmp_path, content).truth
    person(**change)(content)
    with refused(*names):
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
    (fault,) = restrict(found, Sample(limit=1)).faults
    assert_mentions(fault.text, "annotation 40", "'900'", "area")


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("a" * 5000 + ".jpg", ("image 7", "5,004 bytes")),
        ("a/" * 3000 + "a.jpg", ("image 7", "6,005 bytes")),
        ("\ud800.jpg", ("image 7", "'\\ud800.jpg'", "Unicode")),
        ("", ("image 7", "file name ''")),
        (".", ("image 7", "file name '.'")),
        ("a\0.jpg", ("image 7", r"file name 'a\x00.jpg'")),
        (5, ("image 7", "5", "file_name", "text")),
        (None, ("image 7", "null", "file_name", "text")),
    ],
)
def test_a_name_that_no_file_has_is_refused(tmp_path, content, name, names):
    content["images"][0]["file_name"] = name
    with refused(*names) as caught:
        load(tmp_path, content)
    caught.value.message.encode()


def test_images_of_any_kind_of_fault_are_all_listed(tmp_path, content):
    content["images"][0]["id"] = "7"
    content["images"][1] |= {"width": 120.5}
    with refused("row 1", "images", "'7'", "image 5", "120.5"):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("categories", "names"),
    [
        ([{"id": "1", "name": "person"}], ("category 1", "'1'", "id", "whole number")),
        ([{"id": 1.4, "name": "person"}], ("category 1", "1.4", "id")),
        ([{"id": 1, "name": 5}], ("category 1", "5", "name", "text")),
        ({"id": 1}, ("categories", "object", "list")),
        (None, ("categories", "null", "list")),
    ],
)
def test_categories_are_numbers_too(tmp_path, content, categories, names):
    with refused(*names):
        load(tmp_path, content | {"categories": categories})


def test_faults_without_any_image_are_told(tmp_path, content):
    content["annotations"][0]["category_id"] = "1"
    with refused("image", "annotation 40", "'1'"):
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
    with pytest.raises(UserError, match=r"persons\.json is not valid JSON"):
        load_coco(path, tmp_path, dataset_id="coco", keypoint_set="coco_17")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with refused("persons.json", "No such file"):
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
