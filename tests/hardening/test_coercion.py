"""Files whose values are of another kind or out of bounds: read exactly as written, or refused.

Good files are changed at random; what comes of each is compared with tests/helpers/
reference_rows.py, which says independently what a file means, and the scores with pycocotools.
``POSEBENCH_MUTATED=1000`` looks at a thousand files of each kind, else at a few.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import time
import warnings
import zipfile

import annotation_files as files
import json_mutations
import numpy as np
import pytest
import reference_rows as reference
import saved_predictions
from readers import READERS as OF_KIND
from reference_rows import Bad

from posebench.analysis.results_file import read_results
from posebench.analysis.score import score
from posebench.datasets.boxes import detector_persons
from posebench.datasets.coco import load_coco
from posebench.datasets.detections import read_detections
from posebench.datasets.readers import READERS
from posebench.inference.crop import crop_person, inverse_matrix
from posebench.records.predictions import DTYPES
from posebench.scoring.coco import box_ap
from posebench.types.entry import InputSpec
from posebench.types.errors import UserError

INPUTS = int(os.environ.get("POSEBENCH_MUTATED", "60"))
SECONDS = 5.0
PERSONS = 6
LAYOUTS = {
    "coco": ("coco_17", 17, lambda: files.coco(17, PERSONS)),
    "halpe": ("halpe_26", 26, lambda: files.coco(26, PERSONS)),
    "wholebody": ("wholebody_133", 133, lambda: files.wholebody(PERSONS)),
    "hands": ("hand_21", 21, lambda: files.wholebody(PERSONS)),
    "crowdpose": ("crowdpose_14", 14, lambda: files.crowdpose(PERSONS)),
}


@contextlib.contextmanager
def soon():
    """What is read or refused takes little computing, and numpy warns of nothing."""
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert time.process_time() - began < SECONDS


def value_or_refusal(call):
    """The value, or None for one sentence."""
    with soon():
        try:
            return call()
        except UserError as error:
            assert error.message.endswith(".") and "\n" not in error.message
            error.message.encode()
            return None


def expected(call):
    """What the reference says, or None where it refuses."""
    try:
        return call()
    except Bad:
        return None


def count(outcomes, least):
    """Both outcomes are there: a test of nothing but refusals would say little."""
    assert outcomes.count(True) >= least and outcomes.count(False) >= least


def same_persons(truth, rows, lost):
    fine = ~np.isin(truth.id, lost)
    columns = {"id": truth.id, "image_id": truth.image_id, "bbox": truth.box, "area": truth.area,
               "num_keypoints": truth.num_keypoints, "iscrowd": truth.crowd,
               "ignore": truth.ignore}  # fmt: skip
    for key, column in columns.items():
        assert column[fine].tolist() == [row[key] for row in rows], key
    flat = [keypoints.ravel().tolist() for keypoints in truth.keypoints[fine]]
    assert flat == [row["keypoints"] for row in rows]


@pytest.mark.light
@pytest.mark.parametrize("layout", LAYOUTS)
def test_annotations_are_read_as_written_or_listed(tmp_path, layout):
    keypoints, joints, make = LAYOUTS[layout]
    good, path, outcomes = make(), tmp_path / "file.json", []

    def read(tolerant):
        return READERS[layout](
            path, tmp_path, dataset_id="x", keypoint_set=keypoints, tolerant=tolerant
        )

    for seed in range(INPUTS):
        path.write_text(json_mutations.mutated(good, seed))
        content = json.loads(path.read_text())
        wanted = expected(lambda content=content: reference.coco(content, joints, layout))
        found, strict = (value_or_refusal(lambda t=t: read(t)) for t in (True, False))
        assert (strict is not None) == (wanted is not None and not wanted[1]), seed
        outcomes.append(strict is not None)
        if found is None:
            assert wanted is None or wanted[1], seed
            continue
        assert wanted is not None and len(found.faults) == wanted[1], seed
        same_persons(found.truth, wanted[0], found.unusable_persons())
        if layout == "crowdpose":
            index = [float(row["crowdIndex"]) for row in content["images"]]
            assert found.images.crowd_index.tolist() == index
    count(outcomes, INPUTS // 20)


@pytest.mark.light
def test_lists_of_mpii_are_read_as_written_or_listed(tmp_path):
    good, path, outcomes = files.mpii(5), tmp_path / "file.json", []

    def read(tolerant):
        return READERS["mpii"](
            path, tmp_path, dataset_id="x", keypoint_set="mpii_16", tolerant=tolerant
        )

    for seed in range(INPUTS):
        path.write_text(json_mutations.mutated(good, seed))
        rows, bad = reference.mpii(json.loads(path.read_text()))
        found, strict = (value_or_refusal(lambda t=t: read(t)) for t in (True, False))
        assert (strict is not None) == (not bad), seed
        outcomes.append(strict is not None)
        if found is None:
            assert bad, seed
            continue
        truth = found.truth
        fine = ~np.isin(truth.id, found.unusable_persons())
        assert len(found.faults) == bad
        names = np.array(found.images.file_name, object)[truth.image_id - 1]
        assert names[fine].tolist() == [row["image"] for row in rows]
        assert truth.centre[fine].tolist() == [row["center"] for row in rows]
        assert truth.scale[fine].tolist() == [row["scale"] for row in rows]
        joints = truth.keypoints[fine]
        assert joints[..., :2].tolist() == [row["joints"] for row in rows]
        assert joints[..., 2].tolist() == [row["joints_vis"] for row in rows]
    count(outcomes, INPUTS // 20)


def pycocotools_ap(content, rows, table, person, results):
    """pycocotools' AP of what the reference read."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": number} for number in table],
            "annotations": [
                row | {"category_id": person, "iscrowd": int(row["iscrowd"])} for row in rows
            ],
            "categories": [{"id": person, "name": "person"}],
        }
        truth.createIndex()
        named = [row | {"category_id": person} for row in copy.deepcopy(results)]
        named = [{k: v for k, v in row.items() if v is not None} for row in named]
        engine = COCOeval(truth, truth.loadRes(named), "keypoints")
        engine.evaluate()
        engine.accumulate()
        engine.summarize()
    return float(engine.stats[0]) * 100


def same_ap(found, wanted):
    ap = found.scores["AP"]
    assert (ap is None) == (wanted < 0)
    assert ap is None or ap == pytest.approx(wanted, abs=1e-9)


@pytest.fixture
def sample(tmp_path):
    return saved_predictions.save(tmp_path, seed=3, images=6)


def test_scores_on_changed_annotations_are_those_of_pycocotools(sample, tmp_path):
    path = tmp_path / "annotations.json"
    good, outcomes = json.loads(path.read_text()), []
    predictions = sample.results_file()
    rows = [{"bbox": None, **row} for row in sample.sample["results"]]
    for seed in range(INPUTS):
        path.write_text(json_mutations.mutated(good, seed))
        content = json.loads(path.read_text())
        wanted = expected(lambda content=content: reference.coco(content, 17))
        found = value_or_refusal(lambda: score(predictions, sample.where))
        outcomes.append(found is not None)
        if wanted is None or wanted[1]:
            assert found is None, seed
            continue
        table = reference.images(content["images"])
        person = reference.category(content.get("categories", []))
        fits = {row["image_id"] for row in rows} <= table.keys() and person == 1
        assert (found is not None) == fits, seed
        if fits:
            same_ap(found, pycocotools_ap(content, wanted[0], table, person, rows))
    count(outcomes, INPUTS // 20)


def test_results_are_read_as_written_or_refused_and_scored_as_pycocotools_does(sample, tmp_path):
    content = json.loads((tmp_path / "annotations.json").read_text())
    persons, _ = reference.coco(content, 17)
    table, outcomes = reference.images(content["images"]), []
    good = sample.sample["results"][:12]
    named = [row | {"image_id": table[row["image_id"]]} for row in good]
    boxed = [row | {"bbox": [1.0, 2.0, 40.0, 30.0]} for row in good]
    for seed in range(INPUTS):
        path = tmp_path / "results.json"
        path.write_text(json_mutations.mutated((good, named, boxed)[seed % 3], seed))
        wanted = expected(
            lambda path=path: reference.results(json.loads(path.read_text()), 17, table, 1)
        )
        found = value_or_refusal(lambda path=path: score(path, sample.where))
        outcomes.append(found is not None)
        assert (found is not None) == (wanted is not None), seed
        if wanted is None:
            continue
        results, _, with_boxes = read_results(path, sample.dataset)
        predictions = results.predictions
        flat = np.dstack([predictions.keypoints, predictions.joint_scores])
        assert flat.reshape(len(wanted), -1).tolist() == [row["keypoints"] for row in wanted]
        assert predictions.image_id.tolist() == [row["image_id"] for row in wanted]
        assert results.score.tolist() == [row["score"] for row in wanted]
        assert with_boxes == (wanted[0]["bbox"] is not None)
        if with_boxes:
            assert predictions.box.tolist() == [row["bbox"] for row in wanted]
        same_ap(found, pycocotools_ap(content, persons, table, 1, wanted))
    count(outcomes, INPUTS // 20)


CROPS = ("hrnet_affine", "mmpose_affine", "udp_affine")


@pytest.fixture
def few(tmp_path):
    """Two images of 120 x 100 px with persons."""
    path = files.write(tmp_path / "coco.json", files.coco(17))
    return load_coco(path, tmp_path, dataset_id="coco", keypoint_set="coco_17")


def test_boxes_are_read_as_written_or_refused_and_each_can_be_cropped(few, tmp_path):
    generator = np.random.default_rng(0)
    good = [
        {"image_id": (5, 7, 9)[k % 3], "category_id": 1 + (k == 5), "score": round(0.9 - k / 10, 1),
         "bbox": generator.uniform(1, 60, 4).round(2).tolist()}
        for k in range(8)
    ]  # fmt: skip
    table, outcomes = dict(zip(few.images.id.tolist(), few.images.file_name, strict=True)), []
    image = generator.integers(0, 255, (100, 120, 3)).astype(np.uint8)
    for seed in range(INPUTS):
        path = tmp_path / "boxes.json"
        path.write_text(json_mutations.mutated(good, seed))
        wanted = expected(lambda path=path: reference.boxes(json.loads(path.read_text()), table, 1))
        found = value_or_refusal(lambda path=path: read_detections(path, few))
        outcomes.append(found is not None)
        assert (found is not None) == (wanted is not None), seed
        if found is None or wanted is None:
            continue
        read = zip(found.position.tolist(), few.images.id[found.image_index].tolist(),
                   found.box.tolist(), found.score.tolist(), strict=True)  # fmt: skip
        assert list(read) == wanted
        with soon():
            box_ap(few, few.images.id[found.image_index], found.box, found.score)
            every_crop(few, found, image)
    count(outcomes, INPUTS // 20)


def every_crop(dataset, found, image):
    for number, rule in enumerate(CROPS):
        spec = InputSpec(size=(64, 48), crop=rule, box_precision=("double", "single")[number % 2])
        persons = detector_persons(found, dataset, spec, "none", -1e15)
        for row in range(len(persons)):
            crop_person(image, persons, row, spec)
            for inverse in ("affine", "udp"):
                assert np.isfinite(inverse_matrix(persons, row, spec, inverse)).all()


NUMBERS = [np.nan, np.inf, -np.inf, 1e300, 1e-300, 5e-324, 3e38, 1e15, 2e15, -1.0, -0.0, 0.0, 1e7,
           2**63 - 1, -(2**63), 2**53 + 1, 4]  # fmt: skip
KINDS = ("<f4", "<f8", ">f4", ">f8", "<i8", "<i4", "<u8", "?", "<U3", "<c8", "<M8[s]")


def spoiled_arrays(good, dice):
    """Arrays with one to three changes, and whether all are still of the right kind and shape."""
    arrays = {name: np.array(array) for name, array in good.items()}
    for _ in range(dice.integers(1, 4)):
        name = str(dice.choice(list(arrays)))
        array, way = arrays[name], dice.choice(["number", "number", "number", "kind", "shape"])
        if way == "number" and array.dtype.kind in "fi" and array.size:
            number = NUMBERS[dice.integers(len(NUMBERS))]
            if array.dtype.kind == "i":
                number = int(np.clip(np.nan_to_num(number), -(2.0**62), 2.0**62))
            array.flat[dice.integers(array.size)] = number
        elif way == "kind":
            kind = np.dtype(str(dice.choice(KINDS)))
            with contextlib.suppress(TypeError, ValueError):
                nothing = np.zeros(array.shape, kind)
                arrays[name] = nothing if kind.kind in "UM" else array.astype(kind)
        elif way == "shape":
            arrays[name] = array[None] if dice.integers(2) or not array.ndim else array[:-1]
    return arrays, all(
        (arrays[name].shape, arrays[name].dtype) == (array.shape, array.dtype)
        for name, array in good.items()
    )


def possible(arrays, table):
    """Whether predictions can be: finite numbers, no negative size, known images, a known set."""
    real = ("keypoints", "joint_scores", "box", "box_score", "crop_area")
    fine = all((np.abs(arrays[name]) <= 1e15).all() for name in real)
    fine &= bool((arrays["box"][:, 2:] >= 0).all() and (arrays["crop_area"] >= 0).all())
    return fine and set(arrays["image_id"].tolist()) <= table and arrays["format_version"] == 1


def test_saved_predictions_are_scored_as_written_or_refused(sample, tmp_path):
    from posebench.records.predictions import load_predictions

    path, outcomes = sample.columns(), []
    with np.load(path) as content:
        good = {name: content[name][:15] if content[name].ndim else content[name]
                for name in content.files}  # fmt: skip
    table = set(sample.dataset.images.id.tolist())
    for seed in range(INPUTS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            arrays, right = spoiled_arrays(good, np.random.default_rng(seed))
        np.savez(path, **arrays)
        wanted = right and possible(arrays, table)
        found = value_or_refusal(lambda: score(path, sample.where))
        outcomes.append(found is not None)
        assert (found is not None) == wanted, seed
        if wanted:
            loaded = load_predictions(path)
            assert all(np.array_equal(getattr(loaded, name), arrays[name]) for name in DTYPES)
            theirs = score(path, sample.where, engine="pycocotools")
            assert found.scores["AP"] == pytest.approx(theirs.scores["AP"], abs=1e-9)
    count(outcomes, INPUTS // 20)


KEYPOINTS = [5.0, 6.0, 2.0] * 16
BOUNDED = {
    "coco, a coordinate": ("coco", 1e7, lambda n: {"keypoints": [n, 6.0, 2.0, *KEYPOINTS]}),
    "coco, a box": ("coco", 1e7, lambda n: {"bbox": [n, 2.0, 30.0, 40.0]}),
    "boxes, a box": ("boxes", 1e7, lambda n: {"bbox": [n, 2.0, 30.0, 40.0]}),
    "boxes, a score": ("boxes", 1e15, lambda n: {"score": n}),
    "results, a coordinate": ("results", 1e15, lambda n: {"keypoints": [n, 6.0, 2.0, *KEYPOINTS]}),
    "results, a score": ("results", 1e15, lambda n: {"score": n}),
}


@pytest.mark.light
@pytest.mark.parametrize("what", BOUNDED)
def test_the_bounds_of_numbers_are_those_of_the_documentation(tmp_path, what):
    kind, most, changed = BOUNDED[what]
    image = {"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}
    row = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 9.0, "score": 0.5,
           "bbox": [1.0, 2.0, 30.0, 40.0], "keypoints": [5.0, 6.0, 2.0, *KEYPOINTS]}  # fmt: skip

    def read(number):
        rows = [row | changed(number)]
        person = {"id": 1, "name": "person"}
        content = {"images": [image], "annotations": rows, "categories": [person]}
        return OF_KIND[kind](files.write(tmp_path / "x.json", content if kind == "coco" else rows))

    for number in (most, -most):
        read(number)
        with pytest.raises(UserError, match="outside -"):
            read(number * 1.001)


@pytest.mark.light
def test_an_array_that_is_there_twice_is_refused(sample):
    from posebench.records.predictions import load_predictions

    path = sample.columns()
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("box_score.npy", archive.read("crop_area.npy"))
    with pytest.raises(UserError, match="it holds box_score twice"):
        load_predictions(path)
