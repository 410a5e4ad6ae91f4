"""From a name to a record, on a probe network."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from posebench.api.model import load_model
from posebench.evaluation import prepare
from posebench.evaluation.evaluate import evaluate
from posebench.evaluation.listing import find_entry, list_entries
from posebench.evaluation.protocols import common_protocol, requested_protocols
from posebench.inference import bottom_up
from posebench.networks import NETWORKS
from posebench.records.predictions import digest, load_predictions
from posebench.registry import load_registry
from posebench.types.dataset import Sample
from posebench.types.errors import UserError
from posebench.types.timing import Form


def boxes_file(coco, scale=1.0):
    """Detections made of the annotations, some doubled."""
    content = json.loads((coco / "annotations/person_keypoints_val2017.json").read_text())
    rows = [
        {
            "image_id": person["image_id"],
            "category_id": 1,
            "bbox": person["bbox"],
            "score": scale / (1 + number),
        }
        for number, person in enumerate(content["annotations"] * 2)
    ]
    file = coco / "boxes.json"
    file.write_text(json.dumps(rows))
    return file, len(rows)


def test_all_claims_from_one_run(probes, coco):
    record = evaluate("probe_annotated", data_root=coco, registry=[probes])
    assert [claim.claim.metric for claim in record.claims] == ["AP", "AP50", "AP"]
    assert record.protocol is not None and record.protocol.key == "paddle_gt_quarter@1"
    quarter, quarter50, dark = record.claims
    assert quarter.measured == record.scores["AP"]
    assert quarter50.measured == record.scores["AP50"]
    assert dark.measured != quarter.measured
    assert record.verdict == quarter.verdict == dark.verdict == "too few images (n=5)"
    assert record.boxes is not None
    assert (record.boxes.source, record.boxes.read, record.boxes.used) == ("gt", 7, 5)
    assert record.boxes.box_ap is None
    assert record.dataset is not None
    assert (record.dataset.images, record.dataset.persons) == (4, 5)
    assert record.dataset.images_with_persons == 3


def test_one_forward_pass_serves_all_claims(probes, coco, monkeypatch):
    import make

    calls = []
    forward = make.Probe.forward
    monkeypatch.setattr(
        make.Probe, "forward", lambda self, x: (calls.append(len(x)), forward(self, x))[1]
    )
    evaluate("probe_annotated", data_root=coco, registry=[probes], batch_size=8)
    assert calls == [8, 8], "one batch, plain and mirrored"


def test_an_override_is_held_against_the_claim_it_matches(probes, coco):
    record = evaluate("probe_annotated", data_root=coco, registry=[probes], decode="dark")
    assert [claim.claim.protocol for claim in record.claims] == ["paddle_gt_dark3@1"]
    assert record.protocol is not None and record.protocol.name == "custom"
    assert record.verdict == "too few images (n=5)"
    other = evaluate("probe_annotated", data_root=coco, registry=[probes], nms="none")
    assert other.claims == ()
    assert other.verdict == "no claim"


def test_unproven_boxes_are_not_comparable(probes, coco):
    file, count = boxes_file(coco)
    record = evaluate("probe_detected", data_root=coco, registry=[probes], boxes=str(file))
    assert record.verdict == "not comparable"
    assert record.claims[0].axes == ("box_file: det56 -> boxes.json",)
    assert record.claims[0].difference == pytest.approx((record.scores["AP"] or 0.0) - 70.0)
    assert record.boxes is not None and record.boxes.read == count == 14
    assert record.boxes.kept < record.boxes.used == 14
    assert record.boxes.box_ap is not None and record.boxes.box_ap > 30


def test_own_annotations_are_not_a_part_of_the_claim_s(probes, coco):
    usual = coco / "annotations" / "person_keypoints_val2017.json"
    mine = usual.with_name("mine.json")
    mine.write_bytes(usual.read_bytes())
    record = evaluate("probe_annotated", data_root=coco, annotations=mine, registry=[probes])
    assert {claim.verdict for claim in record.claims} == {"not comparable"}
    assert record.claims[0].axes == ("annotations: person_keypoints_val2017 -> mine.json",)
    assert record.dataset is not None and record.dataset.own_data
    named = evaluate("probe_annotated", data_root=coco, annotations=usual, registry=[probes])
    assert named.dataset is not None and not named.dataset.own_data
    assert named.verdict == "too few images (n=5)"


def test_a_box_score_threshold_drops_boxes(probes, coco):
    file, _ = boxes_file(coco)
    record = evaluate(
        "probe_detected",
        data_root=coco,
        registry=[probes],
        boxes=str(file),
        box_score_threshold=0.2,
    )
    assert record.boxes is not None and record.boxes.used == 5


def test_ground_truth_instead_of_detector_boxes(probes, coco):
    record = evaluate("probe_detected", data_root=coco, registry=[probes], boxes="gt")
    assert record.protocol is not None
    assert (record.protocol.boxes, record.protocol.sanitise) == ("gt", "clip_before_width")
    assert record.verdict == "no claim"


def test_missing_boxes_are_asked_for(probes, coco):
    with pytest.raises(UserError, match=r"AP_H_56_person\.json do not exist") as error:
        evaluate("probe_detected", data_root=coco, registry=[probes])
    assert "--boxes" in error.value.hint


def test_predictions_are_saved_and_round_trip(probes, coco, tmp_path):
    out = tmp_path / "out"
    record = evaluate("probe_annotated", data_root=coco, registry=[probes], save_predictions=out)
    raw = load_predictions(next(out.glob("*.npz")))
    assert digest(raw) == record.predictions_sha256
    results = json.loads(next(out.glob("*.json")).read_text())
    assert record.boxes is not None
    assert len(results) == record.boxes.kept
    assert len(results[0]["keypoints"]) == 51


def test_a_limit_makes_a_subset(probes, coco):
    record = evaluate("probe_annotated", data_root=coco, registry=[probes], limit=1)
    assert record.dataset is not None
    assert record.dataset.images == 1
    assert record.dataset.sample == Sample(limit=1)
    assert not record.dataset.complete
    assert record.boxes is not None and record.boxes.used == 1


def test_batch_size_and_threads_move_nothing(probes, coco):
    records = [
        evaluate("probe_annotated", data_root=coco, registry=[probes], threads=t, batch_size=b)
        for t, b in ((1, 4), (3, 4), (1, 64))
    ]
    assert records[0].predictions_sha256 == records[1].predictions_sha256
    assert records[0].scores == pytest.approx(records[2].scores)


def test_the_record_holds_no_path(probes, coco):
    record = evaluate("probe_annotated", data_root=coco, registry=[probes])
    assert str(coco.parent) not in record.model_dump_json()
    assert record.coverage is None, "random weights cover nothing"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data_root": "nowhere"}, "no such folder"),
        ({"data_root": None}, "--data-root"),
        ({"annotations": "gone.json"}, "gone.json"),
        ({"protocol": "hrnet_det65"}, "hrnet_det65"),
        ({"decode": "associative_embedding"}, "does not fit"),
        ({"inverse": "alpha_pose"}, "does not fit"),
        ({"protocol": "paddle_higherhrnet"}, "needs boxes"),
        ({"dataset": "cocoo"}, "cocoo"),
        ({"device": "tpu"}, "tpu"),
        ({"device": "cuda:0"}, "CUDA"),
        ({"batch_size": 0}, "batch_size cannot be 0"),
        ({"limit": 0}, "limit cannot be 0"),
    ],
)
def test_what_is_wrong_is_said(probes, coco, change, words, monkeypatch):
    from pathlib import Path

    monkeypatch.delenv("POSEBENCH_DATA", raising=False)
    given = {"data_root": coco} | change
    for name in ("data_root", "annotations"):
        if isinstance(given.get(name), str):
            given[name] = Path(given[name])
    with pytest.raises(UserError, match=words) as error:
        evaluate("probe_annotated", registry=[probes], **given)
    assert "\n" not in str(error.value)


def test_the_data_root_may_come_from_the_environment(probes, coco, monkeypatch):
    monkeypatch.setenv("POSEBENCH_DATA", str(coco))
    assert evaluate("probe_annotated", registry=[probes]).scores


def test_a_row_that_is_not_built_yet_says_what_it_lacks(monkeypatch):
    monkeypatch.delitem(NETWORKS.built_in, "fastpose")
    with pytest.raises(UserError, match="network fastpose"):
        load_model(_unbuilt("fastpose"))


def _unbuilt(network: str) -> str:
    return next(e.key for e in list_entries() if e.network.name == network)


def test_status_tells_what_a_row_needs(probes):
    known = {entry.key: entry.status for entry in list_entries(registry=[probes])}
    assert known["probes/probe_annotated"] == "runnable"
    assert known["lpn/lpn_50_coco_256x192"] == "needs checkpoint"
    assert known["lpn/lpn_50_mpii_256x256"] == "needs checkpoint"
    assert known["paddledetection/higherhrnet_hrnet_w32_512"] == "needs checkpoint"
    assert known["paddledetection/tinypose_256x192"] == "needs checkpoint"
    assert find_entry("probe", registry=[probes]).status == "runnable"


def test_filters_of_the_list():
    assert {entry.zoo for entry in list_entries(zoo="lpn")} == {"lpn"}
    assert {entry.dataset for entry in list_entries(dataset="mpii")} == {"mpii"}
    assert {e.status for e in list_entries(status="needs checkpoint")} == {"needs checkpoint"}
    assert all("MIT" in entry.licence for entry in list_entries(licence="mit"))
    assert list_entries(licence="mit")
    assert list_entries(zoo="nobody") == ()


def test_common_keeps_the_models_own_decode():
    known = load_registry()
    lpn, tinypose = known.find("lpn_50", "coco"), known.find("tinypose_256x192")
    one, other = (common_protocol(entry, known) for entry in (lpn, tinypose))
    assert (one.decode, other.decode) == ("softargmax", "dark")
    for protocol in (one, other):
        assert (protocol.boxes, protocol.box_file, protocol.flip) == ("detector", "det56", True)
        assert protocol.name == "common"
    assert requested_protocols(lpn, known, "common", {}) == (one,)


def test_lpns_claim_protocol_is_its_own():
    """Soft-argmax with beta 160, detector boxes, flip with shift, OKS suppression at 0.9."""
    known = load_registry()
    (protocol,) = requested_protocols(known.find("lpn_50", "coco"), known, "claim", {})
    assert (protocol.decode, protocol.softargmax_beta) == ("softargmax", 160.0)
    assert (protocol.boxes, protocol.nms, protocol.nms_threshold) == ("detector", "oks", 0.9)
    assert (protocol.flip, protocol.shift, protocol.visibility_threshold) == (True, True, 0.2)
    assert known.find("lpn_50", "coco").input.colour == "bgr"


def test_tinyposes_claim_protocol_is_its_own():
    """UDP crop, DARK with kernel 3, and the way back that is not UDP's."""
    known = load_registry()
    entry = known.find("tinypose_256x192")
    (protocol,) = requested_protocols(entry, known, "claim", {})
    assert entry.input.crop == "udp_affine"
    assert (protocol.decode, protocol.dark_kernel, protocol.inverse) == ("dark", 3, "affine")
    assert (protocol.boxes, protocol.sanitise) == ("gt", "clip_before_width")
    assert np.isclose(entry.primary.value, 68.8)


def test_annotated_boxes_are_cleaned_as_the_models_own_zoo_does():
    known = load_registry()
    cleaning = {
        "alphapose/fast_res50_coco_256x192": "clip_after_width",
        "alphapose/fast_res50_heatmap_halpe_136_256x192": "clip_after_width_visible",
        "lpn/lpn_50_coco_256x192": "clip_before_width",
    }
    for name, expected in cleaning.items():
        entry = known.find(name)
        (annotated,) = requested_protocols(entry, known, "claim", {"boxes": "gt"})
        assert (annotated.boxes, annotated.sanitise) == ("gt", expected)
        # A detector file of one's own leaves the claim's protocol what it was.
        (detected,) = requested_protocols(entry, known, "claim", {"boxes": "detector"})
        assert detected == requested_protocols(entry, known, "claim", {})[0]
    (gluon,) = requested_protocols(
        known.find("simple_pose_resnet18_v1b_256x192"), known, "claim", {"boxes": "detector"}
    )
    assert gluon.sanitise == "none"


def test_another_form_of_the_network_moves_nothing_but_rounding():
    plain = evaluate("demo_s", limit=10, threads=1)
    fast = evaluate("demo_s", limit=10, threads=1, form=Form(folded=True, channels_last=True))
    assert fast.scores["AP"] == pytest.approx(plain.scores["AP"], abs=0.05)
    (note,) = fast.notes
    assert note.startswith("form of the network: folded, channels-last (")
    assert "of the peak" in note
    with pytest.raises(UserError, match="images of any size"):
        evaluate("demo_bottom_up", limit=2, form=Form(folded=True))


class RetryableError(torch.nn.Module):
    """A network whose first output of every batch or image is not a number."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        found = self.network(x).clone()
        found[0, 0] = math.nan
        return found


def test_persons_without_finite_numbers_are_left_out_counted_and_noted(
    probes, coco, monkeypatch, tmp_path
):
    build = prepare.load_row

    def broken(*given):
        model = build(*given)
        return replace(model, network=RetryableError(model.network).eval())

    monkeypatch.setattr(prepare, "load_row", broken)
    record = evaluate(
        "probe_annotated",
        data_root=coco,
        registry=[probes],
        batch_size=3,
        save_predictions=tmp_path,
    )
    # two batches: a person of each
    assert record.notes[-1] == (
        "2 of 5 persons were left out: the network gave a coordinate or a score that is not a "
        "finite number"
    )
    assert np.isfinite(record.scores["AP"])
    (file,) = tmp_path.glob("*.npz")
    assert len(load_predictions(file)) == 3


def test_a_network_that_gives_persons_may_give_broken_ones(monkeypatch):
    """As RTMO does with random weights."""
    given = bottom_up.persons_of

    def persons_of(*arguments):
        found = given(*arguments)
        found.xy[:1, 3] = np.inf
        return found

    monkeypatch.setattr(bottom_up, "persons_of", persons_of)
    record = evaluate("demo_bottom_up", limit=8)
    count = int(record.notes[-1].split()[0])
    assert record.notes[-1].endswith("that is not a finite number")
    assert 0 < count <= 8
    assert record.boxes is not None and record.boxes.used > 0
