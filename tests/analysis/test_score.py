"""score: saved predictions give the same numbers again, whoever wrote them."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import saved_predictions

from posebench.analysis.score import load_predictions_of, score
from posebench.cli import main as cli
from posebench.datasets.sample import restrict
from posebench.inference.select import select
from posebench.registry import load_registry
from posebench.scoring.scorers import score as score_results
from posebench.types.arrays import take
from posebench.types.dataset import Sample
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol
from posebench.types.request import ScoringContext


@pytest.fixture
def files(tmp_path):
    return saved_predictions.save(tmp_path)


def direct(files, **choices):
    """The scores of the arrays themselves."""
    protocol = load_registry().protocol("common").with_choices(scorer="coco_oks", **choices)
    results = select(files.results.predictions, protocol)
    return score_results(results, files.dataset, protocol)


def same(found, expected):
    for name, value in expected.values.items():
        if np.isfinite(value):
            assert found.scores[name] == value, name
        else:
            assert found.scores[name] is None, name
    assert found.intervals == expected.intervals


def test_a_results_file_gives_its_own_scores(files):
    found = score(files.results_file(), files.where)
    same(found, direct(files, rescoring="none", nms="none"))
    assert found.scorer.startswith("coco_oks 1 (rules of pycocotools")
    assert (found.read, found.kept) == (len(files.sample["results"]),) * 2
    assert (found.protocol["name"], found.boxes, found.entry) == ("as_written", None, None)
    assert (found.dataset.images, found.dataset.complete) == (12, False)
    low, high = found.intervals["AP"]
    assert low < found.scores["AP"] < high


def test_the_columnar_file_is_rescored_and_suppressed_as_asked(files):
    path = files.columns()
    plain = score(path, files.choosing(rescoring="none", nms="none"))
    same(plain, direct(files, rescoring="none", nms="none"))
    assert plain.kept == plain.read
    usual = score(path, files.where)
    same(usual, direct(files))
    assert usual.kept < usual.read
    assert usual.scores["AP"] != plain.scores["AP"]
    strict = score(path, files.choosing(nms_threshold=0.3, max_detections=2))
    same(strict, direct(files, nms_threshold=0.3, max_detections=2))
    assert strict.kept < usual.kept


def test_a_record_knows_its_protocol_and_its_images(files):
    first = Sample(limit=5, order="file")
    info = saved_predictions.make_records.dataset(id="coco", sample=first)
    found = score(files.record(dataset=info), ScoringContext(annotations=files.where.annotations))
    same(found, direct(replace_dataset(files, restrict(files.dataset, first)), rescoring="none",
                       nms="none"))  # fmt: skip
    assert (found.entry, found.boxes) == ("demo/demo_s", "gt")
    assert (found.dataset.sample, found.dataset.images) == (first, 5)
    assert score(files.record(), files.choosing(limit=3)).dataset.images == 3
    assert "other annotations" in found.notes[0]  # made-up records have a made-up digest
    assert score(files.record(), files.where).notes == ()


HOW_MADE = ("box_file", "sanitise", "flip", "shift", "decode", "inverse", "dark_kernel")
SELECTED = ("rescoring", "visibility_threshold", "nms", "nms_threshold")


def test_what_a_file_does_not_tell_is_null(files):
    """A results file has final scores; no one knows how its persons were found."""
    final = score(files.results_file(), files.choosing(protocol="hrnet_det56")).protocol
    assert {axis: final[axis] for axis in (*HOW_MADE, *SELECTED, "boxes")} == dict.fromkeys(
        (*HOW_MADE, *SELECTED, "boxes")
    )
    assert (final["scorer"], final["max_detections"]) == ("coco_oks", 20)
    assert final["summary"].endswith("; boxes, flip test and decoding are unknown")
    assert final["annotations"] == "annotations"
    assert set(Protocol.axes()) < set(final)


def test_of_saved_columns_only_what_is_done_to_them_is_known(files):
    raw = files.results.predictions
    ones = files.columns(replace(raw, box_score=np.ones(len(raw))), "ones.npz")
    for path, boxes in ((files.columns(), "detector"), (ones, None)):
        found = score(path, files.choosing(nms="none"))
        assert {axis: found.protocol[axis] for axis in HOW_MADE} == dict.fromkeys(HOW_MADE)
        assert found.boxes == found.protocol["boxes"] == boxes
        assert (found.protocol["name"], found.protocol["nms"]) == (None, "none")
        assert found.protocol["rescoring"] == "box_times_mean_visible"


def test_a_record_tells_how_its_predictions_were_made_whatever_is_chosen(files):
    known = score(files.record(), files.choosing()).protocol
    assert (known["name"], known["flip"], known["boxes"]) == ("demo_gt_flip", True, "gt")
    other = score(files.record(), files.choosing(protocol="hrnet_det56")).protocol
    assert (other["name"], other["boxes"], other["box_file"]) == ("custom", "gt", None)
    assert (other["sanitise"], other["nms"]) == ("clip_before_width", "oks")


def replace_dataset(files, dataset):
    inside = np.isin(files.results.predictions.image_id, dataset.images.id)
    raw = take(files.results.predictions, inside)
    return replace(files, dataset=dataset, results=replace(files.results, predictions=raw))


def test_the_area_of_a_results_box_counts_as_evaluators_count_it(files):
    rows = copy.deepcopy(files.sample["results"])
    for row in rows:
        row["bbox"] = [0.0, 0.0, 40.0, 40.0]  # medium, whatever the joints say
    boxed = score(files.results_file(rows), files.where)
    assert boxed.protocol["result_area"] == "box"
    referee = score(files.results_file(rows), files.where, engine="pycocotools")
    assert referee.engine.startswith("pycocotools 2.")
    assert "gives the numbers of pycocotools" in referee.notes[0]
    assert referee.scores == pytest.approx(boxed.scores)
    extent = score(files.results_file(rows), files.choosing(result_area="extent"))
    assert extent.scores["APM"] != boxed.scores["APM"]


def test_the_referee_computes_for_itself(files, monkeypatch):
    from posebench.scoring import reference_evaluators

    found = score(files.results_file(), files.where, engine="pycocotools")
    assert found.scores == score(files.results_file(), files.where).scores
    path, where = files.results_file(), files.where
    monkeypatch.setattr(reference_evaluators, "summary", lambda precision, recall: {"AP": 12.5})
    other = score(path, where, engine="pycocotools")
    assert other.scores["AP"] == 12.5
    assert "differs from pycocotools" in other.notes[0]


def test_the_verb_says_which_engine_ran(files, capsys):
    words = ["score", str(files.results_file()), "--dataset", "coco"]
    words += ["--annotations", str(files.where.annotations)]
    assert cli.main(words) == 0
    assert "\nengine       posebench's own\n" in capsys.readouterr().out
    pytest.importorskip("pycocotools")
    assert cli.main([*words, "--engine", "pycocotools"]) == 0
    assert "\nengine       pycocotools 2." in capsys.readouterr().out


def test_a_missing_file_is_said_before_anything_else(tmp_path):
    for verb in ("score", "diagnose"):
        with pytest.raises(UserError, match=r"There is no file .*nix\.json"):
            load_predictions_of(tmp_path / "nix.json", ScoringContext())
        assert cli.main([verb, str(tmp_path / "nix.json")]) == 2


@pytest.mark.parametrize(
    ("engine", "choices", "words"),
    [
        ("nobody", {}, "Unknown engine 'nobody'"),
        ("xtcocotools", {}, "xtcocotools scores by the rules of wholebody_oks, not of coco_oks"),
    ],
)
def test_an_engine_of_other_rules_is_refused(files, engine, choices, words):
    with pytest.raises(UserError, match=words):
        score(files.results_file(), files.choosing(**choices), engine=engine)


def spoiled(rows, **changes):
    return [rows[0] | changes, *rows[1:]]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda rows: [], "holds no person"),
        (lambda rows: {"annotations": rows}, "is not a results file"),
        (lambda rows: spoiled(rows, image_id=4), "in 1 images that .* does not list, .* is 4"),
        (lambda rows: spoiled(rows, image_id=4.5), "4.5 for its image_id, not a whole number"),
        (
            lambda rows: spoiled(rows, keypoints=[1.0] * 50),
            "row 0 has 50 numbers in keypoints .* 51",
        ),
        (
            lambda rows: spoiled(rows, keypoints=["x"] * 51),
            "row 0 has 'x' in its keypoints, not a finite number",
        ),
        (lambda rows: spoiled(rows, score="high"), "'high' for its score, not a finite number"),
        (
            lambda rows: spoiled(rows, score=float("nan")),
            "row 0 has nan for its score, not a finite",
        ),
        (
            lambda rows: spoiled(rows, keypoints=[float("inf")] * 51),
            "row 0 has inf in its keypoints",
        ),
        (lambda rows: [{k: v for k, v in r.items() if k != "score"} for r in rows], "has no score"),
        (lambda rows: [r | {"category_id": 7} for r in rows], "none of category 1"),
        (lambda rows: spoiled(rows, category_id="1"), "row 0 has '1' for its category_id, not a w"),
        (lambda rows: spoiled(rows, category_id=None), "row 0 has null for its category_id"),
        (lambda rows: spoiled(rows, keypoints=[True] * 51), "row 0 has true in its keypoints"),
        (lambda rows: spoiled(rows, score=True), "row 0 has true for its score, not a finite"),
        (lambda rows: spoiled(rows, bbox=[1, 2, True, 4]), "row 0 has true in its bbox"),
        (lambda rows: spoiled(rows, bbox=[1, 2, 3, 4]), "row 1 has no bbox, other rows have one"),
        (lambda rows: [rows[0], rows[1] | {"bbox": [1, 2, 3, 4]}], "row 0 has no bbox, other"),
        (lambda rows: spoiled(rows, bbox=None), "row 0 has null for its bbox, not a list of 4"),
        (lambda rows: spoiled(rows, image_id=2**63), "9223372036854775808 for its image_id, outs"),
        (lambda rows: spoiled(rows, image_id="no"), "'no' for its image_id, neither a whole num"),
        (lambda rows: [rows[0], None, 3], "2 rows that .*: row 1 is null, not an object; row 2 is"),
        (
            lambda rows: spoiled(rows, keypoints={"0": 1}),
            "row 0 has an object for its keypoints, not a list of 51",
        ),
    ],
)
def test_what_an_evaluator_would_take_for_zero_is_refused(files, spoil, words):
    path = files.results_file(spoil(copy.deepcopy(files.sample["results"])))
    with pytest.raises(UserError, match=words):
        score(path, files.where)


@pytest.mark.parametrize("form", ["{name}", "val2017/{name}", "{stem}", "a/b/{stem}"])
def test_results_may_name_their_image_by_its_file(files, form):
    known = dict(zip(files.dataset.images.id.tolist(), files.dataset.images.file_name, strict=True))
    rows = copy.deepcopy(files.sample["results"])
    for row in rows[1:]:
        name = known[row["image_id"]]
        row["image_id"] = form.format(name=name, stem=name.removesuffix(".jpg"))
    path = files.results_file(rows)
    assert score(path, files.where).scores == score(files.results_file(), files.where).scores
    # also where fewer images count than are named
    assert score(files.results_file(rows), files.choosing(limit=3)).dataset.images == 3


def test_a_name_of_two_images_names_neither(files):
    annotations = json.loads(files.where.annotations.read_text())
    first, second = annotations["images"][:2]
    first["file_name"], second["file_name"] = "a/x.jpg", "b/x.jpg"
    files.where.annotations.write_text(json.dumps(annotations))
    rows = [row | {"image_id": "x.jpg"} for row in files.sample["results"][:2]]
    with pytest.raises(UserError, match=r"'x.jpg' for its image_id, the file name of 2 images"):
        score(files.results_file(rows), files.where)
    rows = [row | {"image_id": "b/x.jpg"} for row in rows]
    assert score(files.results_file(rows), files.where).read == 2


@pytest.mark.parametrize("number", [-(2**63), 10**15, 2**53 + 1, 2**63 - 1])
def test_image_ids_may_be_any_number_of_64_bits(files, number):
    whole = score(files.results_file(), files.where)
    # Ties between images go by their ids: their order has to stay.
    known = files.dataset.images.id.min() if number < 0 else files.dataset.images.id.max()
    content = json.loads(files.where.annotations.read_text())
    for row in [*content["annotations"], *content["images"], *files.sample["results"]]:
        key = "id" if "file_name" in row else "image_id"
        row[key] = number if row[key] == known else row[key]
    files.where.annotations.write_text(json.dumps(content))
    found = score(files.results_file(), files.where)
    assert (found.kept, found.scores) == (whole.kept, whole.scores)


@pytest.mark.parametrize(
    ("field", "number"),
    [
        *(
            (name, np.nan)
            for name in ("keypoints", "joint_scores", "box", "box_score", "crop_area")
        ),
        *(("crop_area", n) for n in (np.inf, -1.0)),
        *(("box", n) for n in (np.inf, -1.0)),
        ("keypoints", 3e38),
    ],
)
def test_saved_numbers_that_cannot_be_drop_nobody_in_silence(files, field, number):
    """A suppression takes whom it compares with such a number for the same person, or nobody."""
    raw = files.results.predictions
    column = np.array(getattr(raw, field))
    column[3, ...] = number
    path = files.columns(replace(raw, **{field: column}))
    with pytest.raises(UserError, match=f"Row 3 of .* has .* in its {field}, which must lie betw"):
        score(path, files.where)


def test_files_that_do_not_fit_are_refused(files, tmp_path):
    path = files.results_file()
    with pytest.raises(UserError, match="Which dataset"):
        score(path, files.choosing(dataset=None))
    with pytest.raises(UserError, match="scored as it is: nms cannot be chosen"):
        score(path, files.choosing(nms="none"))
    with pytest.raises(UserError, match=r"nowhere\.json"):
        score(tmp_path / "nowhere.json", files.where)
    raw = files.results.predictions
    nobody = files.columns(take(raw, np.zeros(len(raw), bool)))
    with pytest.raises(UserError, match="holds no person"):
        score(nobody, files.where)
    record = files.record()
    (columns,) = (tmp_path / "predictions").iterdir()
    files.columns(replace(raw, box_score=raw.box_score / 2), f"predictions/{columns.name}")
    with pytest.raises(UserError, match="does not hold the predictions that the record speaks of"):
        score(record, files.where)
    columns.unlink()
    with pytest.raises(UserError, match="are not saved"):
        score(record, files.where)


def test_the_verb_prints_scores_and_intervals(files, capsys):
    command = ["score", "--predictions", str(files.results_file()), "--dataset", "coco"]
    command += ["--annotations", str(files.where.annotations)]
    assert cli.main([*command, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["scores"] == score(files.results_file(), files.where).scores
    assert cli.main(command) == 0
    text = capsys.readouterr().out
    low, high = content["intervals"]["AP"]
    assert f"{content['scores']['AP']:.2f}  {low:.2f} to {high:.2f}" in text
    assert "Own data: 12 images" in text and "coco_oks 1 (rules of pycocotools" in text
    assert cli.main([*command, "--nms", "none"]) == 2
    assert "scored as it is" in capsys.readouterr().err
