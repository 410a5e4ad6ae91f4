"""Which reader a dataset gets, where its files are looked for, and when it is whole."""

from __future__ import annotations

import hashlib

import annotation_files as files
import numpy as np
import pytest

from posebench.datasets.readers import READERS
from posebench.evaluation import data
from posebench.evaluation.data import Drawing, open_boxes, open_dataset, proven_name
from posebench.registry import load_registry
from posebench.synthetic.body_dataset import write_synthetic_body
from posebench.types.errors import UserError
from posebench.types.request import DataPaths

REGISTRY = load_registry(())
PUBLISHED = [name for name in REGISTRY.datasets if name not in data.DRAWN]
# Annotation file of a protocol on each dataset, and what stands in for it here.
STEMS = {
    "coco": "person_keypoints_val2017",
    "mpii": "valid",
    "halpe_26": "halpe_val_v1",
    "halpe_136": "halpe_val_v1",
    "noface_68": "halpe_val_v1",
    "single_hand": "coco_wholebody_val_v1.0",
    "coco_wholebody": "coco_wholebody_val_v1.0",
    "crowdpose": "mmpose_crowdpose_test",
}
CONTENTS = {
    "coco": files.coco(17),
    "mpii": files.mpii(),
    "halpe": files.coco(136),
    "hands": files.wholebody(),
    "wholebody": files.wholebody(),
    "crowdpose": files.crowdpose(),
}


@pytest.fixture(autouse=True)
def no_root(monkeypatch):
    monkeypatch.delenv(data.DATA_ROOT, raising=False)


def draw(folder, content):
    """An empty file for each image that a file of annotations lists."""
    rows = content if isinstance(content, list) else content["images"]
    for row in rows:
        files.write(folder / row["image" if isinstance(content, list) else "file_name"], "")


def unpack(root, name):
    """The files of a dataset in its usual layout; returns spec and stem."""
    spec, stem = REGISTRY.dataset(name), STEMS[name]
    content = CONTENTS[spec.reader]
    path = files.write(root / spec.annotation_file.format(annotations=stem), content)
    if spec.reader == "mpii":
        path.with_name("gt_valid.mat").write_bytes(files.heads(content))
    draw(root / spec.image_folder, content)
    return spec, stem


def test_every_dataset_of_the_registry_has_a_reader():
    assert {spec.reader for spec in REGISTRY.datasets.values()} == set(READERS)
    assert set(STEMS) == set(PUBLISHED)


@pytest.mark.parametrize(
    ("name", "joints", "persons"),
    [
        ("coco", 17, 3),
        ("mpii", 16, 4),
        ("halpe_26", 26, 3),
        ("halpe_136", 136, 3),
        ("noface_68", 68, 3),
        ("single_hand", 21, 5),
        ("coco_wholebody", 133, 3),
    ],
)
def test_a_dataset_in_its_usual_layout_is_opened(tmp_path, name, joints, persons):
    spec, stem = unpack(tmp_path, name)
    dataset = open_dataset(spec, DataPaths(tmp_path), stem)
    assert dataset.id == name
    assert dataset.keypoint_set == spec.keypoints
    assert dataset.truth.keypoints.shape == (persons, joints, 3)
    assert (dataset.truth.head_size is not None) == (name == "mpii")
    assert all(dataset.images.path(row).is_file() for row in range(len(dataset.images)))
    assert not dataset.complete


def test_the_root_may_be_an_environment_variable(tmp_path, monkeypatch):
    spec, stem = unpack(tmp_path, "coco")
    monkeypatch.setenv(data.DATA_ROOT, str(tmp_path))
    assert len(open_dataset(spec, DataPaths(), stem).truth) == 3


def test_without_any_root_it_is_asked_for():
    with pytest.raises(UserError, match="Neither --data-root nor POSEBENCH_DATA") as caught:
        open_dataset(REGISTRY.dataset("mpii"), DataPaths(), "valid")
    assert "annot/ and images/" in caught.value.hint


def test_a_root_that_is_no_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="elsewhere: there is no such folder"):
        open_dataset(REGISTRY.dataset("coco"), DataPaths(tmp_path / "elsewhere"), STEMS["coco"])


def test_given_paths_go_before_the_layout(tmp_path):
    spec = REGISTRY.dataset("halpe_26")
    path = files.write(tmp_path / "mine.json", files.coco(136))
    draw(tmp_path / "pictures", files.coco(136))
    sources = DataPaths(annotations=path, images=tmp_path / "pictures")
    assert open_dataset(spec, sources, "halpe_val_v1").annotations_file == "mine.json"


def test_mmpose_s_layout_of_mpii_is_found(tmp_path):
    spec, rows = REGISTRY.dataset("mpii"), files.mpii()
    path = files.write(tmp_path / "annotations" / "mpii_val.json", rows)
    path.with_name("mpii_gt_val.mat").write_bytes(files.heads(rows))
    draw(tmp_path / "images", rows)
    dataset = open_dataset(spec, DataPaths(tmp_path), "valid")
    assert dataset.annotations_file == "mpii_val.json"
    assert dataset.truth.head_size is not None
    unpack(tmp_path, "mpii")
    assert open_dataset(spec, DataPaths(tmp_path), "valid").annotations_file == "valid.json"


def test_alphapose_s_layout_of_halpe_is_found(tmp_path):
    spec = REGISTRY.dataset("halpe_136")
    files.write(tmp_path / "annotations" / "halpe_val_v1.json", files.coco(136))
    draw(tmp_path / "images" / "val2017", files.coco(136))
    dataset = open_dataset(spec, DataPaths(tmp_path), "halpe_val_v1")
    assert dataset.images.root == tmp_path / "images" / "val2017"


@pytest.mark.parametrize("name", PUBLISHED)
def test_an_empty_folder_is_told_by_the_usual_layout(tmp_path, name):
    spec, stem = REGISTRY.dataset(name), STEMS[name]
    with pytest.raises(UserError) as caught:
        open_dataset(spec, DataPaths(tmp_path), stem)
    assert spec.annotation_file.format(annotations=stem) in caught.value.message
    assert f"{tmp_path / spec.image_folder} is missing" in caught.value.message
    assert spec.how_to_get.strip() in caught.value.hint
    assert all(file.url in caught.value.hint for file in spec.files if file.url)


def test_a_missing_image_is_named_before_anything_is_computed(tmp_path):
    spec, stem = unpack(tmp_path, "coco")
    (tmp_path / "val2017" / "005.jpg").unlink()
    with pytest.raises(UserError, match=r"the first is 005\.jpg"):
        open_dataset(spec, DataPaths(tmp_path), stem)
    assert len(open_dataset(spec, DataPaths(tmp_path, limit=1), stem).images) == 1


def test_mpii_without_head_boxes_is_not_complete(tmp_path):
    spec, stem = unpack(tmp_path, "mpii")
    (tmp_path / "annot" / "gt_valid.mat").unlink()
    with pytest.raises(UserError, match=r"neither gt_valid\.mat nor mpii_gt_val\.mat"):
        open_dataset(spec, DataPaths(tmp_path), stem)


@pytest.mark.parametrize(
    ("counts", "complete"),
    [
        ({"images": 2, "persons": 3}, True),
        ({"images": 2, "persons": None}, True),
        ({"images": None, "persons": 3}, True),
        ({"images": 3, "persons": 3}, False),
        ({"images": 2, "persons": 4}, False),
        ({"images": None, "persons": None}, False),
    ],
)
def test_a_split_is_whole_when_what_is_known_of_it_fits(tmp_path, counts, complete):
    spec, stem = unpack(tmp_path, "coco")
    spec = spec.model_copy(update=counts)
    dataset = open_dataset(spec, DataPaths(tmp_path), stem)
    assert (dataset.complete, dataset.complete_by) == (complete, "counts" if complete else None)
    assert open_dataset(spec, DataPaths(tmp_path, limit=2), stem).complete == complete
    assert not open_dataset(spec, DataPaths(tmp_path, limit=1), stem).complete


def _of_coco(tmp_path, name, **known):
    """COCO's images with an annotation file of another name; what the registry knows of it."""
    spec, stem = unpack(tmp_path, "coco")
    file = tmp_path / "annotations" / f"{stem}.json"
    given = file.with_name(name)
    given.write_bytes(file.read_bytes())
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    counts = {"images": 2, "persons": 3}
    known = {key: {stem: digest} if value == "its own" else value for key, value in known.items()}
    spec = spec.model_copy(update=counts | known)
    dataset = open_dataset(spec, DataPaths(tmp_path, annotations=given), stem)
    return dataset.complete, dataset.complete_by, dataset.own_data


STEM = "person_keypoints_val2017"


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        (f"{STEM}.json", {}, (True, "counts", False)),
        (f"{STEM}.json", {"annotation_sha256": "its own"}, (True, "sha256", False)),
        # equal counts prove nothing where the digest of the published file is known
        (f"{STEM}.json", {"annotation_sha256": {STEM: "0" * 64}}, (False, None, False)),
        (f"{STEM}.json", {"images": 5000}, (False, None, False)),
        # another file is not part of the published one, whatever it counts
        ("person_keypoints_train2017.json", {}, (False, None, True)),
        ("mine.json", {}, (False, None, True)),
        ("mine.json", {"annotation_sha256": {STEM: "0" * 64}}, (False, None, True)),
        # unless its bytes show that it is the published file
        ("renamed.json", {"annotation_sha256": "its own"}, (True, "sha256", False)),
    ],
)
def test_whole_is_what_is_proven_to_be(tmp_path, name, known, expected):
    assert _of_coco(tmp_path, name, **known) == expected


def test_a_dataset_that_nobody_published_is_ones_own(tmp_path):
    nothing = {"images": None, "persons": None, "files": (), "homepage": ""}
    assert _of_coco(tmp_path, f"{STEM}.json", **nothing) == (False, None, True)


def test_boxes_beside_other_data_do_not_have_the_drawn_ones_name(tmp_path, bodies):
    spec, stem = REGISTRY.dataset("synthetic_halpe_26"), "halpe_val_v1"
    dataset = open_dataset(spec, DataPaths(bodies), stem)
    found = open_boxes(spec, DataPaths(bodies), dataset, "synthetic_detections")
    assert proven_name(spec, dataset, found, 50.0) == "detections.json"


# --- what posebench draws ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def bodies(tmp_path_factory):
    """Four drawn pictures in every layout."""
    return write_synthetic_body(tmp_path_factory.mktemp("bodies"), 4)


BODIES = {
    "synthetic_mpii": ("valid", 16),
    "synthetic_halpe_26": ("halpe_val_v1", 26),
    "synthetic_halpe_136": ("halpe_val_v1", 136),
    "synthetic_wholebody": ("coco_wholebody_val_v1.0", 133),
}


@pytest.mark.parametrize("name", BODIES)
def test_one_drawn_folder_serves_every_task(bodies, name):
    stem, joints = BODIES[name]
    dataset = open_dataset(REGISTRY.dataset(name), DataPaths(bodies), stem)
    assert dataset.truth.keypoints.shape[1:] == (joints, 3)
    assert len(dataset.truth) > 0
    assert (dataset.truth.head_size is not None) == (name == "synthetic_mpii")


def test_drawn_halpe_and_wholebody_agree_on_their_common_keypoints(bodies):
    whole, parts = (
        open_dataset(REGISTRY.dataset(name), DataPaths(bodies), BODIES[name][0]).truth
        for name in ("synthetic_halpe_136", "synthetic_wholebody")
    )
    assert whole.id.tolist() == parts.id.tolist()
    # face and hands stand last in both
    assert np.array_equal(whole.keypoints[:, 26:, :2], parts.keypoints[:, 23:, :2])


def test_drawn_datasets_are_written_into_the_cache_and_are_whole(tmp_path, bodies, monkeypatch):
    asked = []

    def write(folder):
        asked.append(folder)
        return bodies

    monkeypatch.setenv("POSEBENCH_CACHE", str(tmp_path))
    spec = REGISTRY.dataset("synthetic_halpe_26")
    monkeypatch.setitem(data.DRAWN, spec.id, lambda: Drawing("drawn", write))
    assert not open_dataset(spec, DataPaths(), "halpe_val_v1").complete, "four pictures of 120"
    assert set(asked) == {tmp_path / "drawn"}


@pytest.mark.parametrize("name", sorted(data.DRAWN))
def test_the_files_that_posebench_draws_are_those_that_the_registry_knows(name, monkeypatch):
    monkeypatch.delenv("POSEBENCH_CACHE", raising=False)
    spec = REGISTRY.dataset(name)
    (stem,) = spec.annotation_sha256
    dataset = open_dataset(spec, DataPaths(), stem)
    assert (dataset.complete, dataset.complete_by, dataset.own_data) == (True, "sha256", False)
    part = open_dataset(spec, DataPaths(limit=5), stem)
    assert (part.complete, part.own_data) == (False, False)
    if spec.box_files:
        found = open_boxes(spec, DataPaths(), dataset, "synthetic_detections")
        assert proven_name(spec, dataset, found, 0.0) == "synthetic_detections"


@pytest.mark.parametrize("name", [name for name in BODIES if name != "synthetic_mpii"])
def test_drawn_detections_belong_to_the_drawn_pictures(bodies, name):
    spec, sources = REGISTRY.dataset(name), DataPaths(bodies)
    dataset = open_dataset(spec, sources, BODIES[name][0])
    found = open_boxes(spec, sources, dataset, "synthetic_detections")
    assert found.read == len(found) > 0


def test_mpii_has_no_detector_file(bodies):
    spec = REGISTRY.dataset("synthetic_mpii")
    dataset = open_dataset(spec, DataPaths(bodies), "valid")
    with pytest.raises(UserError, match="No detector file is known"):
        open_boxes(spec, DataPaths(bodies), dataset, "det56")


# --- what the registry knows of the files ------------------------------------------------------


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_registry_lists_every_file_that_is_looked_for(name):
    spec = REGISTRY.dataset(name)
    listed = [file.path for file in spec.files]
    assert spec.annotation_file.format(annotations=STEMS[name]) in listed
    assert f"{spec.image_folder}/" in listed
    assert {box.path for box in spec.box_files.values()} <= set(listed)
    assert all(file.url and file.what for file in spec.files)


def test_downloads_are_those_whose_size_is_published():
    sizes = {file.archive: file.bytes for spec in REGISTRY.datasets.values() for file in spec.files}
    assert sizes["val2017.zip"] == 815_585_330
    assert sizes["annotations_trainval2017.zip"] == 252_907_541


def test_official_scorers():
    scorers = {name: REGISTRY.dataset(name).official_scorer for name in PUBLISHED}
    assert scorers == {
        "coco": "coco_oks",
        "mpii": "mpii_pckh",
        "halpe_26": "coco_oks",
        "halpe_136": "halpe_oks",
        "noface_68": "coco_oks",
        "single_hand": "coco_oks",
        "coco_wholebody": "wholebody_oks",
        "crowdpose": "crowdpose_oks",
    }
