"""Every protocol of the zoos, from image to kept persons, against the reference chain.

The network is a probe: one convolution whose peaks move with every pixel, channel and column.
What belongs to the weights (size, crop, colours, mean) comes from a row of the registry.
"""

from __future__ import annotations

import chain_samples
import make
import numpy as np
import pytest
import reference_chain
import reference_keypoints
import torch

from posebench.inference.predict import Options, predict
from posebench.inference.select import select
from posebench.registry import load_registry
from posebench.types.model import PoseModel
from posebench.verification.verify import GAIN, load_filled

BGR = {"colour": "bgr"}

# (protocol, a row of the registry, what this row's network differs in from the recipe)
CASES = [
    ("hrnet_det56@1", "fpd/pose_hrnet_w48_teacher_coco_256x192", {}),
    ("hrnet_det56@1", "lpn/pose_resnet_50_coco_256x192", BGR),
    ("lpn_det56@1", "lpn/lpn_50_coco_256x192", {}),
    ("hrnet_mpii@1", "fpd/hourglass_teacher_mpii_256x256", {}),
    ("hrnet_mpii@1", "lpn/pose_resnet_50_mpii_256x256", {}),
    ("lpn_mpii@1", "lpn/lpn_50_mpii_256x256", {}),
    ("paddle_gt_quarter@1", "paddledetection/lite_hrnet_18_384x288_coco", {}),
    ("paddle_gt_dark3@1", "paddledetection/dark_hrnet_w32_256x192", {}),
    ("paddle_mpii_dark3@1", "paddledetection/hrnet_w32_256x256_mpii", {}),
    ("tinypose_gt@1", "paddledetection/tinypose_128x96", {}),
    ("gluon_gt_flip@1", "gluoncv/simple_pose_resnet18_v1b_256x192", {}),
    ("gluon_gt_noflip@1", "gluoncv/simple_pose_resnet18_v1b_128x96", {}),
    ("gluon_alpha_gt_flip@1", "gluoncv/alpha_pose_resnet101_v1b_coco_320x256", {}),
    ("gluon_alpha_gt_noflip@1", "gluoncv/alpha_pose_resnet101_v1b_coco_320x256", {}),
    ("alphapose_coco_2019@1", "alphapose/fast_res50_coco_256x192", {}),
    ("alphapose_coco_2020@1", "alphapose/hrnet_w32_coco_256x192", {}),
    ("alphapose_coco_2022@1", "alphapose/simple_res50_coco_256x192", {}),
    ("alphapose_halpe_26_2022@1", "alphapose/fast_res50_halpe_26_256x192", {}),
    ("alphapose_halpe_2022_heatmap@1", "alphapose/fast_res50_heatmap_halpe_136_256x192", {}),
    ("alphapose_halpe_2022_integral@1", "alphapose/fast_res50_regression_halpe_136_256x192", {}),
    ("alphapose_halpe_2022_combined@1", "alphapose/fast_dcn_res50_combined_halpe_136_256x192", {}),
    (
        "alphapose_wholebody_2022_integral@1",
        "alphapose/fast_res50_regression_coco_wholebody_256x192",
        {},
    ),
    (
        "alphapose_wholebody_2022_combined@1",
        "alphapose/fast_res50_combined_coco_wholebody_256x192",
        {},
    ),
    ("alphapose_noface_2022@1", "alphapose/fast_dcn_res50_combined_noface_68_256x192", {}),
    ("alphapose_hand_2022@1", "alphapose/fast_dcn_res50_regression_single_hand_256x192", {}),
    ("demo_gt_flip@1", "demo/demo_s", {}),
    ("demo_gt_noflip@1", "demo/demo_s", {}),
    ("demo_det_flip@1", "demo/demo_s", {}),
]
NAMES = [f"{protocol} {row.split('/')[0]}" for protocol, row, _ in CASES]

# What of a protocol the chain uses; the rest names files and scorers.
CHAIN = (
    *("boxes", "sanitise", "dummy_boxes", "box_score_threshold"),
    *("flip", "shift", "flip_merge", "decode", "dark_kernel", "softargmax_beta"),
    *("inverse", "coordinate_bias"),
    *("rescoring", "visibility_threshold", "nms", "nms_threshold"),
)


@pytest.fixture(scope="module")
def registry():
    return load_registry()


@pytest.fixture(scope="module", params=["made up", "real"])
def sample(request, tmp_path_factory):
    if request.param == "real":
        return chain_samples.real(request.getfixturevalue("shared"))
    return chain_samples.made_up(tmp_path_factory.mktemp("made_up") / "coco")


def both_chains(sample, protocol, entry, recipe, folder, network=None):
    """The package's results and the reference persons, by id, on the same scene."""
    spec, joints = entry.input, reference_keypoints.COUNT[entry.input.keypoints]
    images, annotations, detections, pictures, dataset = chain_samples.scene(
        sample, recipe, joints, folder / "annotations.json"
    )
    network = network or make.Probe(joints).eval()
    model = PoseModel(network, entry)
    persons = chain_samples.persons(dataset, spec, protocol, detections, folder / "detections.json")
    raw = predict(model, dataset, persons, [protocol], Options(batch_size=4))[0]
    expected = [
        reference_chain.estimate(recipe, network, pictures, person, spec.size, spec.keypoints)
        for person in reference_chain.persons(recipe, images, annotations, detections)
    ]
    return raw, select(raw, protocol), expected


@pytest.mark.parametrize(("key", "row", "differs"), CASES, ids=NAMES)
def test_the_chain_equals_the_reference_one(sample, registry, key, row, differs, tmp_path):
    recipe = reference_chain.RECIPES[key] | differs
    compare(sample, registry.protocols[key], registry.find(row), recipe, tmp_path)


def test_alphaposes_run_on_annotated_boxes_equals_the_reference_one(sample, registry, tmp_path):
    """Persons without a visibility of 0.35 are left out; no box score is added."""
    protocol = registry.protocols["alphapose_halpe_2022_combined@1"].with_choices(
        boxes="gt", sanitise="clip_after_width_visible"
    )
    entry = registry.find("alphapose/fast_dcn_res50_combined_halpe_136_256x192")
    recipe = reference_chain.RECIPES["alphapose_halpe_annotated"]
    compare(sample, protocol, entry, recipe, tmp_path)


@pytest.mark.parametrize(
    ("key", "row"),
    [
        ("lpn_det56@1", "lpn/lpn_50_coco_256x192"),
        ("hrnet_mpii@1", "fpd/hourglass_student_mpii_256x256"),
        ("gluon_gt_flip@1", "gluoncv/simple_pose_resnet18_v1b_128x96"),
        ("tinypose_gt@1", "paddledetection/tinypose_128x96"),
    ],
)
def test_the_zoos_own_networks_filled_with_made_up_weights(registry, key, row, tmp_path):
    """A network's output reaches the chain as it is, several stacks' last included."""
    entry = registry.find(row)
    network = load_filled(entry, GAIN)[0].network.eval()
    sample = chain_samples.made_up(tmp_path / "coco")
    protocol, recipe = registry.protocols[key], reference_chain.RECIPES[key]
    compare(sample, protocol, entry, recipe, tmp_path, network)


def compare(sample, protocol, entry, recipe, folder, network=None):
    """Keypoints, joint scores, instance scores and kept persons of both chains."""
    with torch.inference_mode():
        raw, results, expected = both_chains(sample, protocol, entry, recipe, folder, network)
    assert sorted(raw.person_id.tolist()) == sorted(person["id"] for person in expected)
    assert len(expected) >= 3
    at = {person_id: number for number, person_id in enumerate(raw.person_id.tolist())}
    away, undecided = [], []
    for person in expected:
        number = at[person["id"]]
        distance = np.abs(raw.keypoints[number] - person["points"]).max(axis=1)
        for k in np.flatnonzero(distance > 1e-3).tolist():
            named = undecided if k in person["undecided"] else away
            named.append((person["id"], k, float(distance[k])))
        # Deep networks round differently in batches: 1e-5 of the person's highest peak.
        near = 0 if network is None else 1e-5 * np.abs(person["scores"]).max()
        np.testing.assert_allclose(raw.joint_scores[number], person["scores"], rtol=1e-5, atol=near)
        assert raw.crop_area[number] == pytest.approx(person["area"])
        total = reference_chain.total(recipe, person)
        assert results.score[number] == pytest.approx(total, abs=max(1e-4, near))
    assert away == []
    assert len(undecided) <= 3, undecided
    kept = sorted(raw.person_id[results.kept].tolist())
    assert kept == reference_chain.kept(recipe, expected, entry.input.keypoints)
    if recipe["suppress"] == "oks" and recipe["boxes"] == "detected":
        assert len(kept) <= len(expected) - 2, "the doubles go"


def test_every_case_is_a_row_that_claims_under_its_protocol(registry):
    claimed = {(claim.protocol, entry.key) for entry in registry.entries for claim in entry.claims}
    for key, row, _ in CASES:
        if any(protocol == key for protocol, _ in claimed):
            assert (key, row) in claimed


def test_every_protocol_is_a_case_or_acts_like_one(registry):
    """Apart: whole images; mmpose's, compared with its own pipeline in tests/openmmlab."""

    def acts(protocol):
        return tuple(getattr(protocol, axis) for axis in CHAIN)

    covered = {acts(registry.protocols[key]) for key, _, _ in CASES}
    apart = [
        key
        for key, protocol in registry.protocols.items()
        if acts(protocol) not in covered
        and protocol.boxes != "none"
        and not key.startswith("mmpose_")
    ]
    assert apart == []
