"""The raw columnar file: round trip, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from posebench.records.predictions import (
    DTYPES,
    digest,
    load_predictions,
    save_coco_results,
    save_predictions,
)
from posebench.types.arrays import Predictions, Results
from posebench.types.errors import UserError


def predictions(count=3):
    generator = np.random.default_rng(0)
    return Predictions(
        keypoints=generator.uniform(0, 99, (count, 17, 2)).astype(np.float32),
        joint_scores=generator.uniform(0, 1, (count, 17)).astype(np.float32),
        box=np.tile([1.0, 2.0, 30.0, 40.0], (count, 1)),
        box_score=np.ones(count),
        crop_area=np.full(count, 5.0),
        image_id=np.arange(count),
        person_id=np.arange(count) + 7,
        keypoint_set="coco_17",
    )


@pytest.mark.parametrize("count", [0, 3])
def test_what_is_saved_is_loaded(tmp_path, count):
    saved = predictions(count)
    save_predictions(saved, tmp_path / "deep" / "p.npz")
    loaded = load_predictions(tmp_path / "deep" / "p.npz")
    assert digest(loaded) == digest(saved)
    assert loaded.keypoint_set == "coco_17"
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["p.npz"], "no temporary file stays"


def test_the_digest_sees_every_field():
    base = predictions()
    seen = {digest(base)}
    for name in DTYPES:
        changed = getattr(base, name).copy()
        changed.flat[0] += 1
        seen.add(digest(Predictions(**(vars(base) | {name: changed}))))
    assert len(seen) == 1 + len(DTYPES) == 8


def test_arrays_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        predictions().keypoints[0] = 0


@pytest.mark.parametrize(
    "change",
    [
        {"keypoints": np.zeros((3, 16, 2), np.float32)},
        {"keypoints": np.zeros((3, 17, 2))},
        {"box_score": np.zeros(2)},
        {"format_version": np.int64(99)},
        {"joint_scores": None},
        {"keypoint_set": np.str_("nobody_3")},
    ],
)
def test_a_wrong_file_is_refused(tmp_path, change):
    path = tmp_path / "p.npz"
    save_predictions(predictions(), path)
    with np.load(path) as content:
        fields = {name: content[name] for name in content.files} | change
    np.savez(path, **{name: value for name, value in fields.items() if value is not None})
    with pytest.raises(UserError):
        load_predictions(path)


@pytest.mark.parametrize("data", [b"", b"<html>", b"PK\x03\x04 truncated"])
def test_no_archive_is_refused(tmp_path, data):
    path = tmp_path / "p.npz"
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"p\.npz"):
        load_predictions(path)
    with pytest.raises(UserError, match=r"gone\.npz"):
        load_predictions(tmp_path / "gone.npz")


def test_an_object_array_is_never_unpickled(tmp_path):
    path = tmp_path / "p.npz"
    np.savez(path, keypoints=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError):
        load_predictions(path)


def test_an_unwritable_place_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    raw = predictions()
    with pytest.raises(UserError, match="cannot be written"):
        save_predictions(raw, tmp_path / "file" / "p.npz")
    results = Results(raw, np.ones(3), np.ones(3, np.bool_))
    with pytest.raises(UserError, match="cannot be written"):
        save_coco_results(results, tmp_path / "file" / "r.json")
