"""A registry of two probe models and a small dataset for them."""

from __future__ import annotations

import json

import make
import pytest

from posebench.networks import NETWORKS, NetworkFamily
from posebench.types.network_arguments import Signature, Whole

ZOO = """
zoo: probes
title: Probes
licence: none
citations: {probe: "@misc{probe, title={Probe}}"}
cite: [probe]
pages:
  page: {repository: none, path: none}
inputs:
  small: {size: [64, 48], keypoints: coco_17}
rows:
  - id: probe_detected
    short: probe
    title: Probe
    dataset: coco
    network: {name: probe, arguments: {joints: 17}}
    adapter: native
    input: small
    file: {container: none}
    claims:
      - {page: page, line: 1, column: 1, raw: "70.0", metric: AP, protocol: hrnet_det56@1}
      - {page: page, line: 1, column: 2, raw: "80.0", metric: AP50, protocol: hrnet_det56@1}
  - id: probe_annotated
    title: Probe
    dataset: coco
    network: {name: probe, arguments: {joints: 17}}
    adapter: native
    input: small
    file: {container: none}
    claims:
      - {page: page, line: 2, column: 1, raw: "20.0", metric: AP, protocol: paddle_gt_quarter@1}
      - {page: page, line: 2, column: 2, raw: "60.0", metric: AP50, protocol: paddle_gt_quarter@1}
      - {page: page, line: 2, column: 3, raw: "90.0", metric: AP, protocol: paddle_gt_dark3@1}
      - {page: page, line: 2, column: 4, raw: "2.0", metric: params, unit: M}
"""


@pytest.fixture
def probes(tmp_path, monkeypatch):
    """Folder of a third-party registry whose network is the probe."""
    takes = Signature({"joints": Whole(1, 200), "seed": Whole(0, 9)})
    family = NetworkFamily("make:Probe", takes)
    monkeypatch.setitem(NETWORKS.built_in, "probe", family)
    folder = tmp_path / "registry"
    (folder / "zoos").mkdir(parents=True)
    (folder / "zoos" / "probes.yaml").write_text(ZOO)
    return folder


@pytest.fixture
def coco(tmp_path):
    """A dataset in the usual layout, of persons so large that a probe's guesses score."""
    root = make.write_coco(tmp_path / "coco")
    file = root / "annotations" / "person_keypoints_val2017.json"
    content = json.loads(file.read_text())
    for person in content["annotations"]:
        person["area"] = 8e4
    file.write_text(json.dumps(content))
    return root
