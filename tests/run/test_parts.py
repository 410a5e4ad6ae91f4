"""Finished parts: interrupted and resumed runs give the bytes of an uninterrupted one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import make
import numpy as np
import pytest

from posebench.datasets.boxes import ground_truth_persons
from posebench.datasets.coco import load_coco
from posebench.inference.predict import Options, predict
from posebench.records.predictions import DTYPES, digest
from posebench.run.parts import Parts, evaluation_key, predict_in_parts
from posebench.types.arrays import take
from posebench.types.entry import InputSpec

SPEC = InputSpec(size=(64, 48))


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

    def report(done, _):
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
            predict_in_parts(
                model, dataset, persons, PROTOCOLS, OPTIONS,
                Parts(tmp_path, resume=True), stopping_after(count),
            )  # fmt: skip
    found, _ = predict_in_parts(
        model, dataset, persons, PROTOCOLS, OPTIONS, Parts(tmp_path, resume=True)
    )
    assert same(found, whole)
    assert list(tmp_path.iterdir()) == [], "a finished run keeps nothing"


def test_a_resumed_run_does_not_estimate_finished_persons_again(scene, tmp_path):
    model, dataset, persons = scene
    with pytest.raises(Stop):
        predict_in_parts(
            model, dataset, persons, PROTOCOLS, OPTIONS, Parts(tmp_path), stopping_after(20)
        )
    seen = []
    predict_in_parts(
        model, dataset, persons, PROTOCOLS, OPTIONS, Parts(tmp_path, resume=True),
        lambda done, count: seen.append((done, count)),
    )  # fmt: skip
    # The first part holds 8 persons; it was whole.
    assert seen[0][0] > 8
    assert seen[-1] == (len(persons), len(persons))


def test_without_resume_nothing_old_is_used(scene, tmp_path):
    model, dataset, persons = scene
    folder = tmp_path / f"{evaluation_key(model, dataset, persons, PROTOCOLS, OPTIONS)}-run"
    with pytest.raises(Stop):
        predict_in_parts(
            model, dataset, persons, PROTOCOLS, OPTIONS, Parts(tmp_path), stopping_after(20)
        )
    assert list(folder.iterdir())
    seen = []
    predict_in_parts(
        model, dataset, persons, PROTOCOLS, OPTIONS, Parts(tmp_path),
        lambda done, count: seen.append(done),
    )  # fmt: skip
    assert seen[0] == 2


def test_a_damaged_part_is_estimated_again(scene, tmp_path):
    model, dataset, persons = scene
    whole = predict(model, dataset, persons, PROTOCOLS, OPTIONS)
    with pytest.raises(Stop):
        predict_in_parts(
            model, dataset, persons, PROTOCOLS, OPTIONS, Parts(tmp_path), stopping_after(20)
        )
    for file in tmp_path.rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    found, _ = predict_in_parts(
        model, dataset, persons, PROTOCOLS, OPTIONS, Parts(tmp_path, resume=True)
    )
    assert same(found, whole)


def test_only_the_same_evaluation_shares_parts(scene):
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
    # Threads change nothing, nor does what is done with the joints afterwards.
    again = [make.protocol(nms="none"), PROTOCOLS[1]]
    assert base == evaluation_key(model, dataset, persons, again, Options("cpu", 2, 7))


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_order_do_not_move_a_byte(scene, tmp_path, threads):
    model, dataset, persons = scene
    whole = predict(model, dataset, persons, PROTOCOLS, OPTIONS)
    order = np.random.default_rng(threads).permutation(len(persons))
    mixed, _ = predict_in_parts(
        model, dataset, take(persons, order), PROTOCOLS, Options(batch_size=2, threads=threads),
        Parts(tmp_path),
    )  # fmt: skip
    back = np.argsort(order)
    for ours, theirs in zip(mixed, whole, strict=True):
        for name in DTYPES:
            assert getattr(ours, name)[back].tobytes() == getattr(theirs, name).tobytes(), name


@pytest.mark.parametrize("seed", range(int(os.environ.get("POSEBENCH_KILLS", "1"))))
def test_killed_at_random_moments(tmp_path, seed):
    """SIGKILL as the command runs, then ``--resume``: the same predictions and scores."""
    command = [
        *(sys.executable, "-m", "posebench", "eval", "--model", "demo_s", "--limit", "24"),
        *("--batch-size", "8", "--threads", "1", "--resume", "--json", "--output"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    random = np.random.default_rng(seed)
    began = time.monotonic()
    done = subprocess.run([*command, str(tmp_path / "whole")], capture_output=True, env=environment)
    seconds = time.monotonic() - began
    for _ in range(3):
        process = subprocess.Popen(
            [*command, str(tmp_path / "cut")],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        time.sleep(random.uniform(0.3, 1.0) * seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    again = subprocess.run([*command, str(tmp_path / "cut")], capture_output=True, env=environment)
    whole, resumed = (make.json_of(each.stdout) for each in (done, again))
    assert resumed["predictions_sha256"] == whole["predictions_sha256"]
    assert resumed["scores"] == whole["scores"]
    assert not list((tmp_path / "cut").rglob("*.npz"))
