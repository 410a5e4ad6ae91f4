"""Keypoints of filled networks, posebench's way and through mmpose's own test pipeline."""

from __future__ import annotations

import importlib.util
import json
import os

import numpy as np
import pytest
import torch

if importlib.util.find_spec("mmpose") is None:
    if os.environ.get("POSEBENCH_REQUIRE_MMPOSE"):
        pytest.fail("mmpose is not installed", pytrace=False)
    pytest.skip("needs mmpose", allow_module_level=True)

import mmpose_pipeline as pipeline

from posebench.adapters import random_model
from posebench.datasets.boxes import annotation_persons, detector_persons
from posebench.datasets.detections import read_detections
from posebench.datasets.readers import READERS
from posebench.evaluation.protocols import claim_protocols
from posebench.inference.bottom_up import predict_images
from posebench.inference.crop import crop_person
from posebench.inference.image_io import open_image
from posebench.inference.predict import Options, predict
from posebench.inference.select import select
from posebench.mmpose.config import evaluator_of
from posebench.mmpose.stand_ins import stand_in
from posebench.registry import load_registry
from posebench.types.arrays import take

COCO = ("coco", "test_coco.json", "test_coco_det_AP_H_56.json")
WHOLEBODY = ("coco", "test_coco_wholebody.json", "test_coco_det_AP_H_56.json")
CROWDPOSE = ("crowdpose", "test_crowdpose.json", "test_crowdpose_det_AP_40.json")
MPII = ("mpii", "test_mpii.json", None)
# One small network for each decoding, and one for each dataset.
ROWS = {
    "quarter": ("td_hm_mobilenetv2_8xb64_210e_coco_256x192", COCO),
    "stride 8": ("td_hm_cpm_8xb64_210e_coco_256x192", COCO),
    "dark": ("td_hm_res50_dark_8xb64_210e_coco_256x192", COCO),
    "dark, whole body": ("td_hm_vipnas_mbv3_dark_8xb64_210e_coco_wholebody_256x192", WHOLEBODY),
    "dark_udp": ("td_hm_hrnet_w32_udp_8xb64_210e_coco_256x192", COCO),
    "joints picked": ("td_hm_hrnet_w32_8xb64_210e_coco_aic_256x192_combine", COCO),
    "udp_offsets": ("td_hm_hrnet_w32_udp_regress_8xb64_210e_coco_256x192", COCO),
    "quarter_and_half": ("td_hm_rsn18_8xb32_210e_coco_256x192", COCO),
    "simcc": ("rtmpose_t_8xb256_420e_coco_256x192", COCO),
    "simcc, plain head": ("simcc_mobilenetv2_wo_deconv_8xb64_210e_coco_256x192", COCO),
    "simcc, whole body": ("rtmpose_m_8xb64_270e_coco_wholebody_256x192", WHOLEBODY),
    "coordinates": ("td_reg_res50_8xb64_210e_coco_256x192", COCO),
    "coordinates, RLE": ("td_reg_mobilenetv2_rle_pretrained_8xb64_210e_coco_256x192", COCO),
    "coordinates, DSNT": ("ipr_res50_dsnt_8xb64_210e_coco_256x256", COCO),
    "crowdpose": ("rtmpose_m_8xb64_210e_crowdpose_256x192", CROWDPOSE),
    "mpii": ("td_hm_mobilenetv2_8xb64_210e_mpii_256x256", MPII),
}
TAYLOR = {"dark", "dark, whole body", "dark_udp"}
GAINS = {"udp_offsets": 0.5, "dark": 1.0, "dark, whole body": 1.0}  # offsets of noise lead far away
LIMIT = 0.01  # px
PERSONS = 4  # of each row, the first in the file


@pytest.fixture(scope="module")
def registry():
    return load_registry()


def our_dataset(registry, entry, folder, annotations):
    spec = registry.dataset(entry.dataset)
    read = READERS[spec.reader]
    return read(folder / annotations, folder, dataset_id=spec.id, keypoint_set=spec.keypoints)


@pytest.mark.parametrize("name", ROWS)
def test_keypoints_are_those_of_mmpose_s_own_pipeline(name, registry, shared):
    torch.set_num_threads(1)  # threads that wait for each other on a busy machine take minutes
    row, (where, annotations, boxes) = ROWS[name]
    entry, folder = registry.find(f"mmpose/{row}"), shared / "data" / "samples" / where
    model = random_model(entry)
    state = pipeline.filled(model.network, entry.input.size, GAINS.get(name, 0.7))
    dataset = our_dataset(registry, entry, folder, annotations)
    protocol = claim_protocols(entry, registry)[0]
    if boxes is None:
        persons = annotation_persons(dataset, entry.input)
    else:
        found = read_detections(folder / boxes, dataset)
        persons = detector_persons(found, dataset, entry.input, "none", 0.0)
    # persons lie by image here, by place in the file there
    rows = np.argsort(persons.person_id)[:PERSONS]
    persons = take(persons, rows)
    ours = predict(model, dataset, persons, [protocol], Options(batch_size=PERSONS))[0]

    files = {"ann_file": folder / annotations, "img": folder}
    files["bbox_file"] = None if boxes is None else folder / boxes
    theirs = pipeline.dataset_of(pipeline.config_of(entry), **files)
    samples, codec = pipeline.predicted(entry, state, theirs, len(persons))
    points, scores = pipeline.keypoints_of(samples)
    assert len(np.unique(points.round(1))) > len(persons), "the networks say something"
    np.testing.assert_allclose(ours.joint_scores, scores, rtol=1e-5, atol=1e-6)
    apart = np.linalg.norm(points - ours.keypoints, axis=2)
    if name in TAYLOR:  # steps through a Hessian, which may be nearly singular
        sure = ~pipeline.shaky(samples, codec, LIMIT / 5)
        assert sure.mean() > 0.5
        assert np.median(apart) <= LIMIT
        print(f"{name}: {sure.sum()} of {sure.size} joints, {(apart > LIMIT).sum()} further off")
        apart = apart[sure]
    assert apart.max() <= LIMIT, (apart.max(), int((apart > LIMIT).sum()), apart.size)


@pytest.mark.parametrize(
    ("row", "files"),
    [
        ("td_hm_mobilenetv2_8xb64_210e_coco_256x192", COCO),
        ("td_hm_hrnet_w32_8xb64_210e_coco_384x288", COCO),
        ("td_hm_hrnet_w32_udp_8xb64_210e_coco_256x192", COCO),
        ("td_hm_mobilenetv2_8xb64_210e_mpii_256x256", MPII),
    ],
)
def test_crops_have_mmpose_s_bits(row, files, registry, shared):
    where, annotations, boxes = files
    entry, folder = registry.find(f"mmpose/{row}"), shared / "data" / "samples" / where
    dataset = our_dataset(registry, entry, folder, annotations)
    if boxes is None:
        persons = annotation_persons(dataset, entry.input)
    else:
        found = read_detections(folder / boxes, dataset)
        persons = detector_persons(found, dataset, entry.input, "none", 0.0)
    paths = {"ann_file": folder / annotations, "img": folder}
    paths["bbox_file"] = None if boxes is None else folder / boxes
    theirs = pipeline.dataset_of(pipeline.config_of(entry), **paths)
    assert len(theirs) == len(persons)
    order = np.argsort(persons.person_id)
    for place, person in enumerate(order.tolist()):
        image = open_image(dataset.images, int(persons.image_index[person]), entry.input.exif)
        ours = crop_person(image, persons, person, entry.input)
        crop = theirs[place]["inputs"].numpy().transpose(1, 2, 0)
        assert np.array_equal(ours, crop), (place, np.abs(ours.astype(int) - crop).max())


# --- whole images -----------------------------------------------------------------------------

# One model of each head; the gains give a handful of persons or more.
WHOLE = {
    "tags": ("ae_hrnet_w32_8xb24_300e_coco_512x512", 0.7),
    "RTMO": ("rtmo_s_8xb32_600e_coco_640x640", 0.7),
    "RTMO, CrowdPose": ("rtmo_s_8xb32_700e_crowdpose_640x640", 0.7),
    "YOLOX-Pose": ("yoloxpose_tiny_4xb64_300e_coco_416", 0.7),
    "CID": ("cid_hrnet_w32_8xb20_140e_coco_512x512", 0.7),
    "DEKR": ("dekr_hrnet_w32_8xb10_140e_coco_512x512", 0.7),
}
COMPILED = {"DEKR"}


@pytest.mark.parametrize("name", WHOLE)
def test_persons_of_whole_images_are_those_of_mmpose_s_own_pipeline(
    name, registry, shared, tmp_path
):
    if name in COMPILED and "mmcv._ext" in stand_in():
        pytest.skip("needs mmcv's compiled operators")
    torch.set_num_threads(1)
    row, gain = WHOLE[name]
    entry = registry.find(f"mmpose/{row}")
    where, annotations, _ = CROWDPOSE if entry.dataset == "crowdpose" else COCO
    folder = shared / "data" / "samples" / where
    model = random_model(entry)
    state = pipeline.filled(model.network, entry.input.size, gain)
    dataset = our_dataset(registry, entry, folder, annotations)
    protocol = claim_protocols(entry, registry)[0]
    ours = predict_images(model, dataset, [protocol])[0]

    files = {"ann_file": folder / annotations, "img": folder}
    theirs = pipeline.dataset_of(pipeline.config_of(entry), **files)
    samples, _ = pipeline.predicted(entry, state, theirs, len(theirs), batch=1)
    print(name, [len(each.pred_instances.keypoints) for each in samples])
    assert {each.img_id for each in samples} == set(dataset.images.id.tolist())
    for sample in samples:
        found, mine = sample.pred_instances, take(ours, ours.image_id == sample.img_id)
        assert np.asarray(found.keypoints).shape == mine.keypoints.shape
        apart = np.linalg.norm(np.asarray(found.keypoints) - mine.keypoints, axis=2)
        assert apart.max(initial=0) <= LIMIT
        np.testing.assert_allclose(mine.joint_scores, found.keypoint_scores, rtol=1e-5, atol=1e-6)
        if "bboxes" in found:
            low, high = np.split(np.asarray(found.bboxes), 2, axis=1)
            np.testing.assert_allclose(mine.box, np.hstack([low, high - low]), atol=LIMIT)
    assert len(ours) > len(samples), "the networks find somebody"
    assert_same_results(
        select(ours, protocol), protocol, written(entry, samples, theirs, files, tmp_path)
    )


def written(entry, samples, dataset, files, folder):
    """The rows that mmpose's metric writes for the evaluator."""
    from mmpose.registry import METRICS

    metric = evaluator_of(pipeline.config_of(entry)).to_dict()
    metric |= {"ann_file": str(files["ann_file"]), "format_only": True}
    metric = METRICS.build(metric | {"outfile_prefix": str(folder / "results")})
    metric.dataset_meta = dataset.metainfo
    metric.process([], [sample.to_dict() for sample in samples])
    metric.compute_metrics(metric.results)
    return json.loads((folder / "results.keypoints.json").read_text())


def assert_same_results(results, protocol, rows):
    kept = np.flatnonzero(results.kept)
    assert len(rows) == len(kept)
    assert (len(kept) < len(results.kept)) == (protocol.nms != "none")
    assert ("bbox" in rows[0]) == (protocol.result_area == "box")
    for image_id in np.unique(results.predictions.image_id):
        mine = kept[results.predictions.image_id[kept] == image_id]
        mine = mine[np.argsort(-results.score[mine], kind="stable")]
        theirs = [row for row in rows if row["image_id"] == image_id]
        theirs.sort(key=lambda row: -row["score"])
        scores = [row["score"] for row in theirs]
        np.testing.assert_allclose(results.score[mine], scores, rtol=1e-5, atol=1e-6)
        points = np.array([row["keypoints"] for row in theirs]).reshape(len(theirs), -1, 3)
        apart = np.abs(results.predictions.keypoints[mine] - points[..., :2]).max(axis=(1, 2))
        # of equal scores either may come first
        assert np.sort(apart)[: len(apart) // 2].max(initial=0) <= LIMIT
        for person in results.predictions.keypoints[mine]:
            assert np.abs(points[..., :2] - person).max(axis=(1, 2)).min() <= LIMIT
