"""Annotations in COCO's layout: what is read, what is left out, and what is refused."""

from __future__ import annotations

import itertools
import json
from hashlib import sha256

import annotations as files
import numpy as np
import pytest

from posebench.datasets.boxes import ground_truth_persons
from posebench.datasets.coco import load_coco, restrict
from posebench.run.data import sample_of
from posebench.types.dataset import Sample
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError

NAN, INFINITE = float("nan"), float("inf")


@pytest.fixture
def content():
    """Persons 40, 41 and 42 on images 5, 7 and 5; image 7 comes first."""
    return files.coco(17)


def load(tmp_path, content, keypoints="coco_17"):
    path = files.write(tmp_path / "persons.json", content)
    return load_coco(path, tmp_path, dataset_id="coco", keypoint_set=keypoints)


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
        (lambda c: c["annotations"][0].pop("bbox"), "KeyError: 'bbox'"),
        (lambda c: c["annotations"][0].pop("area"), "KeyError: 'area'"),
        (lambda c: c["annotations"][0].pop("id"), "KeyError: 'id'"),
        (lambda c: c["images"][0].pop("file_name"), "KeyError: 'file_name'"),
        (lambda c: c["annotations"].append(5), "keypoint format"),
        (lambda c: c.update(categories=[5]), "keypoint format"),
        (person(keypoints=[1.0] * 48), "annotation 41 has 48 numbers in keypoints instead of 51"),
        (person(keypoints="all"), "annotation 41 has 3 numbers"),
        (person(keypoints=[NAN, 1, 1] * 17), "keypoints of annotation 41 is not finite"),
        (person(keypoints=[1, 1, INFINITE] * 17), "keypoints of annotation 41 is not finite"),
        (person(bbox=[1, NAN, 3, 4]), "bbox of annotation 41 is not finite"),
        (person(bbox=[1, 2, 3, INFINITE]), "bbox of annotation 41 is not finite"),
        (person(bbox=[1, 2, -3, 4]), "annotation 41 has a negative size"),
        (person(bbox=[1, 2, 3]), "keypoint format"),
        (person(bbox="big"), "keypoint format"),
        (person(area=NAN), "area of annotation 41 is not finite"),
        (person(area=-1), "annotation 41 has a negative size"),
        (person(id=INFINITE), "OverflowError"),
        (person(id=2**70), "OverflowError"),
        (person(image_id=None), "keypoint format"),
        (image(width=None), "keypoint format"),
        (image(width=0), "image 5 is 0 x 100 pixels"),
        (image(height=-100), "image 5 is 120 x -100 pixels"),
    ],
)
def test_a_wrong_annotation_is_named(tmp_path, content, change, words):
    change(content)
    with pytest.raises(UserError, match=words) as caught:
        load(tmp_path, content)
    assert "persons.json" in caught.value.message
    assert "51" in caught.value.hint or "17 x 3" in caught.value.hint


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
