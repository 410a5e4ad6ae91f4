"""The main job on real images with real trained weights; needs the shared folder."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import reference_steps
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from posebench.api.model import load_model
from posebench.evaluation.evaluate import evaluate
from posebench.records.predictions import load_predictions

SIZE = (256, 192)


@pytest.fixture(scope="module")
def weights(shared):
    return shared / "data" / "weights" / "tinypose_256x192.pdparams"


@pytest.fixture(scope="module")
def mini(shared):
    return shared / "data" / "coco_mini"


def test_tinypose_reproduces_the_reference_on_real_images(weights, mini, tmp_path):
    """PaddleDetection's own code gives 67.22 for these weights on these images."""
    record = evaluate(
        "tinypose_256x192",
        dataset="coco",
        checkpoint=weights,
        data_root=mini,
        batch_size=34,
        save_predictions=tmp_path,
    )
    assert record.scores["AP"] == pytest.approx(67.22, abs=0.05)
    assert record.scores["AP50"] == pytest.approx(84.40, abs=0.05)
    assert record.scores["AR"] == pytest.approx(69.26, abs=0.05)
    assert record.coverage == 1.0
    assert record.verdict == "consistent (n=68)"
    assert record.dataset is not None and not record.dataset.complete
    assert record.boxes is not None
    assert (record.boxes.read, record.boxes.used) == (118, 68)
    assert {path.suffix for path in tmp_path.iterdir()} == {".npz", ".json"}


def test_the_corner_aligned_way_back_costs_nearly_five_points(weights, mini):
    """TinyPose crops corner-aligned but was trained on joints at a quarter of the input."""
    record = evaluate(
        "tinypose_256x192", checkpoint=weights, data_root=mini, batch_size=34, inverse="udp"
    )
    assert record.scores["AP"] == pytest.approx(67.22 - 4.7, abs=0.06)
    assert record.verdict == "no claim"
    assert record.claims == ()


def test_the_command_gives_the_figures_the_contract_promises(weights, mini, tmp_path):
    command = ["eval", "--model", "tinypose_256x192", "--dataset", "coco", "--no-flip", "--json"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "posebench",
            *command,
            *("--checkpoint", str(weights), "--data-root", str(mini)),
            *("--output", str(tmp_path), "--batch-size", "34"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    record = json.loads(done.stdout)
    assert record["scores"]["AP"] == pytest.approx(67.01, abs=0.05)
    assert str(mini.parent) not in done.stdout, "no absolute path of this machine"


def test_detector_boxes_equal_a_reference_loop_person_by_person(weights, shared, tmp_path):
    """The 56.4-AP file's lines for four images: joints, scores and kept persons."""
    samples = shared / "data" / "samples" / "coco"
    boxes = samples / "test_coco_det_AP_H_56.json"
    record = evaluate(
        "tinypose_256x192",
        checkpoint=weights,
        annotations=samples / "test_coco.json",
        images=samples,
        boxes=str(boxes),
        batch_size=59,
        save_predictions=tmp_path,
    )
    assert record.boxes is not None
    assert (record.boxes.read, record.boxes.used) == (118, 118)
    assert record.boxes.box_ap == pytest.approx(reference_box_ap(samples, boxes))
    assert record.scores["AP"] is not None and record.scores["AP"] > 50
    assert record.protocol is not None
    assert record.protocol.box_file == boxes.name, "118 boxes do not prove to be the 56.4-AP file"
    raw = load_predictions(next(tmp_path.glob("*.npz")))
    kept_points = json.loads(next(tmp_path.glob("*.json")).read_text())
    network = load_model("tinypose_256x192", weights).network
    expected = reference_detections(network, samples, json.loads(boxes.read_text()))
    off = []
    for row, place in enumerate(raw.person_id):
        points, scores, area, _ = expected[int(place)]
        distance = np.abs(raw.keypoints[row] - points).max(axis=1)
        off += [(int(place), int(k), float(distance[k])) for k in np.flatnonzero(distance > 1e-3)]
        np.testing.assert_allclose(raw.joint_scores[row], scores, atol=1e-5)
        assert raw.crop_area[row] == pytest.approx(area)
    assert off == []
    ids = {image: [] for image in raw.image_id.tolist()}
    for place, (points, scores, area, image) in expected.items():
        score = reference_steps.instance_score(
            scores, json.loads(boxes.read_text())[place]["score"]
        )
        ids[image].append((place, points.tolist(), area, score))
    kept = [place for people in ids.values() for place in reference_steps.suppress(people)]
    assert record.boxes.kept == len(kept) < 118
    ours = sorted(round(person["score"], 5) for person in kept_points)
    everyone = {person[0]: person[3] for people in ids.values() for person in people}
    assert ours == pytest.approx(sorted(everyone[place] for place in kept), abs=2e-5)


def reference_box_ap(samples, boxes):
    """pycocotools on the files as they are."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(samples / "test_coco.json"))
        engine = COCOeval(truth, truth.loadRes(str(boxes)), "bbox")
        engine.evaluate()
        engine.accumulate()
        engine.summarize()
    return 100 * engine.stats[0]


def reference_detections(network, samples, detections):
    """Every detection through reference code: place -> points, scores, area, image id."""
    found = {}
    for place, detection in enumerate(detections):
        image = cv2.imread(str(samples / f"{detection['image_id']:012d}.jpg"))
        centre, scale = reference_steps.centre_scale(detection["bbox"], *SIZE)
        crop = reference_steps.crop(image, reference_steps.udp_matrix(centre, scale, *SIZE), *SIZE)
        with torch.no_grad():
            heat = reference_steps.heatmap(network, reference_steps.tensor(crop))
        joints = [reference_steps.decode_dark(joint) for joint in heat]
        back = reference_steps.hrnet_matrix(centre, scale, 64, 48, inverse=True)
        points = reference_steps.to_image([(x, y) for x, y, _ in joints], back)
        scores = [float(score) for *_, score in joints]
        found[place] = (
            points,
            scores,
            float(np.prod(scale * np.float32(200))),
            detection["image_id"],
        )
    return found
