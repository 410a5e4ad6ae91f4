"""What is said of a dataset of which a part is missing or still packed."""

from __future__ import annotations

import annotation_files as files
import pytest
from refusals import assert_mentions, refused

from posebench.datasets.coco import load_coco
from posebench.datasets.layout_checks import check_heads, check_images, check_places
from posebench.datasets.mpii import load_mpii
from posebench.types.dataset import DatasetSpec
from posebench.types.errors import UserError


def dataset_spec(**changes):
    fields = {
        "id": "coco",
        "title": "COCO",
        "keypoints": "coco_17",
        "reader": "coco",
        "official_scorer": "coco_oks",
        "annotation_file": "annotations/{annotations}.json",
        "image_folder": "val2017",
        "licence": "none",
        "how_to_get": "Unpack both.",
        "files": (
            {"path": "val2017/", "what": "images", "archive": "val2017.zip", "url": "http://v"},
            {
                "path": "annotations/p.json",
                "what": "persons",
                "archive": "a.zip",
                "url": "http://a",
            },
        ),
    }
    return DatasetSpec(**(fields | changes))


SPEC = dataset_spec()


def places(root):
    return root / "annotations" / "p.json", root / "val2017"


def draw(root, count):
    (root / "val2017").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (root / "val2017" / f"{number:04d}.jpg").write_bytes(b"")


def complaint(root, spec=SPEC):
    with pytest.raises(UserError) as caught:
        check_places(spec, *places(root))
    return caught.value


def test_a_dataset_that_is_there_is_not_complained_about(tmp_path):
    files.write(places(tmp_path)[0], files.coco(17))
    draw(tmp_path, 1)
    check_places(SPEC, *places(tmp_path))


def test_nothing_is_there(tmp_path):
    found = complaint(tmp_path)
    assert "annotations/p.json is missing" in found.message
    assert "val2017 is missing" in found.message
    assert "val2017/ from http://v" in found.hint and "Unpack both." in found.hint


def test_the_annotations_are_there_and_the_images_are_not(tmp_path):
    files.write(places(tmp_path)[0], files.coco(17))
    found = complaint(tmp_path).message
    assert_mentions(found, f"{places(tmp_path)[0]} is there", f"{tmp_path / 'val2017'} is missing")


def test_the_images_are_there_and_the_annotations_are_not(tmp_path):
    draw(tmp_path, 3)
    found = complaint(tmp_path).message
    assert f"{places(tmp_path)[0]} is missing, {tmp_path / 'val2017'} holds 3 files." in found


def test_an_empty_image_folder_is_no_image_folder(tmp_path):
    files.write(places(tmp_path)[0], files.coco(17))
    draw(tmp_path, 0)
    found = complaint(tmp_path).message
    assert "p.json is there" in found and "val2017 is empty." in found


@pytest.mark.parametrize("folder", ["", "annotations", "val2017", ".."])
def test_a_download_that_still_lies_packed_is_named(tmp_path, folder):
    root = tmp_path / "root"
    draw(root, 0)
    (root / "annotations").mkdir()
    archive = (root / folder / "val2017.zip").resolve()
    archive.write_bytes(b"")
    found = complaint(root)
    assert_mentions(found.hint, "val2017.zip", "Unpack")
    assert "a.zip" not in found.hint


def load(root, count=3):
    content = files.coco(17)
    content["images"] = [
        {"id": number, "file_name": f"{number:04d}.jpg", "width": 9, "height": 9}
        for number in range(count)
    ]
    path = files.write(places(root)[0], content)
    return load_coco(path, root / "val2017", dataset_id="coco", keypoint_set="coco_17")


def test_every_listed_image_is_there(tmp_path):
    draw(tmp_path, 5)
    check_images(SPEC, load(tmp_path))


def test_half_unpacked_images_are_counted_and_the_first_is_named(tmp_path):
    draw(tmp_path, 312)
    (tmp_path / "val2017.zip").write_bytes(b"")
    names = ("312", "5,000", "p.json", "4,688", "0312.jpg")
    with refused(*names, hint=("val2017.zip", "unpacked")):
        check_images(SPEC, load(tmp_path, 5000))


def test_one_image_is_missing(tmp_path):
    draw(tmp_path, 3)
    (tmp_path / "val2017" / "0001.jpg").unlink()
    with pytest.raises(UserError, match=r"2 of the 3 images .*: 1 is missing.* 0001\.jpg"):
        check_images(SPEC, load(tmp_path))


def test_other_images_are_there(tmp_path):
    draw(tmp_path, 0)
    (tmp_path / "val2017" / "cat.jpg").write_bytes(b"")
    with refused("p.json", "3", "missing"):
        check_images(SPEC, load(tmp_path))


def test_images_may_lie_in_folders_of_their_own(tmp_path):
    content = files.coco(17)
    for number, image in enumerate(content["images"]):
        image["file_name"] = f"{number}/a.jpg"
    path = files.write(places(tmp_path)[0], content)
    dataset = load_coco(path, tmp_path / "val2017", dataset_id="coco", keypoint_set="coco_17")
    for number in range(2):
        files.write(tmp_path / "val2017" / str(number) / "a.jpg", "")
    check_images(SPEC, dataset)
    (tmp_path / "val2017" / "1" / "a.jpg").unlink()
    with pytest.raises(UserError, match=r"the first is 1/a\.jpg"):
        check_images(SPEC, dataset)


MPII = dataset_spec(
    id="mpii",
    reader="mpii",
    keypoints="mpii_16",
    official_scorer="mpii_pckh",
    files=({"path": "annotations/", "what": "persons", "archive": "mpii_annotations.tar"},),
)


def test_mpii_without_head_boxes_says_which_files_it_looked_for(tmp_path):
    path = files.write(tmp_path / "annot" / "valid.json", files.mpii())
    dataset = load_mpii(path, tmp_path, dataset_id="mpii", keypoint_set="mpii_16")
    with refused("gt_valid.mat", "mpii_gt_val.mat"):
        check_heads(MPII, dataset, path)
    (tmp_path / "mpii_annotations.tar").write_bytes(b"")
    with refused(hint=("mpii_annotations.tar", "unpacked")):
        check_heads(MPII, dataset, path)


def test_only_pckh_needs_head_boxes(tmp_path):
    draw(tmp_path, 3)
    check_heads(SPEC, load(tmp_path), places(tmp_path)[0])


def test_mpii_with_head_boxes_is_complete(tmp_path):
    rows = files.mpii()
    path = files.write(tmp_path / "annot" / "valid.json", rows)
    path.with_name("gt_valid.mat").write_bytes(files.heads(rows))
    dataset = load_mpii(path, tmp_path, dataset_id="mpii", keypoint_set="mpii_16")
    check_heads(MPII, dataset, path)
