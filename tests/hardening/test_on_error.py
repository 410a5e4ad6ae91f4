"""``--on-error``: all that is bad is listed once, or counted as missed and said so."""

from __future__ import annotations

import json
import shutil

import annotation_files as files
import make
import numpy as np
import pytest
from refusals import refused

from posebench.cli import main as cli
from posebench.datasets.readers import READERS
from posebench.evaluation.data import open_dataset
from posebench.evaluation.evaluate import evaluate
from posebench.evaluation.shards import evaluate_shard, merge
from posebench.inference import predict as predicting
from posebench.inference.image_io import BadImage, bad_images, read_image
from posebench.records.store import from_json, to_json
from posebench.registry import load_registry
from posebench.types.errors import UserError
from posebench.types.request import DataPaths, EvalRequest

LIMIT = 24
RUN = {"limit": LIMIT, "batch_size": 8, "threads": 1, "boxes": "gt"}
NAMES = "annotations/person_keypoints_val2017.json"


@pytest.fixture(scope="module")
def drawn():
    """Where the drawn pictures lie."""
    spec = load_registry().dataset("synthetic")
    return open_dataset(spec, DataPaths(), "person_keypoints_val2017").images.root.parent


@pytest.fixture(scope="module")
def first(drawn, tmp_path_factory):
    """The first pictures, as a dataset of their own."""
    root = tmp_path_factory.mktemp("first")
    (root / "annotations").mkdir(parents=True)
    (root / "val2017").mkdir()
    content = json.loads((drawn / NAMES).read_text())
    content["images"] = content["images"][:LIMIT]
    known = {image["id"] for image in content["images"]}
    rows = [row for row in content["annotations"] if row["image_id"] in known]
    (root / NAMES).write_text(json.dumps(content | {"annotations": rows}))
    for image in content["images"]:
        shutil.copy(drawn / "val2017" / image["file_name"], root / "val2017")
    return root


@pytest.fixture
def data(first, tmp_path):
    """A copy of the first pictures, to be spoiled."""
    return shutil.copytree(first, tmp_path / "data")


def change(root, edit):
    content = json.loads((root / NAMES).read_text())
    edit(content)
    (root / NAMES).write_text(json.dumps(content))
    return content


def spoil(root):
    """A cut image, a missing one, two bad annotations; returns who is lost."""
    cut, gone = (root / "val2017" / f"{number:012d}.png" for number in (3, 5))
    cut.write_bytes(cut.read_bytes()[:999])
    gone.unlink()

    def edit(content):
        content["annotations"][0]["bbox"] = [1, float("nan"), 3, 4]
        content["annotations"][1]["keypoints"] = [1] * 50

    return change(root, edit)


@pytest.fixture(scope="module")
def whole(first):
    return evaluate("demo_s", data_root=first, **RUN)


def test_everything_bad_is_listed_once_before_anything_is_estimated(data, monkeypatch):
    spoil(data)
    monkeypatch.setattr(predicting, "network_outputs", None)
    with pytest.raises(UserError) as caught:
        evaluate("demo_s", data_root=data, **RUN)
    told = caught.value.message
    assert "2 images and 2 annotations that cannot be used" in told
    for words in (
        "annotation 1 has nan in its bbox, not a finite number",
        "annotation 2 has 50 numbers in keypoints instead of 51",
        "000000000003.png cannot be decoded",
        "000000000005.png does not exist",
    ):
        assert told.count(words) == 1, words
    assert "--on-error skip" in caught.value.hint
    assert str(data) not in told


def test_images_that_turn_out_bad_on_the_way_are_all_listed(data):
    for number in (7, 20):
        file = data / "val2017" / f"{number:012d}.png"
        file.write_bytes(b"<html>")
    with pytest.raises(UserError) as caught:
        evaluate("demo_s", data_root=data, **RUN)
    assert "2 images that cannot be used" in caught.value.message
    assert "000000000007.png" in caught.value.message
    assert "000000000020.png" in caught.value.message


def test_no_image_is_read_for_a_check_while_all_is_well(data, whole, monkeypatch):
    monkeypatch.setattr("posebench.evaluation.data.bad_images", None)
    assert evaluate("demo_s", data_root=data, **RUN).scores == whole.scores


def test_skipped_persons_count_as_missed(data, whole):
    content = spoil(data)
    record = evaluate("demo_s", data_root=data, on_error="skip", **RUN)
    lost = [row for row in content["annotations"]
            if row["image_id"] in (3, 5) or row["id"] in (1, 2)]  # fmt: skip
    counting = sum(row["num_keypoints"] > 0 and not row["iscrowd"] for row in lost)
    assert record.skipped is not None
    assert (record.skipped.images, record.skipped.annotations) == (2, 2)
    assert record.skipped.persons == counting > 4
    assert len(record.skipped.faults) == 4
    # the ground truth is whole, the estimates are not
    assert record.dataset.persons == whole.dataset.persons
    assert record.boxes.used == whole.boxes.used - counting
    assert record.scores["AP"] < whole.scores["AP"]
    assert record.scores["AR"] < whole.scores["AR"]
    assert not record.dataset.complete
    assert "count as missed" in record.notes[-1]
    assert from_json(to_json(record)) == record
    assert whole.skipped is None


def test_what_is_skipped_can_only_lower_a_recall_of_annotated_boxes(data, whole):
    """Whichever image is bad."""
    for number in range(1, LIMIT + 1, 6):
        (data / "val2017" / f"{number:012d}.png").write_bytes(b"")
        record = evaluate("demo_s", data_root=data, on_error="skip", **RUN)
        for metric in ("AR", "AR50", "AR75"):
            assert record.scores[metric] <= whole.scores[metric]
        assert record.dataset.persons == whole.dataset.persons


def test_shares_skip_the_same(data, tmp_path):
    spoil(data)
    single = evaluate("demo_s", data_root=data, on_error="skip", **RUN)
    request = EvalRequest.of(model="demo_s", data_root=data, on_error="skip", **RUN)
    for number in (1, 2):
        evaluate_shard(request, (number, 2), tmp_path / "parts")
    merged = merge([tmp_path / "parts"])
    assert merged.predictions_sha256 == single.predictions_sha256
    assert merged.skipped == single.skipped
    assert merged.scores == single.scores


def test_a_resumed_run_skips_the_same(data, tmp_path):
    spoil(data)
    options = RUN | {"data_root": data, "on_error": "skip"}
    single = evaluate("demo_s", **options)

    def stop(what, done, _):
        if what != "reading images" and done > 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate("demo_s", chunks=tmp_path / "parts", progress=stop, **options)
    assert list(tmp_path.rglob("*.npz"))
    resumed = evaluate("demo_s", chunks=tmp_path / "parts", resume=True, **options)
    assert resumed.predictions_sha256 == single.predictions_sha256
    assert resumed.skipped == single.skipped
    assert resumed.scores == single.scores


def test_a_person_of_unreadable_size_counts_in_the_metrics_of_all_sizes_alone(data, whole):
    def edit(content):
        for row in content["annotations"]:
            if row["area"] > 96**2:
                row["area"] = "?"

    change(data, edit)
    record = evaluate("demo_s", data_root=data, on_error="skip", **RUN)
    assert record.skipped.persons > 0
    assert whole.scores["ARL"] is not None and record.scores["ARL"] is None
    assert record.scores["AR"] < whole.scores["AR"]
    assert record.scores["ARM"] == whole.scores["ARM"]


def never_skipped(content, place):
    """Faults of which no one knows whose persons they lose."""
    boxes = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": "0.5"}
    (place / "boxes.json").write_text(json.dumps([boxes]))
    images, rows = content["images"], content["annotations"]
    return {
        "an image's id": lambda: images[0].update(id="1"),
        "an image's size": lambda: images[0].update(width=None),
        "an image twice": lambda: images.append(images[0]),
        "a person twice": lambda: rows.append(rows[0]),
        "a detector's file": lambda: None,
    }


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("an image's id", "has '1' for its id, not a whole number"),
        ("an image's size", "has null for its width"),
        ("an image twice", "image id 1 stands 2 times"),
        ("a person twice", "annotation id 1 stands 2 times"),
        ("a detector's file", "entry 0 has '0.5' for its score"),
    ],
)
def test_what_is_never_skipped(data, tmp_path, what, words):
    change(data, lambda content: never_skipped(content, tmp_path)[what]())
    boxes = {"boxes": str(tmp_path / "boxes.json")} if what == "a detector's file" else {}
    with pytest.raises(UserError, match=words):
        evaluate("demo_s", data_root=data, on_error="skip", **(RUN | boxes))


def test_bottom_up_models_skip_images(data):
    (data / "val2017" / "000000000002.png").write_bytes(b"")
    change(data, lambda content: content.update(images=content["images"][:4]))
    options = {"data_root": data, "threads": 1}
    with pytest.raises(UserError, match=r"1 image that cannot be used: 000000000002\.png"):
        evaluate("demo_bottom_up", **options)
    record = evaluate("demo_bottom_up", on_error="skip", **options)
    assert record.skipped.images == 1
    persons = json.loads((data / NAMES).read_text())["annotations"]
    counted = sum(p["image_id"] <= 4 and p["num_keypoints"] > 0 and not p["iscrowd"]
                  for p in persons)  # fmt: skip
    assert record.dataset.persons == counted


def test_the_option_of_the_command(data, tmp_path, capsys):
    spoil(data)
    words = ["eval", "--model", "demo_s", "--boxes", "gt", "--limit", str(LIMIT), "--json",
             "--data-root", str(data), "--output", str(tmp_path / "out")]  # fmt: skip
    assert cli.main(words) == 2
    assert "2 images and 2 annotations" in json.loads(capsys.readouterr().out)["error"]
    assert not (tmp_path / "out").exists()
    assert cli.main([*words, "--on-error", "skip"]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"]["images"] == 2


def test_faults_are_those_of_the_whole_file_whatever_the_limit(data):
    """Of an image that is not evaluated: the last one."""
    far = change(data, lambda c: c["annotations"][-1].update(iscrowd="0"))["annotations"][-1]
    options = RUN | {"limit": 4, "data_root": data}
    with pytest.raises(UserError, match=f"annotation {far['id']} has '0' for its iscrowd"):
        evaluate("demo_s", **options)
    record = evaluate("demo_s", on_error="skip", **options)
    assert (record.skipped.annotations, record.skipped.persons) == (1, 0)
    assert record.skipped.faults == (f"annotation {far['id']} has '0' for its iscrowd, not 0 or 1",)


@pytest.mark.parametrize("spoil", ["1", True, 1.5, None])
def test_no_category_that_is_not_a_number_takes_a_person_away(data, whole, spoil):
    change(data, lambda c: c["annotations"][0].update(category_id=spoil))
    with refused("annotation 1", "category_id", "whole number"):
        evaluate("demo_s", data_root=data, **RUN)
    record = evaluate("demo_s", data_root=data, on_error="skip", **RUN)
    assert record.dataset.persons == whole.dataset.persons
    assert record.skipped.persons == 1


def test_a_folder_without_most_images_is_not_skipped_but_explained(data):
    for file in sorted((data / "val2017").iterdir())[: LIMIT // 2]:
        file.unlink()
    with pytest.raises(UserError, match=r"has 12 of the 24 images"):
        evaluate("demo_s", data_root=data, on_error="skip", **RUN)


def test_an_image_that_is_not_the_annotated_one_is_bad(data):
    change(data, lambda c: c["images"][2].update(width=c["images"][2]["width"] + 1))
    with pytest.raises(UserError, match=r"000000000003\.png has \d+ x \d+ pixels, its annot"):
        evaluate("demo_s", data_root=data, **RUN)


def test_images_may_lie_on_their_side(tmp_path):
    root = make.write_coco(tmp_path)
    path = root / "val2017" / "000000000010.png"
    assert read_image(path, "ignore", (160, 120)).shape == (120, 160, 3)
    assert read_image(path, "ignore", (120, 160)).shape == (120, 160, 3)
    with pytest.raises(BadImage):
        read_image(path, "ignore", (160, 121))


SETS = {"coco": "coco_17", "halpe": "halpe_136", "wholebody": "wholebody_133",
        "hands": "hand_21", "mpii": "mpii_16"}  # fmt: skip


@pytest.mark.parametrize("layout", SETS)
def test_every_layout_keeps_unreadable_persons_in_the_ground_truth(tmp_path, layout):
    content = {
        "coco": lambda: files.coco(17, 6),
        "halpe": lambda: files.coco(136, 6),
        "wholebody": lambda: files.wholebody(6),
        "hands": lambda: files.wholebody(6),
        "mpii": lambda: files.mpii(5),
    }[layout]()
    names = {"dataset_id": "x", "keypoint_set": SETS[layout]}
    path = tmp_path / "file.json"
    path.write_text(json.dumps(content))
    fine = READERS[layout](path, tmp_path, tolerant=True, **names)
    assert fine.faults == ()
    rows = content if layout == "mpii" else content["annotations"]
    rows[2] |= {"bbox": "?", "center": [1], "lefthand_box": "?"}
    rows.append(None)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="2 annotations that cannot be used"):
        READERS[layout](path, tmp_path, **names)
    found = READERS[layout](path, tmp_path, tolerant=True, **names)
    assert len(found.faults) == 2
    lost = np.isin(found.truth.id, found.unusable_persons())
    assert lost.sum() == sum(len(fault.persons) for fault in found.faults)
    # no one is gone, and those who stand in are labelled where nothing can be
    assert len(found.truth) >= len(fine.truth) + 1
    if layout != "mpii":
        assert (found.truth.num_keypoints[lost] > 0).all()
        assert (found.truth.keypoints[lost][..., :2] < -1e6).all()
    kept = np.isin(fine.truth.id, found.truth.id[~lost])
    assert np.array_equal(fine.truth.keypoints[kept], found.truth.keypoints[~lost])


def test_all_bad_images_are_found(tmp_path):
    root = make.write_coco(tmp_path, (1,) * 9)
    spec = load_registry().dataset("coco")
    images = open_dataset(spec, DataPaths(root), "person_keypoints_val2017").images
    for row in (0, 4, 8):
        images.path(row).write_bytes(b"")
    seen = []
    found = bad_images(images, 3, lambda *told: seen.append(told))
    assert [fault.image for fault in found] == [0, 4, 8]
    assert seen[-1] == ("reading images", 9, 9)


def test_a_whole_split_of_which_something_is_skipped_is_not_complete(tmp_path):
    root = make.write_coco(tmp_path)
    spec = load_registry().dataset("coco").model_copy(update={"images": 4, "persons": 7})
    read = {"on_error": "skip", "threads": 1}
    stem = "person_keypoints_val2017"
    assert open_dataset(spec, DataPaths(root), stem, **read).complete
    (root / "val2017" / "000000000012.png").write_bytes(b"")
    found = open_dataset(spec, DataPaths(root), stem, **read)
    assert not found.complete
    assert found.usable_images().tolist() == [0, 1, 3]
