"""One chunk: what was written comes back, and anything that does not fit is named."""

from __future__ import annotations

import hashlib
import json

import make
import numpy as np
import pytest

from posebench.datasets.boxes import ground_truth_persons
from posebench.datasets.coco import load_coco
from posebench.evaluation.chunks import ChunkRef, ResumeStore, Unusable
from posebench.evaluation.resume import _of_persons
from posebench.inference.image_io import ImageDigests
from posebench.inference.predict import Options
from posebench.records.predictions import digest, load_predictions, save_predictions
from posebench.types.arrays import take
from posebench.types.entry import InputSpec

SPEC = InputSpec(size=(64, 48))
KEY = "probe-0123456789abcdef"


@pytest.fixture
def stored(tmp_path):
    """A store with one chunk of four persons, its name, and what it must fit."""
    root = make.write_coco(tmp_path / "coco", people_per_image=(4, 5))
    file = root / "annotations" / "person_keypoints_val2017.json"
    dataset = load_coco(file, root / "val2017", dataset_id="coco", keypoint_set="coco_17")
    persons = ground_truth_persons(dataset, SPEC, "clip_before_width")
    options = Options(batch_size=2, threads=1)
    work = _of_persons(make.probe_model(SPEC), dataset, persons, [make.protocol()], options, KEY)
    digests = ImageDigests()
    found = work.run(0, 4, None, digests)
    store = ResumeStore(tmp_path / KEY, KEY, 1)
    return store, store.save(0, 4, found, digests.items()), dataset, work, found


def described(store, ref, change):
    """Rewrite a chunk's description, with the digest that it then has."""
    path = store.file(ref)
    content = json.loads(path.read_text())
    change(content)
    data = json.dumps(content).encode()
    path.write_bytes(data)
    return ref.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})


def test_a_chunk_comes_back(stored):
    store, ref, dataset, work, found = stored
    digests = ImageDigests()
    stop, again, name = store.find(0, 100, dataset, work, digests)
    assert (stop, name) == (4, ref)
    assert [digest(each) for each in again] == [digest(each) for each in found]
    assert len(digests) == len(work.rows(0, 4))


def test_a_changed_description_is_refused_by_its_digest(stored):
    store, ref, dataset, work, _ = stored
    described(store, ref, lambda content: content.update(stop=3))
    with pytest.raises(Unusable, match="was changed since it was written"):
        store.load(ref, 100, dataset, work, ImageDigests())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(stop="4"), "description is damaged .stop"),
        (lambda c: c.update(surprise=1), "description is damaged .surprise"),
        (lambda c: c.update(start=1), "describes another chunk"),
        (lambda c: c.update(key="other-0123456789abcdef"), "describes another chunk"),
        (lambda c: c.update(files=[]), "has 0 of 1 files"),
        (lambda c: c.update(images=[]), "made from other images"),
        (lambda c: c["images"][0].__setitem__(1, "0" * 64), "another image file"),
    ],
)
def test_what_a_description_says_must_fit(stored, change, words):
    store, ref, dataset, work, _ = stored
    ref = described(store, ref, change)
    with pytest.raises(Unusable, match=words):
        store.load(ref, 100, dataset, work, ImageDigests())
    assert store.find(0, 100, dataset, work, ImageDigests()) is None


def test_a_chunk_ends_after_it_begins_and_inside_the_work(stored):
    store, ref, dataset, work, _ = stored
    with pytest.raises(Unusable, match="goes from 0 to 4 of 3"):
        store.load(ref, 3, dataset, work, ImageDigests())
    empty = ChunkRef(key=KEY, start=0, stop=0, sha256=ref.sha256)
    store.file(ref).rename(store.file(empty))
    empty = described(store, empty, lambda content: content.update(stop=0))
    with pytest.raises(Unusable, match="goes from 0 to 0"):
        store.load(empty, 100, dataset, work, ImageDigests())


@pytest.mark.parametrize("change", ["fewer", "person_id", "image_id", "box"])
def test_predictions_of_other_persons_are_refused(stored, change):
    store, ref, dataset, work, _ = stored
    path = store.folder / "000000000-000000004-00.npz"
    found = load_predictions(path)
    if change == "fewer":
        found = take(found, np.arange(3))
    else:
        columns = vars(found) | {change: getattr(found, change) + 1}
        found = type(found)(**columns)
    save_predictions(found, path)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest()]
    ref = described(store, ref, lambda content: content.update(files=digests))
    with pytest.raises(Unusable, match=r"does not fit: it has (other persons|3 persons)"):
        store.load(ref, 100, dataset, work, ImageDigests())
