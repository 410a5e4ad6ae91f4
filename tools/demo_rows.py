"""The rows of ``registry/zoos/demo.yaml``: what ships, and what it reaches on the drawn pictures.

``python tools/train_demo.py register`` calls this.  The numbers are posebench's own claims, so
they are measured here and nowhere typed in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from posebench.networks.demo import BODY_SIZE, SIZES

REPOSITORY = Path(__file__).resolve().parents[1]
ASSETS = REPOSITORY / "posebench" / "assets" / "demo"
ZOO = REPOSITORY / "registry" / "zoos" / "demo.yaml"

# Row -> table -> its cells.
Cells = dict[str, dict[str, str]]

HEAD = """\
# The models that posebench ships: trained on pictures it draws itself, for the demo and for CI.
# Written by `python tools/train_demo.py register`; the claims are what posebench measured.

zoo: demo
title: posebench's own demo models
licence: Apache-2.0

pages:
  train_demo.py:
    repository: posebench
    path: tools/train_demo.py
    note: no published page; the script measures the numbers and writes them here

inputs:
  demo: {size: [128, 96], colour: rgb, keypoints: coco_17}
  # Whole images, the shorter side at 192 px.
  demo_whole: {size: [192, 192], crop: whole_image, padding: 1.0, exif: apply, stride: 2}
  demo_body: {size: [192, 144], colour: rgb, keypoints: halpe_136}
  # MPII's scale is the larger side of a person: the crop is square.
  demo_mpii: {size: [192, 192], colour: rgb, keypoints: mpii_16}

"""


@dataclass(frozen=True)
class Table:
    """Numbers that one protocol gives.

    Attributes:
        protocol: Its name and version.
        metrics: In the order of the cells.
        decimals: That are claimed; grouping tips over by rounding, so that it claims fewer.
    """

    protocol: str
    metrics: tuple[str, ...] = ("AP", "AP50", "AR")
    decimals: int = 2


@dataclass(frozen=True)
class DemoRow:
    """One registry row.

    Attributes:
        name: Its id.
        title: Shown in listings.
        dataset: That it is evaluated on.
        network: Its name and arguments, as YAML.
        tables: What is claimed; the first is primary.
        input: Name of its input.
        checkpoint: Name of the shipped file, where other rows share it.
    """

    name: str
    title: str
    dataset: str
    network: str
    tables: tuple[str, ...]
    input: str
    checkpoint: str | None = None


def _demo(size: tuple[int, int], joints: int) -> str:
    width, depth = size
    return f"{{name: demo, arguments: {{width: {width}, depth: {depth}, joints: {joints}}}}}"


_PARTS = ("body/AP", "foot/AP", "face/AP")
TABLES = {
    "gt_flip": Table("demo_gt_flip@1"),
    "gt_noflip": Table("demo_gt_noflip@1"),
    "det_flip": Table("demo_det_flip@1"),
    "whole_flip": Table("demo_whole_flip@1", decimals=1),
    "whole_noflip": Table("demo_whole_noflip@1", decimals=1),
    "mpii": Table("demo_mpii@1", ("PCKh@0.5", "PCKh@0.11")),
    "halpe_136": Table("demo_halpe_gt_flip@1", ("fullbody/AP", *_PARTS, "hand/AP")),
    "halpe_26": Table("demo_halpe_26_gt_flip@1"),
    "wholebody": Table(
        "demo_wholebody_gt_flip@1", ("wholebody/AP", *_PARTS, "lefthand/AP", "righthand/AP")
    ),
}
_BODY = f"drawn whole bodies, width {BODY_SIZE[0]}"
ROWS = (
    *(
        DemoRow(name, f"LPN-like, width {size[0]}", "synthetic", _demo(size, 17),
                ("gt_flip", "gt_noflip", "det_flip"), "demo")
        for name, size in SIZES.items()
    ),
    DemoRow("demo_bottom_up", "bottom-up, grouped by tags", "synthetic",
            "{name: demo_bottom_up, arguments: {}}", ("whole_flip", "whole_noflip"), "demo_whole"),
    DemoRow("demo_mpii", f"{_BODY}, MPII's joints", "synthetic_mpii",
            _demo(BODY_SIZE, 16), ("mpii",), "demo_mpii"),
    DemoRow("demo_body_halpe_136", f"{_BODY}, Halpe's 136 keypoints", "synthetic_halpe_136",
            _demo(BODY_SIZE, 136), ("halpe_136",), "demo_body", "demo_body"),
    DemoRow("demo_body_halpe_26", f"{_BODY}, Halpe's first 26 keypoints", "synthetic_halpe_26",
            _demo(BODY_SIZE, 136), ("halpe_26",), "demo_body", "demo_body"),
    DemoRow("demo_body_wholebody_133", f"{_BODY}, COCO-WholeBody's keypoints",
            "synthetic_wholebody", _demo(BODY_SIZE, 136), ("wholebody",), "demo_body", "demo_body"),
)  # fmt: skip


def register(only: Collection[str] = ()) -> None:
    """Evaluate the shipped weights under each protocol and write the claims.

    Args:
        only: Rows to measure; the others keep their numbers.  None named: all.
    """
    import posebench

    names = [row.name for row in ROWS if not only or row.name in only]
    cells = {name: own for name, own in _present().items() if name not in names}
    # Rows without claims first: the evaluation needs them, and no old claim may speak.
    ZOO.write_text(zoo_file(cells))
    for row in ROWS:
        if row.name not in names:
            continue
        cells[row.name] = {}
        for name in row.tables:
            table = TABLES[name]
            scores = posebench.evaluate(f"demo/{row.name}", protocol=table.protocol).scores
            cells[row.name][name] = " ".join(
                f"{scores[metric]:.{table.decimals}f}" for metric in table.metrics
            )
            print(row.name, table.protocol, cells[row.name][name], flush=True)
    ZOO.write_text(zoo_file(cells))


def _present() -> Cells:
    """Return the claims that stand in the file now."""
    rows = yaml.safe_load(ZOO.read_text())["rows"] if ZOO.exists() else []
    return {
        row["id"]: {claim["table"]: str(claim["cells"]) for claim in row["claims"]}
        for row in rows
        if "claims" in row
    }


def zoo_file(cells: Mapping[str, Mapping[str, str]]) -> str:
    """Return the text of ``demo.yaml``.

    Args:
        cells: Row -> table -> claimed numbers; a row that is missing claims nothing.
    """
    text = HEAD + "checkpoints:\n"
    for shared in sorted({row.checkpoint for row in ROWS if row.checkpoint}):
        text += f"  {shared}:\n" + "".join(_file(shared, "    "))
    text += "\ntables:\n"
    for name, table in TABLES.items():
        text += f"  {name}:\n    page: train_demo.py\n    protocol: {table.protocol}\n"
        text += "    columns:\n"
        for column, metric in enumerate(table.metrics, 1):
            text += f"      - {{column: {column}, metric: {metric}, unit: percent}}\n"
    text += "\nrows:\n"
    for row in ROWS:
        text += "".join(_row(row, cells.get(row.name, {})))
    return text


def _row(row: DemoRow, cells: Mapping[str, str]) -> Iterator[str]:
    yield f"  - id: {row.name}\n    title: {row.title}\n    dataset: {row.dataset}\n"
    yield f"    network: {row.network}\n    input: {row.input}\n"
    if row.checkpoint:
        yield f"    checkpoint: {row.checkpoint}\n"
    else:
        yield "    file:\n"
        yield from _file(row.name, "      ")
    if not cells:
        yield f"    protocol: {TABLES[row.tables[0]].protocol}\n"
        return
    yield "    claims:\n"
    for table, numbers in cells.items():
        yield f"      - {{table: {table}, cells: {numbers}}}\n"


def _file(name: str, indent: str) -> Iterator[str]:
    path = ASSETS / f"{name}.safetensors"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for line in (
        "container: safetensors",
        f"location: package:assets/demo/{path.name}",
        f"file_name: {path.name}",
        f"sha256: {digest}",
        f"size: {path.stat().st_size}",
        "licence: Apache-2.0",
    ):
        yield f"{indent}{line}\n"
