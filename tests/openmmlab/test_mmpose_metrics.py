"""AP of the same keypoints, from mmpose's metrics and from posebench's selection and scorers."""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest

if importlib.util.find_spec("mmpose") is None:
    if os.environ.get("POSEBENCH_REQUIRE_MMPOSE"):
        pytest.fail("mmpose is not installed", pytrace=False)
    pytest.skip("needs mmpose", allow_module_level=True)

import mmpose_pipeline as pipeline

from posebench.datasets.readers import READERS
from posebench.evaluation.protocols import claim_protocols
from posebench.inference.select import select
from posebench.registry import load_registry
from posebench.scoring.scorers import score
from posebench.types.arrays import Predictions

# Row whose metric it is, folder, annotations; mmpose's names -> ours.
COCO = {"AP": "AP", "AP .5": "AP50", "AP .75": "AP75", "AP (M)": "APM", "AP (L)": "APL"}
COCO |= {"AR": "AR", "AR .5": "AR50", "AR .75": "AR75", "AR (M)": "ARM", "AR (L)": "ARL"}
CROWD = {"AP": "AP", "AP .5": "AP50", "AP .75": "AP75", "AR": "AR", "AR .5": "AR50"}
CROWD |= {"AR .75": "AR75", "AP(E)": "easy/AP", "AP(M)": "medium/AP", "AP(H)": "hard/AP"}
PARTS = ("body", "foot", "face", "lefthand", "righthand", "wholebody")
WHOLEBODY = {f"{part}/{metric}": f"{part}/{metric}" for part in PARTS for metric in ("AP", "AR")}
CASES = {
    "CocoMetric": ("td_hm_hrnet_w32_8xb64_210e_coco_256x192", "coco", "test_coco.json", COCO),
    "CocoMetric, RLE": ("td_reg_res50_rle_8xb64_210e_coco_256x192", "coco", "test_coco.json", COCO),
    "CocoWholeBodyMetric": (
        *("td_hm_hrnet_w32_8xb64_210e_coco_wholebody_256x192", "coco"),
        *("test_coco_wholebody.json", WHOLEBODY),
    ),
    "CrowdPose": (
        *("td_hm_hrnet_w32_8xb64_210e_crowdpose_256x192", "crowdpose"),
        *("test_crowdpose.json", CROWD),
    ),
}
COPIES = 6  # detections of each person, near and far


@pytest.fixture(scope="module")
def registry():
    return load_registry()


def made_up(dataset, seed):
    """Detections around the annotated persons: noise of many sizes, doubles, weak joints."""
    generator = np.random.default_rng(seed)
    truth, joints = dataset.truth, dataset.truth.keypoints.shape[1]
    rows = np.repeat(np.arange(len(truth)), COPIES)
    size = np.sqrt(truth.box[rows, 2] * truth.box[rows, 3])
    spread = size * generator.choice([0.002, 0.01, 0.02, 0.05, 0.2], len(rows))
    noise = generator.normal(size=(len(rows), joints, 2)) * spread[:, None, None]
    box = truth.box[rows] + generator.normal(size=(len(rows), 4))
    box[:, 2:] = np.maximum(box[:, 2:], 2.0)
    box = box.astype(np.float32).astype(np.float64)
    scale = box[:, 2:].astype(np.float32) * np.float32(1.25)
    return Predictions(
        keypoints=(truth.keypoints[rows, :, :2] + noise).astype(np.float32),
        joint_scores=generator.uniform(0.01, 1.0, (len(rows), joints)).astype(np.float32),
        box=box,
        box_score=generator.uniform(0.1, 1.0, len(rows)).astype(np.float32).astype(np.float64),
        crop_area=np.prod(scale, axis=1).astype(np.float64),
        image_id=truth.image_id[rows],
        person_id=np.arange(len(rows)),
        keypoint_set=dataset.keypoint_set,
    ), scale


def their_scores(entry, annotations, images, found, scale):
    """What mmpose's metric says of the same rows."""
    from mmengine.registry import init_default_scope
    from mmpose.registry import METRICS

    config = pipeline.config_of(entry)
    theirs = pipeline.dataset_of(config, ann_file=annotations, img=images)
    init_default_scope("mmpose")
    import mmpose.evaluation  # noqa: F401

    metric = config.val_evaluator
    metric = metric[0] if isinstance(metric, list) else metric
    metric = METRICS.build(metric.to_dict() | {"ann_file": str(annotations)})
    metric.dataset_meta = theirs.metainfo
    corners = np.concatenate([found.box[:, :2], found.box[:, :2] + found.box[:, 2:]], axis=1)
    for row in range(len(found)):
        one = slice(row, row + 1)
        boxes = {"bboxes": corners[one], "bbox_scores": found.box_score[one]}
        points = {"keypoints": found.keypoints[one], "keypoint_scores": found.joint_scores[one]}
        sample = {"id": row, "img_id": int(found.image_id[row]), "pred_instances": boxes | points}
        sample |= {"gt_instances": boxes | {"bbox_scales": scale[one]}, "category_id": 1}
        metric.process([], [sample])
    return metric.compute_metrics(metric.results)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_mmpose_s_metric(name, seed, registry, shared, monkeypatch):
    row, where, annotations, names = CASES[name]
    entry, folder = registry.find(f"mmpose/{row}"), shared / "data" / "samples" / where
    spec = registry.dataset(entry.dataset)
    read = READERS[spec.reader]
    dataset = read(folder / annotations, folder, dataset_id=spec.id, keypoint_set=spec.keypoints)
    found, scale = made_up(dataset, seed)
    protocol = claim_protocols(entry, registry)[0]
    ours = score(select(found, protocol), dataset, protocol, with_intervals=False).values
    stats = _recorded(monkeypatch) if "/" in next(iter(names)) else None
    theirs = their_scores(entry, folder / annotations, folder, found, scale)
    if stats is not None:  # it returns the whole body's numbers alone
        theirs = {f"{p}/AP": s[0] for p, s in zip(PARTS, stats, strict=True)}
        theirs |= {f"{p}/AR": s[5] for p, s in zip(PARTS, stats, strict=True)}
    assert set(names) <= set(theirs)
    measured = {key: theirs[key] for key in names if theirs[key] >= 0}
    assert any(0.05 < value < 0.95 for value in measured.values()), measured
    mine = {key: ours[names[key]] / 100 for key in measured}
    assert mine == pytest.approx(measured, abs=1e-9)


def _recorded(monkeypatch):
    """A list that gets the numbers of every part which CocoWholeBodyMetric evaluates."""
    from mmpose.evaluation.metrics import coco_wholebody_metric as module

    stats = []

    class Recorder(module.COCOeval):
        def summarize(self):
            super().summarize()
            stats.append(self.stats)

    monkeypatch.setattr(module, "COCOeval", Recorder)
    return stats
