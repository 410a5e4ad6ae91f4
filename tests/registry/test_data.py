"""The shipped rows by themselves: what must hold with no page at hand."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from posebench.keypoints import keypoint_sets, selection
from posebench.registry import Registry, shipped_registry
from posebench.types.entry import Entry

pytestmark = pytest.mark.light

ROWS = {
    **{"alphapose": 22, "fpd": 7, "gluoncv": 16, "lpn": 10, "paddledetection": 15},
    "mmpose": 251,
}
# Cells of the pages, plus FPD's prose (6) and the newest AlphaPose page (1).
CLAIMS = {
    **{"alphapose": 42, "fpd": 78, "gluoncv": 96, "lpn": 126, "paddledetection": 21},
    "mmpose": 1249,
}
WITHOUT_ACCURACY = {
    "alphapose/fast_res50_halpe_26_256x192",
    "alphapose/fast_dcn_res50_combined_noface_68_256x192",
    "alphapose/fast_dcn_res50_regression_single_hand_256x192",
}
PREFIX = re.compile(
    r"(?:(?:fullbody|wholebody|body|foot|face|hand|lefthand|righthand|easy|medium|hard)/)?"
    r"(?:A[PR](?:50|75|M|L)?|PCKh@0\.(?:5(?:/[a-z]+)?|11|10))"
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return shipped_registry()


@pytest.fixture(scope="module")
def published(registry: Registry) -> list[Entry]:
    return [entry for entry in registry.entries if entry.zoo != "demo"]


def test_every_published_row_and_number_is_there(published: list[Entry]) -> None:
    assert Counter(entry.zoo for entry in published) == ROWS
    claims: Counter[str] = Counter()
    for entry in published:
        claims[entry.zoo] += len(entry.claims)
    assert claims == CLAIMS


def test_keys_are_unique_and_carry_the_zoo(registry: Registry) -> None:
    keys = [entry.key for entry in registry.entries]
    assert len(set(keys)) == len(keys)
    assert all(entry.key == f"{entry.zoo}/{entry.id}" for entry in registry.entries)


def test_accuracy_claims_name_a_versioned_protocol_and_others_none(registry: Registry) -> None:
    for entry in registry.entries:
        for claim in entry.claims:
            if claim.is_accuracy:
                assert claim.protocol in registry.protocols
                assert PREFIX.fullmatch(claim.metric), claim.metric
            else:
                assert claim.protocol is None
                assert claim.metric in ("params", "macs", "speed")


def test_the_first_claim_is_the_headline(published: list[Entry]) -> None:
    headline = {"AP", "fullbody/AP", "wholebody/AP", "PCKh@0.5"}
    for entry in published:
        # mmpose publishes other numbers of its models of Halpe's first 26 keypoints
        if entry.key in WITHOUT_ACCURACY or (entry.zoo, entry.dataset) == ("mmpose", "halpe_26"):
            assert entry.primary is None
        else:
            assert entry.primary is entry.claims[0]
            assert entry.claims[0].metric in headline


def test_speeds_say_where_and_what_was_timed(published: list[Entry]) -> None:
    speeds = [c for entry in published for c in entry.claims if c.metric == "speed"]
    assert len(speeds) == 22 + 8 + 4
    assert all(claim.hardware and claim.scope for claim in speeds)
    assert {claim.unit for claim in speeds} == {"iter/s", "frames/s", "ms"}


def test_values_are_plausible_in_posebench_s_units(published: list[Entry]) -> None:
    for entry in published:
        for claim in entry.claims:
            if claim.is_accuracy:
                least = 10 if claim.metric == "PCKh@0.10" else 30
                assert least < claim.value < 100, (entry.key, claim)
            else:
                assert 0 < claim.value < 100


def test_misleading_names_are_kept_beside_ours(published: list[Entry]) -> None:
    claims = [claim for entry in published for claim in entry.claims]
    assert all(c.published_as for c in claims if c.metric in ("PCKh@0.11", "macs"))
    assert all(c.published_as == "AP" for c in claims if c.metric == "fullbody/AP")


def test_rows_speak_of_known_keypoints_datasets_and_licences(registry: Registry) -> None:
    for entry in registry.entries:
        assert entry.input.keypoints in keypoint_sets()
        assert selection(entry.input.keypoints, registry.datasets[entry.dataset].keypoints)
        assert entry.licence
        assert entry.checkpoint.licence


def test_every_row_of_the_published_zoos_can_be_cited(published: list[Entry]) -> None:
    for entry in published:
        entries = re.findall(r"^@\w+\{(\w+),$", entry.citation, flags=re.MULTILINE)
        assert entries, entry.key
        assert entry.citation.count("{") == entry.citation.count("}")


def test_every_quoted_page_is_pinned_to_a_commit(registry: Registry) -> None:
    quoted = {(e.zoo, c.source.page) for e in registry.entries for c in e.claims}
    for zoo, page in quoted:
        if zoo != "demo":
            spec = registry.zoos[zoo].pages[page]
            assert re.fullmatch(r"[0-9a-f]{10,40}", spec.commit or ""), page
            assert spec.repository.startswith("https://github.com/")


def test_shared_files_are_one_checkpoint(registry: Registry) -> None:
    files = {
        "fpd/pose_hrnet_w48_teacher_coco_256x192": "lpn/pose_hrnet_w48_coco_256x192",
        "fpd/pose_hrnet_w32_student_coco_256x192": "lpn/pose_hrnet_w32_coco_256x192",
    }
    for first, second in files.items():
        assert registry.find(first).checkpoint is registry.find(second).checkpoint


def test_every_checkpoint_can_be_located_and_most_serve_a_row(registry: Registry) -> None:
    used = {entry.checkpoint.id for entry in registry.entries}
    unused = set(registry.checkpoints) - used
    assert unused == {"gluoncv_mobile_pose_mobilenetv3_small_c2a11fae"}
    for checkpoint in registry.checkpoints.values():
        assert re.match(r"https://|gdrive:|gdrive-folder:|package:", checkpoint.location or "")
        assert checkpoint.sha1 is None or re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{40}", checkpoint.sha1)


def test_inconsistencies_stand_beside_each_other(registry: Registry) -> None:
    def raws(name: str, metric: str) -> list[str]:
        return [c.raw for c in registry.find(name).claims if c.metric == metric]

    assert raws("fpd/hourglass_student_mpii_256x256", "PCKh@0.5") == ["87.934", "89.040"]
    assert raws("fpd/hourglass_student_fpd_mpii_256x256", "PCKh@0.5") == ["89.040", "87.934"]
    multi = "alphapose/fast_res50_regression_multi_domain_256x192"
    assert raws(multi, "fullbody/AP") == ["50.3", "50.1"]
    assert raws("fpd/pose_hrnet_w48_teacher_coco_256x192", "AP") == ["0.750", "75.0"]
    assert raws("lpn/pose_hrnet_w48_coco_256x192", "AP") == ["0.751"]


def test_what_the_weights_demand(registry: Registry) -> None:
    """Colour order, normalisation and crop, as the zoos' own evaluation code has them."""
    lpn, lpn_mpii = registry.find("lpn_50", "coco"), registry.find("lpn_50", "mpii")
    assert (lpn.input.colour, lpn_mpii.input.colour) == ("bgr", "rgb")
    assert registry.find("lpn/pose_resnet_50_coco_256x192").input.colour == "bgr"
    assert registry.find("lpn/pose_hrnet_w32_coco_256x192").input.colour == "rgb"
    assert registry.find("fpd/hourglass_teacher_mpii_256x256").input.colour == "bgr"
    assert registry.find("tinypose_256x192").input.crop == "udp_affine"
    assert registry.find("paddledetection/hrnet_w32_256x192").input.crop == "hrnet_affine"
    alphapose = registry.find("alphapose/fast_res50_coco_256x192").input
    assert (alphapose.mean, alphapose.std) == ((0.406, 0.457, 0.480), (1.0, 1.0, 1.0))
    assert (alphapose.pixel_std, alphapose.exif) == (1.0, "apply")
    gluon = registry.find("gluoncv/simple_pose_resnet50_v1b_256x192").input
    assert (gluon.mean, gluon.pixel_std) == ((0.485, 0.456, 0.406), 1.0)
    assert registry.find("higherhrnet_hrnet_w32_512").input.crop == "whole_image"


def test_overriding_flip_leads_from_one_claim_s_protocol_to_the_other(registry: Registry) -> None:
    for name in ("gluon_gt", "gluon_alpha_gt", "demo_gt"):
        flipped, plain = registry.protocol(f"{name}_flip"), registry.protocol(f"{name}_noflip")
        assert flipped.with_choices(flip=False).hash == plain.hash


def test_protocols_differ_where_they_should(registry: Registry) -> None:
    def differences(one: str, other: str) -> set[str]:
        return set(registry.protocol(one).differences(registry.protocol(other)))

    assert differences("hrnet_det56", "lpn_det56") == {"decode"}
    assert differences("hrnet_mpii", "lpn_mpii") == {"decode", "coordinate_bias"}
    assert differences("paddle_gt_quarter", "paddle_gt_dark3") == {"decode"}
    assert differences("paddle_gt_dark3", "tinypose_gt") == set()
    assert differences("hrnet_det56", "common") == set()
    assert differences("hrnet_mpii", "paddle_mpii_dark3") == {"decode"}
    assert differences("gluon_gt_flip", "gluon_alpha_gt_flip") == {"dummy_boxes", "inverse"}
    assert all(p.summary for p in registry.protocols.values())


def test_every_protocol_but_the_common_one_stands_behind_a_number(registry: Registry) -> None:
    used = {claim.protocol for entry in registry.entries for claim in entry.claims}
    used |= {entry.protocol for entry in registry.entries}  # rows without an accuracy
    unused = {p for p in registry.protocols if p not in used and not p.startswith("demo_")}
    historical = {"alphapose_coco_2020@1", "alphapose_coco_2022@1"}
    assert unused == {"common@1"} | historical


def test_detector_protocols_name_their_file(registry: Registry) -> None:
    for protocol in registry.protocols.values():
        assert (protocol.box_file is not None) == (protocol.boxes == "detector"), protocol.key
