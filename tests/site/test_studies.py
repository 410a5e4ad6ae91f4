"""What saved predictions add to a page: curves, errors, and the best and worst persons."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import cv2
import make
import make_records
import numpy as np
import pytest
import saved_predictions
from refusals import assert_mentions

from posebench.analysis.score import LoadedPredictions, load_predictions_of
from posebench.datasets.coco import load_coco
from posebench.keypoints import keypoint_set
from posebench.records import store
from posebench.site.gallery import EACH, draw, gallery, resemblance
from posebench.site.pages import write_site
from posebench.site.studies import analyse_predictions, find_explanations
from posebench.types.arrays import GroundTruth, Predictions, Results, take
from posebench.types.explanation import Cell, Explanation, Share

COCO_TERMS = "annotations CC BY 4.0; images under the Flickr licence each names"


def opened_perfect(folder, **changes) -> LoadedPredictions:
    """Predictions that are the annotations, of people with labelled joints."""
    root = make.write_coco(folder, people_per_image=(2, 0, 3, 1, 3, 3))
    file = root / "annotations" / "person_keypoints_val2017.json"
    dataset = load_coco(file, root / "val2017", dataset_id="coco", keypoint_set="coco_17")
    truth = take(dataset.truth, (dataset.truth.num_keypoints > 0) & ~dataset.truth.crowd)
    count = len(truth)
    found = Predictions(
        keypoints=truth.keypoints[..., :2].astype(np.float32),
        joint_scores=np.ones((count, 17), np.float32),
        box=truth.box,
        box_score=np.ones(count),
        crop_area=np.ones(count),
        image_id=truth.image_id,
        person_id=truth.id,
        keypoint_set="coco_17",
    )
    results = Results(found, np.ones(count), np.ones(count, np.bool_))
    fields = {
        "name": "x", "sha256": "0", "dataset": replace(dataset, truth=truth), "results": results,
        "protocol": make_records.protocol(), "boxes": None, "record": None,
    }  # fmt: skip
    return LoadedPredictions(**(fields | changes))


def moved(opened: LoadedPredictions, person: int, pixels: float) -> LoadedPredictions:
    keypoints = np.array(opened.results.predictions.keypoints)
    keypoints[person] += pixels
    found = replace(opened.results.predictions, keypoints=keypoints)
    return replace(opened, results=replace(opened.results, predictions=found))


def test_the_best_come_first_and_the_lost_last(tmp_path):
    opened = moved(opened_perfect(tmp_path / "a"), 0, 12.0)
    kept = np.array(opened.results.kept)
    kept[opened.results.predictions.image_id == 13] = False  # the only person of that image
    opened = replace(opened, results=replace(opened.results, kept=kept))

    shown, words = gallery(opened, "Apache-2.0")
    groups = [person.group for person in shown]
    assert groups == sorted(groups)
    each = groups.count("best")
    assert 1 <= each <= EACH
    assert groups.count("worst") == groups.count("median") == each
    assert shown[0].words.startswith("OKS 1.00, image 0000")
    assert shown[-1].words == "OKS 0.00, image 000000000013.png, not found"
    likeness, row = resemblance(opened)
    assert 0 < likeness[0] < 0.99
    assert (row[0], row[np.flatnonzero(opened.dataset.truth.image_id == 13)[0]]) == (0, -1)
    assert_mentions(words, "images are shown", "Apache-2.0")


def test_a_person_is_compared_with_the_most_similar_detection_of_the_image(tmp_path):
    opened = load_predictions_of(
        saved_predictions.save(tmp_path).columns(), saved_predictions.save(tmp_path).where
    )
    likeness, row = resemblance(opened)
    truth, found = opened.dataset.truth, opened.results.predictions
    counts = ~truth.crowd & (truth.num_keypoints > 0)
    assert np.array_equal(~np.isnan(likeness), counts)
    for person in np.flatnonzero(counts):
        inside = np.flatnonzero((found.image_id == truth.image_id[person]) & opened.results.kept)
        if not len(inside):
            assert (likeness[person], row[person]) == (0.0, -1)
            continue
        every = [oks_of(truth, person, found, other) for other in inside]
        assert likeness[person] == pytest.approx(max(every))
        assert row[person] == inside[int(np.argmax(every))]


def oks_of(truth: GroundTruth, person: int, found: Predictions, row: int) -> float:
    """The published formula, joint by joint."""
    each = []
    for joint, sigma in enumerate(keypoint_set("coco_17").sigmas):
        x, y, label = truth.keypoints[person, joint]
        if label > 0:
            d = math.dist((x, y), [float(value) for value in found.keypoints[row, joint]])
            each.append(math.exp(-(d**2) / (2 * truth.area[person] * (2 * sigma) ** 2)))
    return sum(each) / len(each)


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [("Apache-2.0", True), ("CC BY 4.0", True), (COCO_TERMS, False), ("", False)],
)
def test_images_are_shown_only_where_the_terms_allow_it(tmp_path, licence, allowed):
    shown, words = gallery(opened_perfect(tmp_path / "a"), licence)
    assert [person.image is not None for person in shown] == [allowed] * len(shown)
    assert ("are not shown" in words) is not allowed
    for person in shown:
        left, top, width, height = (
            int(n) for n in person.drawing.partition('viewBox="')[2].partition('"')[0].split()
        )
        assert (width, height) == person.size
        assert left >= 0 and top >= 0
        if allowed:
            pixels = cv2.imdecode(np.frombuffer(person.image, np.uint8), cv2.IMREAD_COLOR)
            assert pixels.shape[1] / pixels.shape[0] == pytest.approx(width / height, rel=0.05)


def test_only_labelled_joints_are_drawn():
    truth = np.zeros((17, 3))
    truth[[5, 7, 9]] = [[10, 10, 2], [20, 20, 1], [30, 10, 2]]  # left shoulder, elbow, wrist
    both = draw("coco_17", truth, truth[:, :2] + 3, (0, 0, 40, 40))
    assert (both.count("<circle"), both.count("<line")) == (6, 4)
    alone = draw("coco_17", truth, None, (0, 0, 40, 40))
    assert (alone.count("<circle"), alone.count("<line")) == (3, 2)
    assert "left elbow" in alone


def test_mpii_counts_joints_within_half_a_head(tmp_path):
    opened = opened_perfect(tmp_path / "a", protocol=make_records.protocol(scorer="mpii_pckh"))
    truth = opened.dataset.truth
    head = replace(truth, head_size=np.full(len(truth), 50.0))
    opened = replace(opened, dataset=replace(opened.dataset, truth=head))
    # annotations count pixels from one: the prediction of a perfect model stands one before
    for pixels, share in ((-1.0, 1.0), (9.0, 1.0), (10.5, 0.0)):
        likeness, row = resemblance(moved(opened, 0, pixels))
        # half of 0.6 heads of 50 px is 15 px; the diagonal of 10 px is 14.1
        assert likeness[0] == share
        assert row[0] == 0


# --- found beside records --------------------------------------------------------------------


@pytest.fixture
def sample(tmp_path):
    files = saved_predictions.save(tmp_path, images=30)
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    shutil.copy(
        tmp_path / "annotations.json", root / "annotations" / "person_keypoints_val2017.json"
    )
    files.record()
    return files, root


def test_saved_predictions_become_curves_errors_and_persons(sample, tmp_path):
    files, root = sample
    records = store.load_records(files.folder)
    said: list[str] = []
    studies = analyse_predictions(files.folder, records, data_root=root, warn=said.append)
    assert said == []
    (study,) = studies.values()
    assert study.diagnosis.persons > 30
    ((part, drawing),) = study.curves
    assert (part, drawing.count("<polyline")) == ("", 3)
    assert "images are not shown" in study.licence

    index = write_site(records, tmp_path / "site", studies=studies)
    (model,) = (index.parent / "models").iterdir()
    text = model.read_text()
    assert "Which errors cost how much" in text
    assert study.diagnosis.sentence() in text
    assert text.count('class="people"') == len(study.people)
    assert "Which errors cost how much" not in write_again(records, tmp_path)


def write_again(records, folder) -> str:
    index = write_site(records, folder / "plain")
    return next((index.parent / "models").iterdir()).read_text()


def test_predictions_that_cannot_be_used_are_named_and_left_out(sample, tmp_path):
    files, root = sample
    records = store.load_records(files.folder)
    said: list[str] = []
    (root / "annotations" / "person_keypoints_val2017.json").unlink()
    assert analyse_predictions(files.folder, records, data_root=root, warn=said.append) == {}
    assert_mentions(said[0], "demo/demo_s", "predictions")
    shutil.rmtree(files.folder / "predictions")
    assert analyse_predictions(files.folder, records, data_root=root, warn=said.append) == {}
    assert len(said) == 1  # nothing was saved, so that nothing is missed


def test_explanations_are_read_and_shown(tmp_path):
    protocol = make_records.protocol()
    found = Explanation(
        entry="demo/demo_s", dataset="synthetic", metric="AP", claim=61.23,
        start=protocol, end=protocol.with_choices(flip=False),
        measured_start=61.2, measured_end=58.0,
        shares=(Share(axis="flip", start="flip", end="no flip", value=-3.2),),
        grid=(Cell(choices={"flip": "flip"}, measured=61.2, distance=-0.03),),
        persons=68, complete=False,
    )  # fmt: skip
    (tmp_path / "explain-demo_s.json").write_text(json.dumps(found.to_json()))
    (read,), none = find_explanations(tmp_path)
    assert (read, none) == (found, ())
    index = write_site([make_records.evaluation()], tmp_path / "site", explanations=[read])
    text = (index.parent / "models" / "demo-demo_s.html").read_text()
    assert "under demo_gt_flip@1 with flip false" in text
    assert "\u22123.20" in text
    assert "A subset: 68 persons that count." in text

    (tmp_path / "explain-broken.json").write_text("{}")
    (tmp_path / "explain-text.json").write_text(json.dumps(found.to_json() | {"persons": "68"}))
    others, left_out = find_explanations(tmp_path)
    assert others == (found,)
    assert [file.path for file in left_out] == ["explain-broken.json", "explain-text.json"]
    assert "is not what `posebench explain --json` prints" in left_out[0].problem
