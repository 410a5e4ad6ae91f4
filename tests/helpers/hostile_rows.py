"""Small registries of which one to three values are such as no publisher would write."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

PROTOCOLS = {
    "gt@1": {
        "summary": "ground truth", "boxes": "gt", "sanitise": "clip_before_width", "flip": True,
        "shift": True, "decode": "quarter", "dark_kernel": 3, "softargmax_beta": 160.0,
        "coordinate_bias": 0.5, "rescoring": "box_times_mean_visible", "visibility_threshold": 0.2,
        "nms": "oks", "nms_threshold": 0.9, "max_detections": 20, "annotations": "val",
        "tolerance": 0.05,
    }
}  # fmt: skip
DATASETS = {
    "mini": {
        "title": "Mini", "keypoints": "coco_17", "reader": "coco", "official_scorer": "coco_oks",
        "annotation_file": "annotations/{annotations}.json", "image_folder": "val2017",
        "other_layouts": [["annotations/b.json", "images/val2017"]],
        "box_files": {"det": {"path": "boxes/det.json", "boxes": 2, "box_ap": 56.4}},
        "images": 2, "persons": 3, "licence": "none", "homepage": "https://example.org/mini",
        "how_to_get": "Ask.", "citation": "@misc{mini, title={Mini}}",
        "files": [
            {"path": "annotations/val.json", "what": "persons", "url": "https://example.org/a.json",
             "bytes": 5, "licence": "none"},
            {"path": "val2017/", "what": "images", "url": "https://example.org/a.zip",
             "archive": "a.zip"},
        ],
    }
}  # fmt: skip
ZOO = {
    "zoo": "mine", "title": "My models", "homepage": "https://example.org/mine", "licence": "MIT",
    "adapter": "native",
    "citations": {"paper": "@misc{me, title={Mine}}"}, "cite": ["paper"],
    "pages": {"page": {"repository": "https://example.org/mine", "path": "docs/README.md"}},
    "inputs": {
        "coco": {"size": [64, 64], "crop": "hrnet_affine", "border": 0, "grid": 64, "padding": 1.25,
                 "pixel_std": 200.0, "levels": 1, "mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2],
                 "keypoints": "coco_17", "stride": 4},
    },
    "tables": {
        "results": {"page": "page", "protocol": "gt@1",
                    "columns": [{"column": 1, "metric": "AP"},
                                {"column": 2, "metrics": ["AR", "AP50"]}]},
    },
    "checkpoints": {
        "shared": {"container": "torch", "location": "https://example.org/w.pth", "size": 5,
                   "file_name": "w.pth", "sha256": "0" * 64, "sha256_prefix": "0" * 8,
                   "sha1": "0" * 8},
    },
    "rows": [
        {"id": "one", "short": "net", "title": "One", "dataset": "mini", "input": "coco",
         "network": {"name": "demo", "arguments": {"width": 8, "depth": 1, "joints": 17}},
         "checkpoint": "shared", "status": "broken: not yet",
         "claims": [{"table": "results", "line": 3, "cells": "70.1 75.0/90.2"}]},
        {"id": "two", "title": "Two", "dataset": "mini", "input": "coco",
         "network": {"name": "lpn", "arguments": {"layers": [1, 1, 1, 1], "joints": 17}},
         "file": {"container": "none"}, "protocol": "gt@1", "licence": "MIT", "cite": [],
         "claims": [{"page": "page", "line": 1, "column": 2, "part": 1, "raw": "70.1",
                     "metric": "AP", "protocol": "gt@1"},
                    {"page": "page", "raw": "12", "metric": "speed", "unit": "images/s",
                     "hardware": "a GPU", "scope": "forward"}]},
    ],
}  # fmt: skip
DOCUMENTS = {"protocols": PROTOCOLS, "datasets": DATASETS, "zoos/mine": ZOO}
HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 3, -4, 1.5, 0.0, -0.0, 1e-300, 1e300, 10**8, 10**9, 2**31,
    2**53 + 1,
    2**64, 10**30, 10**250, float("nan"), float("inf"), 1.0, 17.0,
    "", " ", "12", "1.5", "0", "true", "null", "nan", "1e5", "\u0661\u0662", "1_0",
    "../../escape.json", "..", ".", "a/../../b", "a//b", "./a", "/dev/zero", "/etc/passwd",
    "C:\\boot", "C:/boot", "a\\..\\..\\b", "\\\\host\\share", "nul", "con.json", "a:b", "a.", "a ",
    " a", "~/a", "$HOME/a", ".posebench-fetch/a", "a\0b", "a\nb", "\x1b[31mred", "\u202eabc",
    "\ud800",
    "{0}", "{}", "{x:>2000000000}", "{annotations:>2000000000}", "{annotations.__class__}",
    "{{annotations}}", "{annotations}", "{annotations}{annotations}", "%s%s%n", "a" * 300,
    "a" * 30_000,
    "a/" * 3000 + "a", "a" * 190 + "/b", "\u00e9" * 150, "package:../../a", "package:/etc/passwd",
    "package:assets/a", "file:///etc/passwd", "ftp://a/b", "http://[", "https://a/b c",
    "javascript:alert(1)", "gdrive:../../a", "gdrive:abc", "<script>alert(1)</script>", "gt@0",
    "gt@01",
    "gt@\u00b2", "gt@99999999999", "@", "module:Class", "os:system",
    [], {}, [1], [1, 2], [None, None, None], ["a", "b"], [1.5, 2], [True, False], [0, 0, 0],
    [1e-300] * 3, [-64, 48], [0, 0], [10**6, 10**6], [64, 64], [65, 64], [1] * 1000, [[[[[]]]]],
    {"a": 1}, {"width": 8}, {"name": "demo"}, [{"path": "../a", "what": "x", "url": "https://a/b"}],
]  # fmt: skip
NETWORKS: dict[str, dict[str, Any]] = {
    "demo": {"width": 8, "depth": 1, "joints": 3},
    "demo_bottom_up": {"width": 8, "joints": 3},
    "fastpose": {"layers": 50, "deformable": False, "head": 128, "joints": 3},
    "fastpose_duc": {"layers": 50, "backbone": "se", "joints": 3},
    "gluon_simple_pose": {"layers": 18, "stem": "v1b", "joints": 3},
    "higherhrnet": {"width": 8, "joints": 3, "scale_layers": True},
    "hourglass": {"stacks": 1, "features": 8, "blocks": 1, "joints": 3},
    "hrnet": {"width": 8, "joints": 3},
    "lite_hrnet": {"variant": "lite_18", "width": 8, "joints": 3},
    "lpn": {"layers": [1, 1, 1, 1], "joints": 3},
    "mmpose": {"config": "body/a.py"},
    "mobile_pose": {"backbone": "mobilenetv3_small", "joints": 3},
    "resnet_pose": {"layers": 50, "joints": 3},
    "simple_pose": {"layers": 50, "joints": 3},
    "plugged": {"anything": 1},
}


PLAUSIBLE: list[Any] = [
    1, 2, 3, 4, 8, 16, 17, 32, 48, 50, 64, 96, 101, 128, 133, 152, 256, True, False,
    "se", "v1d", "lite_30", "mobilenet1.0", [3, 4, 6, 3], [64, 64, 64, 64],
]  # fmt: skip


def with_network(seed: int) -> dict[str, Any]:
    """Return the documents of a registry whose first row has some network at some input size."""
    chance = random.Random(seed)
    documents = copy.deepcopy(DOCUMENTS)
    name = chance.choice(list(NETWORKS))
    arguments = copy.deepcopy(NETWORKS[name])
    for key in arguments:
        way = chance.random()
        if way < 0.3:
            arguments[key] = chance.choice(PLAUSIBLE)
        elif way < 0.4:
            arguments[key] = chance.choice(HOSTILE)
    row = documents["zoos/mine"]["rows"][0]
    row["network"] = {"name": name, "arguments": arguments}
    sides = chance.choices([8, 16, 64, 65, 96, 128, 256, 4096], [1, 1, 6, 1, 2, 4, 2, 1], k=2)
    row["input"] = "odd"
    spec = documents["zoos/mine"]["inputs"]["coco"]
    documents["zoos/mine"]["inputs"]["odd"] = spec | {"size": sides}
    return documents


def spoiled(seed: int) -> dict[str, Any]:
    """Return the documents of a registry, the same ones for the same seed."""
    chance = random.Random(seed)
    documents = copy.deepcopy(DOCUMENTS)
    if chance.random() < 0.4:
        row = chance.choice(documents["zoos/mine"]["rows"])
        name = chance.choice(list(NETWORKS))
        row["network"] = {"name": name, "arguments": copy.deepcopy(NETWORKS[name])}
        row["network"]["arguments"][chance.choice(list(NETWORKS[name]))] = chance.choice(HOSTILE)
        if chance.random() < 0.6:
            return documents
    for _ in range(chance.choice([1, 1, 2, 3])):
        _spoil(documents[chance.choice(list(documents))], chance)
    return documents


def _spoil(at: Any, chance: random.Random) -> None:
    while at:
        key = chance.choice(list(at) if isinstance(at, dict) else range(len(at)))
        deeper = isinstance(at[key], (dict, list)) and at[key]
        if deeper and chance.random() < 0.9:
            at = at[key]
            continue
        way = chance.random()
        if way < 0.85:
            # half of them of the kind that stood there: those are the ones that get further
            kind = [value for value in HOSTILE if type(value) is type(at[key])]
            known = kind if kind and chance.random() < 0.6 else HOSTILE
            at[key] = copy.deepcopy(chance.choice(known))
        elif way < 0.92:
            del at[key]
        elif isinstance(at, dict):
            at[str(chance.choice(HOSTILE))] = copy.deepcopy(at[key])
        else:
            at.append(copy.deepcopy(at[key]))
        return


def write(documents: dict[str, Any], folder: Path) -> Path:
    """Write a registry folder; JSON is YAML, but for NaN, which is text there."""
    (folder / "zoos").mkdir(parents=True, exist_ok=True)
    for name, content in documents.items():
        (folder / f"{name}.yaml").write_text(json.dumps(content), encoding="utf-8")
    return folder


def same(given: Any, held: Any) -> bool:
    """Whether a value was taken as it was written: no text for a number, no 1.0 for 1."""
    if isinstance(given, dict):
        return isinstance(held, dict) and all(
            k in held and same(v, held[k]) for k, v in given.items()
        )
    if isinstance(given, list):
        inner = isinstance(held, (list, tuple)) and len(held) == len(given)
        return inner and all(map(same, given, held))
    if isinstance(given, bool) or isinstance(held, bool) or not isinstance(given, (int, float)):
        return type(given) is type(held) and given == held
    # a whole number may stand for itself where any number is taken, not the other way round
    return given == held and (isinstance(given, int) or isinstance(held, float))
