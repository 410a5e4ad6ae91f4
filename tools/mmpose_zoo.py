"""mmpose's model index as a zoo file: ``registry/zoos/mmpose.yaml``, text from first to last.

Which rows: those with numbers on COCO, MPII, COCO-WholeBody, CrowdPose or Body8. What a row says
comes from the index and from the model's own config, see ``posebench.mmpose.config``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posebench.mmpose.config import GREY, READING, SCORING, Facts, facts_of, read_config
from posebench.mmpose.index import Model, Numbers, config_file, digest_prefix, read_models
from posebench.types.errors import UserError
from posebench.types.protocol import Protocol

# The published metafiles are those of this commit of the repository, tag v1.3.2.
COMMIT = "5408bc76f5b848cf925a0d1857899011d8c5b497"
REPOSITORY = "https://github.com/open-mmlab/mmpose"
LICENCE = "Apache-2.0"
# Body8: persons of seven datasets' validation parts; its AP column is COCO's.
DATASETS = {
    "COCO": "coco",
    "MPII": "mpii",
    "COCO-WholeBody": "coco_wholebody",
    "CrowdPose": "crowdpose",
    "Body8": "coco",
}
PARTS = {"Whole": "wholebody", "Body": "body", "Foot": "foot", "Face": "face", "Hand": "hand"}
METRICS: dict[str, dict[str, str]] = {
    "COCO": {
        **{"AP": "AP", "AP@0.5": "AP50", "AP@0.75": "AP75", "AR": "AR", "AR@0.5": "AR50"},
    },
    "MPII": {"Mean": "PCKh@0.5", "Mean@0.1": "PCKh@0.10"},
    "COCO-WholeBody": {
        f"{part} {metric}": f"{own}/{metric}"
        for part, own in PARTS.items()
        for metric in ["AP", "AR"]
    },
    "CrowdPose": {
        **{"AP": "AP", "AP@0.5": "AP50", "AP@0.75": "AP75", "AR": "AR", "AR@0.5": "AR50"},
        **{"AP (E)": "easy/AP", "AP (M)": "medium/AP", "AP (H)": "hard/AP", "AP (L)": "hard/AP"},
    },
    "Body8": {"AP": "AP"},
}
HEAD = f"""\
# MMPose's 2D body and whole-body models. Written by `python tools/zoo.py import mmpose` from the
# model index and the configs of mmpose 1.3.2; not to be edited by hand.

zoo: mmpose
title: MMPose
homepage: {REPOSITORY}
licence: {LICENCE}
adapter: mmpose
"""
TOOLBOX = """\
  mmpose: |
    @misc{mmpose2020,
      title        = {{OpenMMLab} Pose Estimation Toolbox and Benchmark},
      author       = {{MMPose Contributors}},
      howpublished = {https://github.com/open-mmlab/mmpose},
      year         = {2020}
    }
"""


@dataclass(frozen=True)
class _Row:
    """One model with what its config says.

    Attributes:
        config: Path below ``configs/`` as it is in the wheel.
        protocol: ``name@version``.
        evidence: Of that protocol.
    """

    model: Model
    numbers: Numbers
    config: str
    facts: Facts
    protocol: str
    evidence: str


def zoo_text(folder: Path, protocols: Mapping[str, Protocol]) -> str:
    """Return the zoo file.

    Args:
        folder: Of the installed mmpose's index and configs.
        protocols: Those of the registry; every config's evaluation must be one of them.

    Raises:
        UserError: A config that cannot be understood, or an evaluation without a protocol.
    """
    known = {p.hash: key for key, p in protocols.items() if p.name.startswith("mmpose_")}
    rows = [_row(model, folder, known) for model in read_models(folder) if _numbers(model)]
    inputs: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        name = _input_name(row.facts.input)
        assert inputs.setdefault(name, row.facts.input) == row.facts.input, name
    pages = dict.fromkeys(row.numbers.page for row in rows)
    lines = [HEAD, "citations:", TOOLBOX.rstrip("\n"), *_citations(rows), "cite: [mmpose]", ""]
    lines += ["pages:", *(line for page in pages for line in _page(page)), "", "inputs:"]
    lines += [f"  {name}: {_flow(spec)}" for name, spec in sorted(inputs.items())]
    lines += ["", "tables:", *_tables(rows), "", "rows:"]
    lines += [line for row in rows for line in _lines(row)]
    return "\n".join(lines) + "\n"


def _numbers(model: Model) -> Numbers | None:
    return next((n for n in model.numbers if n.dataset in DATASETS), None)


def _row(model: Model, folder: Path, known: Mapping[str, str]) -> _Row:
    numbers = _numbers(model)
    assert numbers is not None
    path = config_file(folder, model.config)
    if path is None:
        facts = _without_config(model, numbers, "the wheel does not hold its config")
        config = model.config
    else:
        config = path.relative_to(folder / "configs").as_posix()
        try:
            facts = facts_of(read_config(path))
        except UserError:
            facts = _without_config(model, numbers, "mmengine cannot read its config in the wheel")
    wanted = Protocol.model_validate({"name": "wanted", **facts.choices})
    if wanted.hash not in known:
        raise UserError(
            f"No protocol mmpose_... in protocols.yaml is how {config} is evaluated.",
            f"Add one: {_flow(wanted.choices())}.",
        )
    evidence = "guessed" if path is None else "stated" if facts.boxes_stated else "inferred"
    return _Row(model, numbers, config, facts, known[wanted.hash], evidence)


def _without_config(model: Model, numbers: Numbers, reason: str) -> Facts:
    """What the model's name and folder say: its size, and whether it crops persons."""
    size = re.findall(r"(\d+)x(\d+)", model.config)[-1]
    dataset, whole = DATASETS[numbers.dataset], "topdown" not in numbers.page
    spec: dict[str, Any] = {"size": [int(size[0]), int(size[1])], "keypoints": "coco_17"}
    spec |= GREY | ({"exif": "apply"} if whole else READING)
    choices: dict[str, Any] = {"boxes": "none", "decode": "own", "flip": False, "shift": False}
    choices |= {"rescoring": "none", "nms": "none"}
    if whole:
        choices["result_area"] = "box"
        return Facts(
            dataset, spec | {"crop": "whole_image"}, choices | SCORING[dataset], False, reason
        )
    choices = {"boxes": "detector", "box_file": "det56", "decode": "quarter_each_axis"}
    choices |= {"flip": True, "shift": True, "no_peak": "outside", "result_area": "box"}
    choices |= {"rescoring": "box_times_mean_visible", "nms": "oks"}
    spec["crop"] = "mmpose_affine"
    return Facts(dataset, spec, choices | SCORING[dataset], False, reason)


def _lines(row: _Row) -> Iterator[str]:
    model = row.model
    yield ""
    yield f"  - id: {row_id(row.config)}"
    yield f"    title: {_quoted(model.name)}"
    yield f"    dataset: {row.facts.dataset}"
    yield f"    network: {{name: mmpose, arguments: {{config: {row.config}}}}}"
    yield f"    input: {_input_name(row.facts.input)}"
    file = {"container": "torch", "location": model.weights}
    prefix = digest_prefix(model.weights)
    file |= {"sha256_prefix": json.dumps(prefix)} if prefix else {}
    yield f"    file: {_flow(file | {'licence': LICENCE})}"
    cells = _cells(row.numbers)
    if cells and _belongs(row):
        where = {"table": _table_name(row.numbers), "page": row.numbers.page}
        claim = where | {"line": row.numbers.line, "protocol": row.protocol}
        evidence = "inferred" if _misnamed(row) else row.evidence
        claim |= {} if evidence == "stated" else {"evidence": evidence}
        yield f"    claims: [{_flow(claim | {'cells': _quoted(' '.join(cells))})}]"
    else:
        yield f"    protocol: {row.protocol}"
    if model.paper:
        yield f"    cite: [{_paper_key(model.paper[0])}, mmpose]"
    if row.facts.reason:
        yield f"    status: {_quoted('broken: ' + row.facts.reason)}"
    note = _note(row)
    if note:
        yield f"    note: {_quoted(note)}"


def row_id(config: str) -> str:
    """Return the id of a config's row: its file name in the characters that ids have."""
    stem = config.rpartition("/")[2].removesuffix(".py").lower()
    return re.sub(r"[^a-z0-9.]+", "_", stem)


def _belongs(row: _Row) -> bool:
    """Whether the numbers are of the dataset that the config evaluates on."""
    return _misnamed(row) or row.facts.dataset == DATASETS[row.numbers.dataset]


def _misnamed(row: _Row) -> bool:
    """Whether the metafile of a folder of COCO's names another dataset (RTMO's says CrowdPose)."""
    coco = "/coco/" in row.numbers.page and row.facts.dataset == "coco"
    return coco and row.numbers.dataset != "COCO"


def _note(row: _Row) -> str:
    """Numbers that posebench cannot hold against anything, as they stand."""
    if _misnamed(row):
        return f"the metafile says {row.numbers.dataset}, its folder and the config say COCO"
    others = []
    for numbers in row.model.numbers:
        known = METRICS.get(numbers.dataset, {})
        here = numbers is row.numbers and _belongs(row)
        left = [f"{name} {raw}" for name, raw in numbers.values if not here or name not in known]
        if left:
            others.append(f"on {numbers.dataset}: {', '.join(left)}")
    return f"also published {'; '.join(others)}" if others else ""


def _cells(numbers: Numbers) -> list[str]:
    raw = dict(numbers.values)
    return [raw[name] for name in METRICS[numbers.dataset] if name in raw]


def _table_name(numbers: Numbers) -> str:
    """One table for each list of metrics of a dataset."""
    names = [name for name, _ in numbers.values]
    name = re.sub(r"[^a-z0-9]+", "_", numbers.dataset.lower())
    marks = {"AP (H)": "_hard_h", "AP (L)": "_hard_l", "AR": "_ar"}
    return name + next((m for k, m in marks.items() if k in names and name == "crowdpose"), "")


def _tables(rows: Iterable[_Row]) -> Iterator[str]:
    seen: dict[str, Numbers] = {}
    for row in rows:
        if _cells(row.numbers):
            first = seen.setdefault(_table_name(row.numbers), row.numbers)
            if [n for n, _ in first.values] != [n for n, _ in row.numbers.values]:
                raise UserError(f"{row.numbers.page} lists its metrics in another order.")
    for name, numbers in seen.items():
        yield f"  {name}:"
        yield "    columns:"
        places = {metric: place for place, (metric, _) in enumerate(numbers.values, start=1)}
        for metric, own in METRICS[numbers.dataset].items():
            if metric in places:
                column = {"column": places[metric], "metric": own, "unit": "fraction"}
                column |= {} if metric == own else {"published_as": _quoted(metric)}
                yield f"      - {_flow(column)}"


def _citations(rows: Iterable[_Row]) -> Iterator[str]:
    for title, url in dict.fromkeys(row.model.paper for row in rows if row.model.paper):
        key = _paper_key(title)
        yield f"  {key}: |"
        yield f"    @misc{{{key},"
        yield f"      title        = {{{title.replace('{', '').replace('}', '')}}},"
        yield f"      howpublished = {{{url}}}"
        yield "    }"


def _paper_key(title: str) -> str:
    words = re.findall(r"[a-z0-9]+", title.lower())
    return "_".join(words[:4])


def _page(page: str) -> Iterator[str]:
    yield f"  {page}:"
    yield f"    repository: {REPOSITORY}"
    yield f"    path: configs/{page}"
    yield f"    commit: {_quoted(COMMIT)}"


def _input_name(spec: Mapping[str, Any]) -> str:
    crops = {
        "udp_affine": "udp",
        "whole_image": "whole",
        "whole_image_expand": "expand",
        "whole_image_fit": "fit",
    }
    marks = [spec.get("output", ""), crops.get(spec.get("crop", ""), "")]
    for field in ("stride", "grid"):
        if spec.get(field, 1) != 1:
            marks.append(f"{field}{spec[field]}")
    name = f"{spec['keypoints']}_{spec['size'][0]}x{spec['size'][1]}"
    return "_".join([name, *(mark for mark in marks if mark)])


def _flow(fields: Mapping[str, Any]) -> str:
    """A mapping on one line; text stands as it is, so quote what needs it."""
    return "{" + ", ".join(f"{key}: {_word(value)}" for key, value in fields.items()) + "}"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
