"""Different measurements into one folder: each leaves a record of its own."""

from __future__ import annotations

import importlib.util
import json
import shutil

import cv2
import make
import pytest

from posebench.evaluation.evaluate import evaluate
from posebench.records import store
from posebench.types.timing import Form

RUNTIME = "onnxruntime"
ASKED = {"protocol": "demo_gt_flip", "batch_size": 4, "threads": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make.write_coco(tmp_path_factory.mktemp("data"), people_per_image=(2, 0, 3, 1))


def copied(data, place):
    return shutil.copytree(data, place / "copy")


def broken_image(data, place):
    root = copied(data, place)
    sorted((root / "val2017").iterdir())[0].write_bytes(b"")
    return {"data_root": root, "on_error": "skip"}


def other_pixels(data, place):
    root = copied(data, place)
    for path in (root / "val2017").iterdir():
        cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    return {"data_root": root}


def other_boxes(data, place):
    content = json.loads((data / "annotations" / "person_keypoints_val2017.json").read_text())
    rows = [
        {"image_id": a["image_id"], "category_id": 1, "bbox": a["bbox"], "score": 0.9}
        for a in content["annotations"]
    ]
    file = place / "boxes.json"
    file.write_text(json.dumps(rows))
    return {"boxes": str(file)}


CASES = {
    "all": lambda data, place: {},
    "limit": lambda data, place: {"limit": 3},
    "skip": broken_image,
    "fold": lambda data, place: {"form": Form(folded=True)},
    "other pixels": other_pixels,
    "other boxes": other_boxes,
    "other device": lambda data, place: {},
    "other runtime": lambda data, place: {"form": Form(runtime=RUNTIME)},
}


def test_each_measurement_has_a_record(data, tmp_path, monkeypatch):
    if importlib.util.find_spec(RUNTIME) is None or importlib.util.find_spec("onnx") is None:
        monkeypatch.delitem(CASES, "other runtime")
    output = tmp_path / "output"
    for name, case in CASES.items():
        place = tmp_path / name
        place.mkdir()
        with monkeypatch.context() as patch:
            if name == "other device":
                patch.setattr("posebench.evaluation.evaluate.hardware_name", lambda device: "A100")
            asked = ASKED | {"data_root": data} | case(data, place)
            store.save(evaluate("demo_s", **asked), output)
    assert len(list(output.rglob("eval-*.json"))) == len(CASES)

    store.save(evaluate("demo_s", data_root=data, **(ASKED | {"threads": 2})), output)
    assert len(list(output.rglob("eval-*.json"))) == len(CASES), "the same measurement again"
