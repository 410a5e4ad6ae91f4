"""diagnose: the counts of a file, and their sums."""

from __future__ import annotations

import json

import pytest
import saved_predictions

from posebench.analysis.diagnose import diagnose
from posebench.analysis.score import score
from posebench.cli import main as cli
from posebench.keypoints import keypoint_set
from posebench.scoring.diagnosis import ERRORS, KINDS
from posebench.types.errors import UserError


@pytest.fixture
def files(tmp_path):
    return saved_predictions.save(tmp_path, images=30)


@pytest.fixture
def found(files):
    return diagnose(files.results_file(), files.where)


def test_every_joint_and_every_person_is_counted_once(files, found):
    assert found.detections <= len(files.sample["results"])
    assert found.found + found.false_negatives == found.persons > 30
    (whole,) = found.parts
    for joints in (whole.joints, *found.joint_errors.values()):
        assert sum(getattr(joints, kind) for kind in KINDS) == joints.judged
    for kind in ("judged", *KINDS):
        each = [getattr(joints, kind) for joints in found.joint_errors.values()]
        assert sum(each) == getattr(whole.joints, kind)
    assert list(found.joint_errors) == list(keypoint_set("coco_17").names)


@pytest.mark.parametrize("by", ["size", "labelled joints", "crowding"])
def test_groups_share_out_everybody(files, found, by):
    groups = [group for group in found.groups if group.by == by]
    assert sum(group.persons for group in groups) == found.persons
    assert sum(group.missed for group in groups) == found.false_negatives
    assert sum(group.joints.miss for group in groups) == found.parts[0].joints.miss
    mean = sum(group.persons * group.recall for group in groups if group.persons) / found.persons
    assert mean == pytest.approx(score(files.results_file(), files.where).scores["AR"])


def test_the_score_is_the_one_that_score_gives_and_all_mended_is_near_perfect(files, found):
    (whole,) = found.parts
    scores = score(files.results_file(), files.where).scores
    assert (whole.ap, whole.ap50) == (scores["AP"], scores["AP50"])
    assert [correction.error for correction in whole.corrections] == list(ERRORS)
    assert whole.corrections[-1].together_50 > 99 > 50 > whole.ap50
    first = whole.corrections[0]
    assert first.together - whole.ap == pytest.approx(first.alone)
    assert f"AP {whole.ap:.2f}" in found.sentence()
    best = max(whole.corrections, key=lambda correction: correction.alone)
    assert f"mended alone: {best.error} {best.alone:+.1f}" in found.sentence()


def test_the_verb_prints_the_counts(files, found, capsys):
    command = ["diagnose", str(files.results_file()), "--dataset", "coco"]
    command += ["--annotations", str(files.where.annotations)]
    assert cli.main([*command, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content == json.loads(json.dumps(found.to_json()))
    assert cli.main(command) == 0
    text = capsys.readouterr().out
    assert text.startswith(content["sentence"])
    for correction in content["parts"][0]["corrections"]:
        assert f"{correction['alone']:+.2f}" in text
    assert all(name in text for name in keypoint_set("coco_17").names)
    assert f"{found.background:,} of nobody" in text


def test_points_without_a_counted_error_are_explained(files, found, capsys):
    """One detection an image: each is its person's best, and AP still gains by other scores."""
    (before,) = [
        correction for correction in found.parts[0].corrections if correction.error == "score"
    ]
    assert before.count and not [note for note in found.notes() if note.startswith("score")]
    first = {}
    for person in files.sample["annotations"]:
        if not person.get("iscrowd") and any(person["keypoints"][2::3]):
            first.setdefault(person["image_id"], person["keypoints"])
    rows = [
        {
            "image_id": image,
            "category_id": 1,
            # the further away, the higher the score
            "keypoints": [v + (index % 5) * (at % 3 < 2) for at, v in enumerate(keypoints)],
            "score": 0.1 + (index % 5) / 10,
        }
        for index, (image, keypoints) in enumerate(first.items())
    ]
    path = files.results_file(rows, "one_each.json")
    found = diagnose(path, files.where)
    correction = {correction.error: correction for correction in found.parts[0].corrections}[
        "score"
    ]
    assert correction.count == 0 and correction.alone > 1, (correction.count, correction.alone)
    (note,) = [note for note in found.notes() if note.startswith("score: ")]
    assert "the order of different persons" in note
    command = ["diagnose", str(path), "--dataset", "coco"]
    assert cli.main([*command, "--annotations", str(files.where.annotations)]) == 0
    assert note in capsys.readouterr().out


def test_nothing_is_explained_where_nothing_moves(found):
    still = {"alone": 0.0, "alone_50": 0.0, "count": 0}
    (whole,) = found.parts
    same = {"together": whole.ap, "together_50": whole.ap50}
    corrections = tuple(
        correction.model_copy(update=still | same) for correction in whole.corrections
    )
    part = whole.model_copy(update={"corrections": corrections})
    assert found.model_copy(update={"parts": (part,)}).notes() == ()
    # what counts after others are mended is said, though it gains nothing alone
    later = corrections[-2].model_copy(update={"together": whole.ap + 1})
    part = whole.model_copy(update={"corrections": (*corrections[:-2], later, corrections[-1])})
    (note,) = found.model_copy(update={"parts": (part,)}).notes()
    assert note.startswith("duplicate: ") and "asked again" in note


def test_pckh_knows_no_such_errors(files):
    with pytest.raises(UserError, match="mpii_pckh does not use"):
        diagnose(files.results_file(), files.choosing(scorer="mpii_pckh"))
