"""Good files of every kind, for a fuzzer to spoil."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import annotation_files as files

REPOSITORY = Path(__file__).resolve().parent.parent.parent
ZOO = """
zoo: nasty
title: Seeds
licence: none
citations: {one: "@misc{one, title={One}}"}
cite: [one]
pages: {page: {repository: none, path: none}}
inputs:
  small: {size: [64, 48], keypoints: coco_17}
rows:
  - id: seed
    title: Seed
    dataset: coco
    network: {name: demo, arguments: {width: 12, depth: 1, joints: 17}}
    input: small
    file: {container: torch, location: "https://example.org/a.pth", size: 5}
    claims:
      - {page: page, line: 1, column: 1, raw: "70.0", metric: AP, protocol: hrnet_det56@1}
"""


DATASET = """
mini:
  title: Seed
  keypoints: coco_17
  reader: coco
  official_scorer: coco_oks
  annotation_file: "a/{annotations}.json"
  image_folder: b
  other_layouts: [[a/b.json, c]]
  box_files: {det: {path: d.json, boxes: 5, box_ap: 56.4}}
  licence: none
  how_to_get: Ask.
  files: [{path: a/val.json, what: x, url: "https://example.org/a.zip", archive: a.zip, bytes: 9}]
"""


def torch_zip() -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save({"state_dict": {"a.w": torch.ones(2, 3), "b": torch.zeros(2).half()}}, buffer)
    return buffer.getvalue()


def torch_legacy() -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save({"a": torch.ones(2, 3)}, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def mxnet_list() -> bytes:
    import mxnet_files
    import numpy as np

    return mxnet_files.params({"arg:conv0_weight": np.ones((2, 3), np.float32)})


def paddle() -> bytes:
    import numpy as np

    rows = {"a.w": np.ones((2, 3), np.float32), "StructuredToParameterName@@": {"a.w": "w_0"}}
    return pickle.dumps(rows, 2)


def safetensors() -> bytes:
    import torch
    from safetensors.torch import save

    return bytes(save({"a": torch.ones(2, 3), "b": torch.zeros(4)}, {"about": "x"}))


def image(suffix: str) -> Callable[[], bytes]:
    def make() -> bytes:
        import cv2
        import numpy as np

        pixels = (np.arange(48 * 64 * 3).reshape(48, 64, 3) % 251).astype(np.uint8)
        return bytes(cv2.imencode(suffix, pixels)[1].tobytes())

    return make


def predictions() -> bytes:
    import tempfile

    import numpy as np

    from posebench.records.predictions import save_predictions
    from posebench.types.arrays import Predictions

    one = np.ones(2)
    found = Predictions(
        np.ones((2, 17, 2)), np.ones((2, 17)), np.ones((2, 4)), one, one,
        np.ones(2, np.int64), np.arange(2), "coco_17",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        save_predictions(found, Path(folder) / "a.npz")
        return (Path(folder) / "a.npz").read_bytes()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo("data/a.json", (1980, 1, 1, 0, 0, 0)), b"{}" * 50)
    return buffer.getvalue()


def tarball() -> bytes:
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        info = tarfile.TarInfo("data/a.json")
        info.size = 2
        packed.addfile(info, io.BytesIO(b"{}"))
    return buffer.getvalue()


def text(content: object) -> bytes:
    return json.dumps(content).encode()


def record() -> bytes:
    file = next((REPOSITORY / "results" / "demo" / "demo_s").rglob("eval-*.json"))
    return file.read_bytes()


BOX = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}
PERSON = {"image_id": 1, "category_id": 1, "keypoints": [1.0] * 51, "score": 0.5}
# kind of reader -> makers of good files; JSON ones are also spoiled value by value
SEEDS: dict[str, list[Callable[[], bytes]]] = {
    "torch": [torch_zip, torch_legacy],
    "mxnet": [mxnet_list],
    "paddle": [paddle],
    "safetensors": [safetensors],
    "coco": [lambda: text(files.coco(17))],
    "halpe": [lambda: text(files.coco(136, 2))],
    "wholebody": [lambda: text(files.wholebody(2))],
    "hands": [lambda: text(files.wholebody(2))],
    "mpii": [lambda: text(files.mpii())],
    "boxes": [lambda: text([BOX, BOX])],
    "results": [lambda: text([PERSON, PERSON])],
    "mat": [lambda: files.heads(files.mpii())],
    "image": [image(".jpg"), image(".png"), image(".bmp")],
    "yaml": [ZOO.encode],
    "dataset": [DATASET.encode],
    "record": [record],
    "predictions": [predictions],
    "archive": [archive, tarball],
}
JSON = ("coco", "halpe", "wholebody", "hands", "mpii", "boxes", "results", "record")
