"""Reads the published pages themselves: every result cell, with no help from the registry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Column titles of all pages that hold results -> posebench's metric names (parts of a cell).
RESULTS = {
    "AP": ("AP",),
    "AP(coco val)": ("AP", "AP"),
    "AP (COCO Val)": ("AP",),
    "OKS AP": ("AP", "AP50", "AP75"),
    "OKS AP (with flip)": ("AP", "AP50", "AP75"),
    "Ap .5": ("AP50",),
    "AP .75": ("AP75",),
    "AP (M)": ("APM",),
    "AP (L)": ("APL",),
    "AR": ("AR",),
    "AR .5": ("AR50",),
    "AR .75": ("AR75",),
    "AR (M)": ("ARM",),
    "AR (L)": ("ARL",),
    **{
        name: (f"PCKh@0.5/{name.lower()}",)
        for name in ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle")
    },
    "Mean": ("PCKh@0.5",),
    "PCKh(Mean)": ("PCKh@0.5",),
    "Mean@0.1": ("PCKh@0.11",),
    "PCKh(Mean@0.1)": ("PCKh@0.11",),
    "#Params": ("params",),
    "FLOPs": ("macs",),
    "GFLOPs": ("macs",),
    "Speed": ("speed",),
    "Inference Time for Single Person (FP32)": ("speed",),
    "(FP16)": ("speed",),
    "fps": ("speed",),
}
# Column titles that hold no result.
LABELS = {
    *("Model", "Arch", "Method", "model", "Backbone", "Detector", "Loss Type"),
    *("Input Size", "Input size", "Input Size (HxW)", "input", "#keypoints", "Hashtag"),
    *("Download", "Config", "Training Log", "Model Download", "Config File", "Model Weights"),
    *("Training Command", "Training log"),
}
# What may stand in a result cell besides its numbers.
DECORATIONS = {"", "-", "M", "G", "iter/s", "ms", "//", "(+DARK )"}
NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Number:
    """One published number: where it stands and which column title stands above it."""

    page: str
    line: int
    column: int | None
    part: int
    raw: str
    title: str
    decoration: str

    @property
    def place(self) -> tuple[str, int | None, int | None, int]:
        """Key of the number."""
        return self.page, self.line, self.column, self.part


@dataclass
class Line:
    """One table line: its first cell, its labels and its numbers."""

    page: str
    line: int
    name: str
    labels: dict[str, str] = field(default_factory=dict)
    numbers: list[Number] = field(default_factory=list)


def read_lines(folder: Path) -> list[Line]:
    """Return the table lines of every page in a folder."""
    return [line for path in sorted(folder.iterdir()) for line in _page(path)]


def read_prose(folder: Path) -> list[Number]:
    """Return the results that stand in FPD's running text (``90.520@MPII``, gains in bold)."""
    found = []
    text = (folder / "fpd.md").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(text, start=1):
        results = re.findall(r"(\d+\.\d+)@(?:MPII|COCO)|\*\*(\d+\.\d+)%\*\*", line)
        for part, pair in enumerate(results, start=1):
            found.append(Number("fpd.md", number, None, part, max(pair), "prose", ""))
    return found


def _page(path: Path) -> Iterator[Line]:
    titles: list[str] | None = None
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, text in enumerate(lines, start=1):
        cells = _cells(text, path.suffix)
        if cells is None:
            # A rule of a grid table separates its lines; anything else ends the table.
            if not re.fullmatch(r"\s*\+[-=+]+\+", text):
                titles = None
        elif titles is None:
            titles = cells
        elif not all(re.fullmatch(r":?-+:?", cell) for cell in cells):
            yield _line(path.name, number, titles, cells)


def _cells(text: str, suffix: str) -> list[str] | None:
    if suffix == ".csv":
        return None if text.startswith("#") or not text else text.split(",")
    if not text.lstrip().startswith("|"):
        return None
    return [cell.strip() for cell in text.strip().strip("|").split("|")]


def _line(page: str, number: int, titles: list[str], cells: list[str]) -> Line:
    if len(titles) != len(cells):
        raise ValueError(f"{page}:{number}: {len(cells)} cells under {len(titles)} titles")
    line = Line(page, number, cells[0])
    for column, (title, cell) in enumerate(zip(titles, cells, strict=True), start=1):
        if title in LABELS:
            line.labels[title] = cell
        elif title in RESULTS:
            line.numbers += _numbers(page, number, column, title, cell.replace("**", ""))
        else:
            raise ValueError(f"{page}:{number}: unknown column {title!r}")
    return line


def _numbers(page: str, line: int, column: int, title: str, cell: str) -> list[Number]:
    rest = NUMBER.sub("", cell).strip()
    if rest not in DECORATIONS:
        raise ValueError(f"{page}:{line}: unexpected {rest!r} in the cell {cell!r}")
    return [
        Number(page, line, column, part, raw, title, rest)
        for part, raw in enumerate(NUMBER.findall(cell), start=1)
    ]
