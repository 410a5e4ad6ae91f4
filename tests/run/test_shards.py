"""Shares of one evaluation: merged, they are the bytes of a single run; strangers are refused."""

from __future__ import annotations

import itertools
import json
import shutil

import pytest

from posebench.run.evaluation import evaluate
from posebench.run.parts import share_of
from posebench.run.request import Request
from posebench.run.shards import evaluate_shard, merge, parse_shard
from posebench.types.errors import UserError

# 40 images hold about 90 persons: at 8 a batch, seven shares get some each.
REQUEST = Request.of("demo_s", limit=40, batch_size=8, threads=1)


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


def test_every_person_is_in_exactly_one_share():
    for persons in (0, 1, 63, 64, 65, 1000, 104125):
        for count in (1, 2, 7, 64):
            shares = [share_of(persons, 64, (number, count)) for number in range(1, count + 1)]
            assert shares[0][0] == 0
            assert shares[-1][1] == persons
            assert all(one[1] == other[0] for one, other in itertools.pairwise(shares))
            assert all(start % 64 == 0 or start == persons for start, _ in shares)


def test_missing_shares_and_strangers_are_refused(halves, tmp_path):
    with pytest.raises(UserError, match=r"[Ss]hare 2 of 2 is missing"):
        merge(halves[:1])
    with pytest.raises(UserError, match="No finished share"):
        merge([tmp_path])
    manifest = json.loads((halves[1] / "shard-2-of-2.json").read_text())
    manifest["request"]["choices"] = {"flip": False}
    (tmp_path / "shard-2-of-2.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="do not belong together: they differ in choices"):
        merge([halves[0], tmp_path])
    (tmp_path / "shard-2-of-2.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be read"):
        merge([halves[0], tmp_path])


def test_a_lost_part_is_named(halves, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(halves[1], folder)
    for file in folder.rglob("*.npz"):
        file.unlink()
    with pytest.raises(UserError, match="hold nothing from number"):
        merge([halves[0], folder])


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/0", "-1/2"])
def test_what_is_no_share_is_said(text):
    with pytest.raises(UserError, match="I/N"):
        parse_shard(text)


def test_a_request_survives_json(tmp_path):
    request = Request.of("demo_s", checkpoint=tmp_path / "x", flip=False, nms=None, limit=3)
    again = Request.from_json(json.loads(json.dumps(request.to_json())))
    assert again.choices == {"flip": False}
    assert (again.checkpoint, again.limit) == (tmp_path / "x", 3)
    with pytest.raises(TypeError, match="flipp"):
        Request.of("demo_s", flipp=True)
