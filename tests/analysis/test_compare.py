"""compare: what the second of two sets of predictions gains, and how sure that is."""

from __future__ import annotations

import json
from dataclasses import replace

import make_records
import numpy as np
import pytest
import saved_predictions

from posebench.analysis.compare import compare
from posebench.analysis.score import score
from posebench.cli import main as cli
from posebench.types.dataset import Sample
from posebench.types.errors import UserError
from posebench.types.record import BoxInfo

DRAWS = 300


@pytest.fixture
def files(tmp_path):
    return saved_predictions.save(tmp_path, images=60)


def worse(files, share=1.0, noise=12.0):
    """The same predictions with joints blurred in a share of the images."""
    raw = files.results.predictions
    generator = np.random.default_rng(1)
    ids = files.dataset.images.id
    blurred = np.isin(raw.image_id, ids[: int(share * len(ids))])
    step = generator.normal(0, noise, raw.keypoints.shape).astype(np.float32)
    return replace(raw, keypoints=raw.keypoints + step * blurred[:, None, None])


def test_the_blurred_ones_are_worse_for_sure(files):
    first, second = files.record(), files.record(worse(files), name="demo_m")
    found = compare(first, second, files.where, resamples=DRAWS)
    main = found.differences[0]
    assert main.metric == "AP"
    assert main.first == score(first, files.where).scores["AP"]
    assert main.second == score(second, files.where).scores["AP"]
    assert main.difference == main.second - main.first < 0
    low, high = main.interval
    assert low < main.difference < high < 0
    assert main.p == pytest.approx(2 / (DRAWS + 1))
    assert found.sentence().endswith("demo/demo_s is better.")
    # The other way round it is the same with its sign turned.
    back = compare(second, first, files.where, resamples=DRAWS).differences[0]
    assert back.interval == pytest.approx((-high, -low))
    assert (back.difference, back.p) == (-main.difference, main.p)


def test_the_same_images_are_drawn_for_both(files):
    """Paired: of two sets that differ in one image little is uncertain."""
    first = files.columns()
    second = files.columns(worse(files, share=1 / 60), "other.npz")
    found = compare(first, second, files.where, resamples=DRAWS)
    low, high = found.differences[0].interval
    alone = found.first.intervals["AP"]
    assert high - low < (alone[1] - alone[0]) / 3


def test_equal_predictions_do_not_differ(files):
    path = files.columns()
    found = compare(path, path, files.where, resamples=DRAWS)
    for each in found.differences:
        assert (each.difference, each.interval, each.p) == (0.0, (0.0, 0.0), 1.0)
    assert found.sentence().endswith("the two are equal.")


def test_noise_alone_tells_nobody_apart(files):
    generator = np.random.default_rng(2)
    raw = files.results.predictions
    ranks = replace(raw, box_score=generator.permutation(raw.box_score))
    other = replace(raw, box_score=generator.permutation(raw.box_score))
    where = files.choosing(rescoring="none", nms="none")
    found = compare(files.columns(ranks), files.columns(other, "o.npz"), where, resamples=DRAWS)
    (low, high), p = found.differences[0].interval, found.differences[0].p
    assert low < 0 < high and p > 0.05
    assert "do not tell which" in found.sentence()


def test_draws_are_seeded(files):
    paths = files.columns(), files.columns(worse(files), "other.npz")
    one, again, other = (
        compare(*paths, files.where, resamples=50, seed=seed).differences for seed in (1, 1, 2)
    )
    assert one == again != other


def on(files, **changes):
    fields = {"id": "coco", "sample": None, "annotations_sha256": files.dataset.annotations_sha256}
    return {"dataset": make_records.dataset(**(fields | changes))}


DETECTED = BoxInfo(source="detector", sha256="11" * 32, read=9, used=9, kept=9)
OBSTACLES = {
    "annotation files differ": lambda files: on(files, annotations_sha256="00" * 32),
    "on 60 images, the second on 7": lambda files: on(files, sample=Sample(limit=7)),
    "boxes differ .gt and detector": lambda files: {"boxes": DETECTED},
}


@pytest.mark.parametrize("words", OBSTACLES)
def test_other_data_or_boxes_are_refused_until_forced(files, words):
    sides = files.record(), files.record(worse(files), name="demo_m", **OBSTACLES[words](files))
    where = files.choosing(dataset=None)
    with pytest.raises(UserError, match=words) as refused:
        compare(*sides, where, resamples=20)
    assert "--force" in refused.value.hint
    found = compare(*sides, where, resamples=20, force=True)
    assert len(found.forced) == 1
    images = 7 if "7" in words else 60
    assert (found.first.dataset.images, found.second.dataset.images) == (images, images)


def test_another_dataset_is_refused(files):
    other = on(files, id="synthetic")
    sides = files.record(), files.record(worse(files), name="demo_m", **other)
    with pytest.raises(UserError, match="the first is on coco, the second on synthetic"):
        compare(*sides, files.choosing(dataset=None), resamples=20)


def test_two_detector_files_are_told_apart(files):
    one, again = files.record(boxes=DETECTED), DETECTED.model_copy(update={"sha256": "22" * 32})
    other = files.record(worse(files), name="demo_m", boxes=again)
    with pytest.raises(UserError, match="box files differ"):
        compare(one, other, files.where, resamples=20)


def test_a_subset_of_metrics(files):
    paths = files.columns(), files.columns(worse(files), "other.npz")
    found = compare(*paths, files.where, resamples=20, metrics=("AR", "APL"))
    assert [each.metric for each in found.differences] == ["AR", "APL"]
    with pytest.raises(UserError, match="no interval for PCKh"):
        compare(*paths, files.where, resamples=20, metrics=("PCKh",))
    with pytest.raises(UserError, match="--resamples 0"):
        compare(*paths, files.where, resamples=0)


def test_the_whole_body_comes_before_its_parts(tmp_path):
    files = saved_predictions.save(tmp_path, images=12, name="wholebody_133")
    paths = files.columns(), files.columns(worse(files), "other.npz")
    found = compare(*paths, files.choosing(dataset="coco_wholebody"), resamples=20)
    metrics = [each.metric for each in found.differences]
    assert metrics[0] == "wholebody/AP" and metrics[10] == "body/AP" and len(metrics) == 60
    assert found.sentence().startswith("wholebody/AP ")


def test_the_verb_prints_every_metric(files, capsys):
    paths = [str(files.columns()), str(files.columns(worse(files), "other.npz"))]
    command = ["compare", *paths, "--dataset", "coco", "--resamples", "50", "--seed", "4"]
    command += ["--annotations", str(files.where.annotations)]
    assert cli.main([*command, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["sentence"] and (content["resamples"], content["seed"]) == (50, 4)
    assert cli.main(command) == 0
    text = capsys.readouterr().out
    assert text.startswith(content["sentence"])
    for each in content["differences"]:
        if "/" not in each["metric"]:
            assert f"{each['difference']:+.2f}  {each['interval'][0]:+.2f} to" in text
    assert cli.main([*command, "--metric", "nothing"]) == 2
