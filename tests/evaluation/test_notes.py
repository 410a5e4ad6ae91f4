"""What was done to the weights stands in the record."""

from __future__ import annotations

import make
import mxnet_files
import numpy as np

from posebench.evaluation.evaluate import evaluate

ROW = """
  - id: probe_repaired
    title: Probe
    dataset: coco
    network: {name: probe, arguments: {joints: 17}}
    adapter: gluon
    input: small
    file: {container: mxnet, repair: nonfinite_to_zero}
    claims:
      - {page: page, line: 3, column: 1, raw: "20.0", metric: AP, protocol: paddle_gt_quarter@1}
"""


def test_a_repair_of_the_weights(probes, coco, tmp_path):
    zoo = probes / "zoos" / "probes.yaml"
    zoo.write_text(zoo.read_text() + ROW)
    state = {name: value.numpy().copy() for name, value in make.Probe().state_dict().items()}
    state["conv.bias"][3] = np.nan
    file = mxnet_files.write(state, tmp_path / "probe.zip", packed=True)
    record = evaluate("probe_repaired", data_root=coco, registry=[probes], checkpoint=file)
    assert record.coverage == 1.0
    assert "1 value of the weights, NaN or infinite, became 0: conv.bias" in record.notes


def test_no_note_without_reason(probes, coco):
    assert evaluate("probe_annotated", data_root=coco, registry=[probes]).notes == ()
