"""A row evaluated by posebench and by mmengine's ``Runner.test``, from its file to its numbers."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import types
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

if importlib.util.find_spec("mmpose") is None:
    if os.environ.get("POSEBENCH_REQUIRE_MMPOSE"):
        pytest.fail("mmpose is not installed", pytrace=False)
    pytest.skip("needs mmpose", allow_module_level=True)

import mmpose_pipeline as pipeline

from posebench.adapters import load_weights, random_model
from posebench.datasets.boxes import detector_persons
from posebench.datasets.detections import read_detections
from posebench.evaluation.data import open_dataset
from posebench.evaluation.outcome import evaluate_protocols
from posebench.evaluation.prepare import Prepared
from posebench.evaluation.protocols import claim_protocols
from posebench.inference.predict import Options, predict
from posebench.registry import load_registry
from posebench.types.arrays import take
from posebench.types.request import DataPaths

ROW = "mmpose/td_hm_litehrnet_18_8xb64_210e_coco_256x192"
ANNOTATIONS, BOXES = "test_coco.json", "test_coco_det_AP_H_56.json"
METRICS = {"AP": "AP", "AP .5": "AP50", "AP .75": "AP75", "AP (M)": "APM", "AP (L)": "APL"}
METRICS |= {"AR": "AR", "AR .5": "AR50", "AR .75": "AR75", "AR (M)": "ARM", "AR (L)": "ARL"}
# Of the annotated joints from the predicted ones, as a share of the root of the person's area.
SPREADS = (0.003, 0.02, 0.05, 0.1, 0.4)
OPTIONS = Options(batch_size=32)
DRAWING = "mmpose.visualization"
VISIBLE = 0.2  # joints below count for nothing in an instance's score


def saved_weights(entry, file):
    """Write filled weights as mmpose publishes its own; returns the loaded model.

    Heatmaps lie so that some joints count for their instance's score and others do not, and
    some maps are nowhere positive.
    """
    network = random_model(entry).network
    state = pipeline.filled(network, entry.input.size, 1.0)
    with torch.inference_mode():
        maps = network(torch.from_numpy(pipeline.fill.network_input((1, 3, *entry.input.size))))
    state[pipeline.LAST_BIAS] = state[pipeline.LAST_BIAS] - maps.amax((2, 3)).quantile(0.2)
    torch.save({"meta": {}, "state_dict": state}, file)
    # the published file's digest is not this one's
    checkpoint = entry.checkpoint.model_copy(update={"sha256_prefix": None})
    return load_weights(entry.model_copy(update={"checkpoint": checkpoint}), file)


def annotated_where_it_points(model, protocol, dataset, folder, file):
    """Write the samples' annotations with joints near those that the model predicts.

    A network that has learned nothing finds no annotated person, so that every metric would be
    0 on both sides. The n-th annotated person of an image gets the joints predicted in its n-th
    best box, with noise.
    """
    detections = read_detections(folder / BOXES, dataset)
    persons = detector_persons(detections, dataset, model.entry.input, "none", 0.0)
    content = json.loads((folder / ANNOTATIONS).read_text())
    shown = [a for a in content["annotations"] if a["num_keypoints"]]
    waiting = list(np.argsort(-persons.score, kind="stable"))
    image_id = dataset.images.id[persons.image_index]
    rows = []
    for annotation in shown:
        best = next(row for row in waiting if image_id[row] == annotation["image_id"])
        waiting.remove(best)
        rows.append(best)
    found = predict(model, dataset, take(persons, rows), [protocol], OPTIONS)[0]
    generator = np.random.default_rng(0)
    for number, (annotation, points) in enumerate(zip(shown, found.keypoints, strict=True)):
        spread = SPREADS[number % len(SPREADS)] * annotation["area"] ** 0.5
        points = points + generator.normal(size=points.shape) * spread
        triples = np.concatenate([points, np.full((len(points), 1), 2.0)], axis=1)
        annotation |= {"keypoints": triples.ravel().tolist(), "num_keypoints": len(points)}
    file.write_text(json.dumps(content))


def our_evaluation(model, protocol, spec, sources):
    """What ``posebench eval`` evaluates: the outcome of one protocol."""
    dataset = open_dataset(spec, sources, protocol.annotations)
    return evaluate_protocols(Prepared(model, dataset, spec, sources, OPTIONS), [protocol])[0]


def their_evaluation(entry, weights, folder, **files):
    """What ``Runner.test`` returns, and the rows that ``CocoMetric`` writes."""
    config = pipeline.runner_config(pipeline.config_of(entry), weights, folder, **files)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if importlib.util.find_spec("torchvision") is None:
            # the runner imports mmpose's drawing, which needs it; nothing is drawn here
            patch.setitem(sys.modules, DRAWING, types.ModuleType(DRAWING))
        from mmengine.runner import Runner

        metrics = Runner.from_cfg(config).test()
    return metrics, json.loads((folder / "results.keypoints.json").read_text())


@pytest.fixture(scope="module")
def both(shared, tmp_path_factory):
    """Our outcome, their metrics and their rows, of the same files and weights."""
    torch.set_num_threads(1)
    registry = load_registry()
    entry, folder = registry.find(ROW), shared / "data" / "samples" / "coco"
    made = tmp_path_factory.mktemp("runner")
    weights, annotations = made / "weights.pth", made / "annotations.json"
    model = saved_weights(entry, weights)
    protocol, spec = claim_protocols(entry, registry)[0], registry.dataset(entry.dataset)
    assert protocol.flip, "of the claim"
    sources = DataPaths(annotations=folder / ANNOTATIONS, images=folder, boxes=folder / BOXES)
    dataset = open_dataset(spec, sources, protocol.annotations)
    annotated_where_it_points(model, protocol, dataset, folder, annotations)
    ours = our_evaluation(model, protocol, spec, replace(sources, annotations=annotations))
    files = {"ann_file": annotations, "bbox_file": folder / BOXES, "img": folder}
    return ours, *their_evaluation(entry, weights, made, **files)


def matched(rows, results):
    """For each row of a results file, the kept person with its box in its image."""
    kept = np.flatnonzero(results.kept)
    boxes = results.predictions.box[kept]
    apart = np.abs(boxes[None] - np.array([row["bbox"] for row in rows])[:, None]).max(axis=2)
    images = results.predictions.image_id[kept][None] == [[row["image_id"]] for row in rows]
    same = images & (apart < 1e-3)
    assert (same.sum(axis=0) == 1).all(), "each of ours is one of theirs"
    assert (same.sum(axis=1) == 1).all(), "each of theirs is one of ours"
    return kept[same.argmax(axis=1)]


def test_the_same_persons_are_left_with_the_same_joints(both):
    ours, _, rows = both
    triples = np.array([row["keypoints"] for row in rows]).reshape(len(rows), -1, 3)
    assert 0.2 < (triples[..., 2] > VISIBLE).mean() < 0.8
    assert (triples[..., 2] < 0).any(), "maps without a peak"
    assert len(np.unique(triples[..., :2].round(1))) > len(rows), "the network says something"
    assert len(rows) < len(ours.results.kept), "some persons are suppressed"
    points = ours.results.predictions.keypoints[matched(rows, ours.results)]
    apart = np.linalg.norm(points - triples[..., :2], axis=2)
    assert apart.max() <= 0.01, (apart.max(), int((apart > 0.01).sum()), apart.size)


def test_persons_have_the_same_scores(both):
    ours, _, rows = both
    theirs = [row["score"] for row in rows]
    mine = ours.results.score[matched(rows, ours.results)]
    np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6)


def test_the_metrics_are_the_same(both):
    ours, metrics, _ = both
    theirs = {ours: metrics[f"coco/{name}"] * 100 for name, ours in METRICS.items()}
    assert all(1 < value < 99 for value in theirs.values()), theirs
    assert {name: ours.scores.values[name] for name in theirs} == pytest.approx(theirs, abs=1e-9)
