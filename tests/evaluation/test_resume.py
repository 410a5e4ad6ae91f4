"""Finished parts: interrupted and resumed runs give the bytes of an uninterrupted one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import make
import numpy as np
import pytest

from posebench.datasets.boxes import ground_truth_persons
from posebench.datasets.coco import load_coco
from posebench.downloads.cache import cache_folder
from posebench.evaluation.chunks import ChunkPlan, own_folder
from posebench.evaluation.resume import evaluation_key, predict_in_chunks
from posebench.inference.image_io import BadImage, ImageDigests, file_digest
from posebench.inference.predict import Options, predict
from posebench.records.environment import versions
from posebench.records.predictions import DTYPES, digest, load_predictions, save_predictions
from posebench.synthetic.keypoints_dataset import write_synthetic
from posebench.types.arrays import take
from posebench.types.entry import InputSpec, NetworkSpec
from posebench.types.protocol import Protocol

SPEC = InputSpec(size=(64, 48))
OTHER = InputSpec(size=(64, 48), mean=(0.5, 0.5, 0.5))


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    root = make.write_coco(tmp_path_factory.mktemp("coco"), people_per_image=(9, 0, 12, 7, 8, 11))
    dataset = load_coco(
        root / "annotations" / "person_keypoints_val2017.json",
        root / "val2017",
        dataset_id="coco",
        keypoint_set="coco_17",
        joints=17,
    )
    persons = ground_truth_persons(dataset, SPEC, "clip_before_width")
    assert len(persons) > 30
    return make.probe_model(SPEC), dataset, persons


PROTOCOLS = [make.protocol(), make.protocol(flip=False, decode="dark")]
OPTIONS = Options(batch_size=2, threads=2)


def stopping_after(count):
    """A progress report that stops the run when so many persons are done."""

    def report(_, done, __):
        if done >= count:
            raise Stop

    return report


def same(ours, theirs):
    return [digest(p) for p in ours] == [digest(p) for p in theirs]


@pytest.mark.parametrize("stops", [(1,), (9, 21), (8, 9, 17, 25, 33), tuple(range(2, 40, 2))])
def test_resumed_runs_give_the_bytes_of_an_uninterrupted_one(scene, tmp_path, stops):
    model, dataset, persons = scene
    whole = predict(model, dataset, persons, PROTOCOLS, OPTIONS)
    for count in stops:
        with pytest.raises(Stop):
            predict_in_chunks(
                model, dataset, persons, PROTOCOLS, OPTIONS,
                ChunkPlan(tmp_path, resume=True), stopping_after(count),
            )  # fmt: skip
    found, _ = predict_in_chunks(
        model, dataset, persons, PROTOCOLS, OPTIONS, ChunkPlan(tmp_path, resume=True)
    )
    assert same(found, whole)
    assert list(tmp_path.iterdir()) == [], "a finished run keeps nothing"


def test_a_resumed_run_does_not_estimate_finished_persons_again(scene, tmp_path):
    model, dataset, persons = scene
    with pytest.raises(Stop):
        predict_in_chunks(
            model, dataset, persons, PROTOCOLS, OPTIONS, ChunkPlan(tmp_path), stopping_after(20)
        )
    seen = []
    predict_in_chunks(
        model, dataset, persons, PROTOCOLS, OPTIONS, ChunkPlan(tmp_path, resume=True),
        lambda what, done, count: seen.append((what, done, count)),
    )  # fmt: skip
    # The first part holds 8 persons; it was whole.
    assert seen[0][1] > 8
    assert seen[-1] == ("persons", len(persons), len(persons))


def test_without_resume_nothing_old_is_used(scene, tmp_path):
    model, dataset, persons = scene
    folder = tmp_path / f"{evaluation_key(model, dataset, persons, PROTOCOLS, OPTIONS)}-run"
    with pytest.raises(Stop):
        predict_in_chunks(
            model, dataset, persons, PROTOCOLS, OPTIONS, ChunkPlan(tmp_path), stopping_after(20)
        )
    assert list(folder.iterdir())
    seen = []
    predict_in_chunks(
        model, dataset, persons, PROTOCOLS, OPTIONS, ChunkPlan(tmp_path),
        lambda _, done, __: seen.append(done),
    )  # fmt: skip
    assert seen[0] == 2


def recoloured(dataset, folder, rows=None):
    """The dataset with other pixels under the same names, in a folder of its own."""
    shutil.copytree(dataset.images.root, folder)
    for row in range(len(dataset.images)) if rows is None else rows:
        path = folder / dataset.images.file_name[row]
        cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    return replace(dataset, images=replace(dataset.images, root=folder))


@pytest.mark.parametrize("rows", [None, [0], [2]], ids=["all", "the first", "a later one"])
def test_resume_never_mixes_the_pixels_of_two_image_sets(scene, tmp_path, rows):
    model, dataset, persons = scene
    other = recoloured(dataset, tmp_path / "other", rows)
    whole = predict(model, other, persons, PROTOCOLS, OPTIONS)
    with pytest.raises(Stop):
        predict_in_chunks(
            model,
            dataset,
            persons,
            PROTOCOLS,
            OPTIONS,
            ChunkPlan(tmp_path / "p"),
            stopping_after(25),
        )
    assert list((tmp_path / "p").rglob("*.npz"))

    digests = ImageDigests()
    found, _ = predict_in_chunks(
        model, other, persons, PROTOCOLS, OPTIONS, ChunkPlan(tmp_path / "p", resume=True),
        digests=digests,
    )  # fmt: skip

    assert same(found, whole)
    read = [int(row) for row in np.unique(persons.image_index)]
    expected = {int(other.images.id[row]): file_digest(other.images.path(row)) for row in read}
    assert dict(digests.items()) == expected


def test_an_image_that_changes_between_two_passes_is_an_error(scene, tmp_path):
    model, dataset, persons = scene
    digests = ImageDigests()
    predict_in_chunks(model, dataset, persons, PROTOCOLS, OPTIONS, ChunkPlan(), digests=digests)
    other = recoloured(dataset, tmp_path / "other", [2])
    with pytest.raises(BadImage, match="was changed while it was being evaluated"):
        predict_in_chunks(model, other, persons, PROTOCOLS, OPTIONS, ChunkPlan(), digests=digests)


def shifted(folder):
    """Move every keypoint of every finished chunk by 40 px."""
    for file in folder.rglob("*.npz"):
        found = load_predictions(file)
        save_predictions(replace(found, keypoints=found.keypoints + 40), file)


def renumbered(folder):
    """Claim that each chunk ends where it begins: reading it would never end."""
    for file in folder.rglob("*.json"):
        start, _ = file.stem.split("-")
        file.rename(file.with_name(f"{start}-{start}.json"))


@pytest.mark.parametrize("damage", [shifted, renumbered])
def test_a_changed_chunk_is_estimated_again(scene, tmp_path, damage):
    model, dataset, persons = scene
    with pytest.raises(Stop):
        predict_in_chunks(
            model, dataset, persons, PROTOCOLS, OPTIONS, ChunkPlan(tmp_path), stopping_after(20)
        )
    damage(tmp_path)
    found, _ = predict_in_chunks(
        model, dataset, persons, PROTOCOLS, OPTIONS, ChunkPlan(tmp_path, resume=True)
    )
    assert same(found, predict(model, dataset, persons, PROTOCOLS, OPTIONS))


def test_equal_evaluations_at_the_same_time_do_not_touch_each_other(tmp_path):
    with own_folder(tmp_path, "x") as first, own_folder(tmp_path, "x") as second:
        assert first != second
        for folder in (first, second):
            folder.mkdir()
    assert first.is_dir(), "an interrupted run finds its chunks again"
    assert not second.exists()
    with own_folder(tmp_path, "x") as again:
        assert again == first
    assert [path.name for path in tmp_path.iterdir()] == [first.name]


def test_a_damaged_part_is_estimated_again(scene, tmp_path):
    model, dataset, persons = scene
    whole = predict(model, dataset, persons, PROTOCOLS, OPTIONS)
    with pytest.raises(Stop):
        predict_in_chunks(
            model, dataset, persons, PROTOCOLS, OPTIONS, ChunkPlan(tmp_path), stopping_after(20)
        )
    for file in tmp_path.rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    found, _ = predict_in_chunks(
        model, dataset, persons, PROTOCOLS, OPTIONS, ChunkPlan(tmp_path, resume=True)
    )
    assert same(found, whole)


def test_only_the_same_evaluation_shares_parts(scene, monkeypatch):
    model, dataset, persons = scene
    base = evaluation_key(model, dataset, persons, PROTOCOLS, OPTIONS)
    assert base == evaluation_key(model, dataset, persons, list(PROTOCOLS), OPTIONS)
    others = [
        (persons, PROTOCOLS[:1], OPTIONS),
        (persons, [make.protocol(shift=False), PROTOCOLS[1]], OPTIONS),
        (persons, PROTOCOLS, Options(batch_size=4)),
        (take(persons, np.arange(len(persons) - 1)), PROTOCOLS, OPTIONS),
    ]
    keys = {evaluation_key(model, dataset, *other) for other in others}
    assert len(keys | {base}) == 5
    for change in ({"network": NetworkSpec(name="probe", arguments={"x": 1})}, {"input": OTHER}):
        changed = replace(model, entry=model.entry.model_copy(update=change))
        keys.add(evaluation_key(changed, dataset, persons, PROTOCOLS, OPTIONS))
    for name in ("posebench", "torch", "numpy", "opencv"):
        with monkeypatch.context() as patch:
            patch.setattr(
                "posebench.evaluation.resume.versions", lambda n=name: versions() | {n: "0"}
            )
            keys.add(evaluation_key(model, dataset, persons, PROTOCOLS, OPTIONS))
    keys.add(
        evaluation_key(replace(model, checkpoint_sha256="1"), dataset, persons, PROTOCOLS, OPTIONS)
    )
    other = replace(dataset, annotations_sha256="1")
    keys.add(evaluation_key(model, other, persons, PROTOCOLS, OPTIONS))
    assert len(keys | {base}) == 13
    # Threads change nothing, nor does what is done with the joints afterwards.
    again = [make.protocol(nms="none"), PROTOCOLS[1]]
    assert base == evaluation_key(model, dataset, persons, again, Options("cpu", 2, 7))


def test_another_value_of_any_decoding_axis_is_another_evaluation(scene):
    model, dataset, persons = scene
    base = make.protocol()

    def key(protocol):
        return evaluation_key(model, dataset, persons, [protocol], OPTIONS)

    keys = {
        key(base.model_copy(update={axis: f"not {getattr(base, axis)}"}))
        for axis in Protocol.axes("decoding")
    }
    assert len(keys) == len(Protocol.axes("decoding")) and key(base) not in keys
    for axis in Protocol.axes("selection", "scoring"):
        assert key(base.model_copy(update={axis: "another"})) == key(base)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_order_do_not_move_a_byte(scene, tmp_path, threads):
    model, dataset, persons = scene
    whole = predict(model, dataset, persons, PROTOCOLS, OPTIONS)
    order = np.random.default_rng(threads).permutation(len(persons))
    mixed, _ = predict_in_chunks(
        model, dataset, take(persons, order), PROTOCOLS, Options(batch_size=2, threads=threads),
        ChunkPlan(tmp_path),
    )  # fmt: skip
    back = np.argsort(order)
    for ours, theirs in zip(mixed, whole, strict=True):
        for name in DTYPES:
            assert getattr(ours, name)[back].tobytes() == getattr(theirs, name).tobytes(), name


COMMAND = (
    *(sys.executable, "-m", "posebench", "eval", "--model", "demo_s", "--limit", "24"),
    *("--batch-size", "8", "--threads", "1", "--json"),
)
SEEDS = range(int(os.environ.get("POSEBENCH_KILLS", "1")))


def killed(command, seconds):
    """Start a command and end it by SIGKILL after so many seconds."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def timed_run(tmp_path_factory):
    """What an uninterrupted run gives, and how long it takes."""
    began = time.monotonic()
    output = tmp_path_factory.mktemp("whole")
    done = subprocess.run([*COMMAND, "--output", output], capture_output=True)
    return make.json_of(done.stdout), time.monotonic() - began


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_moments(tmp_path, timed_run, seed):
    """SIGKILL as the command runs, then ``--resume``: the same predictions and scores."""
    whole, seconds = timed_run
    random = np.random.default_rng(seed)
    command = [*COMMAND, "--resume", "--output", str(tmp_path)]
    for _ in range(3):
        killed(command, random.uniform(0.3, 1.0) * seconds)
    again = subprocess.run(command, capture_output=True)
    resumed = make.json_of(again.stdout)
    assert resumed["predictions_sha256"] == whole["predictions_sha256"]
    assert resumed["scores"] == whole["scores"]
    assert not list(tmp_path.rglob("*.npz"))


@pytest.fixture(scope="module")
def two_worlds(tmp_path_factory):
    """The drawn dataset twice, the second time with other pixels, and what each gives."""
    root = tmp_path_factory.mktemp("worlds")
    source = write_synthetic(cache_folder() / "synthetic")
    found = []
    for number in range(2):
        place = shutil.copytree(source, root / str(number))
        if number:
            for path in (place / "val2017").iterdir():
                cv2.imwrite(str(path), cv2.blur(cv2.imread(str(path)), (9, 9)))
        output = root / f"output-{number}"
        done = subprocess.run(
            [*COMMAND, "--data-root", place, "--output", output], capture_output=True
        )
        found.append((place, make.json_of(done.stdout)))
    assert found[0][1]["scores"]["AP"] != found[1][1]["scores"]["AP"]
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_and_resumed_with_other_images(tmp_path, timed_run, two_worlds, seed):
    """Other pixels under the same names between the kill and ``--resume``: theirs alone count."""
    (first, _), (second, expected) = two_worlds if seed % 2 else two_worlds[::-1]
    data = tmp_path / "data"
    command = [*COMMAND, "--resume", "--data-root", str(data), "--output", str(tmp_path / "out")]
    data.symlink_to(first)
    random = np.random.default_rng(1000 + seed)
    killed(command, random.uniform(0.4, 1.0) * timed_run[1])
    data.unlink()
    data.symlink_to(second)
    resumed = make.json_of(subprocess.run(command, capture_output=True).stdout)
    assert resumed["dataset"]["images_sha256"] == expected["dataset"]["images_sha256"]
    assert resumed["predictions_sha256"] == expected["predictions_sha256"]
    assert resumed["scores"] == expected["scores"]
