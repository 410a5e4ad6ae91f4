"""Shares of one evaluation: merged, they are the bytes of a single run; strangers are refused."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from posebench.downloads.cache import cache_folder
from posebench.evaluation.evaluate import evaluate
from posebench.evaluation.resume import share_of
from posebench.evaluation.shards import evaluate_shard, merge, parse_shard
from posebench.records.predictions import load_predictions, save_predictions
from posebench.synthetic.keypoints_dataset import write_synthetic
from posebench.types.errors import UserError
from posebench.types.request import EvalRequest

# 40 images hold about 90 persons: at 8 a batch, seven shares get some each.
REQUEST = EvalRequest.of(model="demo_s", limit=40, batch_size=8, threads=1)


@pytest.fixture(scope="module")
def single():
    return evaluate("demo_s", limit=40, batch_size=8, threads=1)


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    folders = [tmp_path_factory.mktemp("half") for _ in range(2)]
    for number, folder in enumerate(folders, start=1):
        evaluate_shard(REQUEST, (number, 2), folder)
    return folders


def content(record):
    """Everything about a record that does not depend on the clock."""
    return record.model_dump(exclude={"created", "seconds", "command"})


@pytest.mark.parametrize("count", [1, 2, 7])
def test_merged_shares_are_the_single_run(single, tmp_path, count):
    for number in range(count, 0, -1):
        evaluate_shard(REQUEST, (number, count), tmp_path)
    merged = merge([tmp_path])
    assert merged.predictions_sha256 == single.predictions_sha256
    assert content(merged) == content(single)


def test_shares_may_lie_in_folders_of_their_own(single, halves):
    assert content(merge(halves)) == content(single)


def test_a_share_that_was_interrupted_leaves_no_manifest(tmp_path):
    def stop(what, done, count):
        if list(tmp_path.rglob("*.npz")):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_shard(REQUEST, (1, 1), tmp_path, progress=stop)
    assert not list(tmp_path.rglob("shard-*"))
    with pytest.raises(UserError, match="No finished shard"):
        merge([tmp_path])


def test_every_person_is_in_exactly_one_share():
    for persons in (0, 1, 63, 64, 65, 1000, 104125):
        for count in (1, 2, 7, 64):
            shares = [share_of(persons, 64, (number, count)) for number in range(1, count + 1)]
            assert shares[0][0] == 0
            assert shares[-1][1] == persons
            assert all(one[1] == other[0] for one, other in itertools.pairwise(shares))
            assert all(start % 64 == 0 or start == persons for start, _ in shares)


def test_missing_shares_and_strangers_are_refused(halves, tmp_path):
    with pytest.raises(UserError, match="share 2 of 2 is missing"):
        merge(halves[:1])
    with pytest.raises(UserError, match="No finished shard"):
        merge([tmp_path])
    manifest = json.loads((halves[1] / "shard-2-of-2.json").read_text())
    manifest["request"]["choices"] = {"flip": False}
    (tmp_path / "shard-2-of-2.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="do not belong together: they differ in choices"):
        merge([halves[0], tmp_path])
    (tmp_path / "shard-2-of-2.json").write_text("{}")
    with pytest.raises(UserError, match="is damaged"):
        merge([halves[0], tmp_path])


def test_a_lost_part_is_named(halves, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(halves[1], folder)
    for file in folder.rglob("*.npz"):
        file.unlink()
    with pytest.raises(UserError, match=r"cannot be joined: .*cannot be read"):
        merge([halves[0], folder])


def edited(folders, tmp_path, change):
    """A copy of two finished shards whose second manifest was edited."""
    copies = [Path(shutil.copytree(f, tmp_path / str(k))) for k, f in enumerate(folders)]
    path = copies[1] / "shard-2-of-2.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    return copies


@pytest.mark.parametrize("name", ["posebench", "torch", "numpy", "opencv"])
def test_shards_of_other_versions_are_refused(halves, tmp_path, name):
    copies = edited(halves, tmp_path, lambda manifest: manifest["versions"].update({name: "0.0"}))
    with pytest.raises(UserError, match=f"do not belong together: they differ in {name}"):
        merge(copies)
    other = json.loads((copies[0] / "shard-1-of-2.json").read_text())
    other["versions"][name] = "0.0"
    (copies[0] / "shard-1-of-2.json").write_text(json.dumps(other))
    with pytest.raises(UserError, match=rf"made with {name} 0\.0, which is not what is installed"):
        merge(copies)


def test_shards_of_other_settings_are_refused(halves, tmp_path):
    copies = edited(halves, tmp_path, lambda manifest: manifest["request"].update(batch_size=16))
    with pytest.raises(UserError, match="differ in batch_size"):
        merge(copies)


@pytest.mark.parametrize("what", ["checkpoint", "annotations"])
def test_shards_of_other_files_are_refused(halves, tmp_path, what):
    name = f"{what}_sha256"
    copies = edited(halves, tmp_path, lambda manifest: manifest.update({name: "0" * 64}))
    with pytest.raises(UserError, match=f"do not belong together: they differ in {name}"):
        merge(copies)
    first = copies[0] / "shard-1-of-2.json"
    first.write_text(json.dumps(json.loads(first.read_text()) | {name: "0" * 64}))
    words = {"checkpoint": "weights"}.get(what, what)
    with pytest.raises(UserError, match=rf"another file of {words} \(SHA-256 000000000000, here"):
        merge(copies)


def test_shards_of_other_pixels_are_refused(tmp_path):
    source = write_synthetic(cache_folder() / "synthetic")
    worlds = [Path(shutil.copytree(source, tmp_path / name)) for name in ("one", "other")]
    for path in (worlds[1] / "val2017").iterdir():
        cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    for number, world in enumerate(worlds, start=1):
        request = REQUEST.model_copy(update={"limit": 8, "data_root": world})
        evaluate_shard(request, (number, 2), tmp_path / str(number))
    folders = [tmp_path / "1", tmp_path / "2"]
    for world in worlds:
        with pytest.raises(UserError, match=r"made from another image file .* than the one here"):
            merge(folders, data_root=world)


def test_moved_keypoints_are_refused(halves, tmp_path):
    copies = edited(halves, tmp_path, lambda manifest: None)
    file = next(copies[1].rglob("*-00.npz"))
    found = load_predictions(file)
    save_predictions(replace(found, keypoints=found.keypoints + 40), file)
    with pytest.raises(UserError, match="was changed since it was written"):
        merge(copies)


@pytest.mark.parametrize(
    "text", ["", "1", "0/2", "3/2", "a/b", "1/0", "-1/2", "1/1000000000000", "\u0661/\u0662"]
)
def test_what_is_no_share_is_said(text):
    with pytest.raises(UserError, match="I/N"):
        parse_shard(text)


def test_a_request_survives_json(tmp_path):
    request = EvalRequest.of(
        model="demo_s", checkpoint=tmp_path / "x", flip=False, nms=None, limit=3
    )
    again = EvalRequest.from_json(json.loads(json.dumps(request.to_json())))
    assert again.choices == {"flip": False}
    assert (again.checkpoint, again.limit) == (tmp_path / "x", 3)
    with pytest.raises(UserError, match="flipp"):
        EvalRequest.of(model="demo_s", flipp=True)
