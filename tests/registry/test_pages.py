"""The registry against the published pages, cell by cell."""

from __future__ import annotations

import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest
from zoo_pages import RESULTS, Line, Number, read_lines, read_prose

from posebench.keypoints import keypoint_set
from posebench.registry import Registry, registry_of, shipped_folder, shipped_registry
from posebench.types.entry import Claim, Entry

pytestmark = pytest.mark.light

# Cells of the five pages' tables; the figure and the PP-TinyPose page come on top.
EXPECTED = {
    "alphapose.md": 41,
    "fpd.md": 72,
    "gluoncv.rst": 96,
    "lpn.md": 118,
    "lpn_speed_figure.csv": 14,
    "paddledetection.md": 15,
    "paddledetection_tinypose.md": 6,
}
NO_ROW = "a point of the figure for which no table row and no file was published"
GAIN = "the difference of two numbers, no result of a model"
# (page, line, column, part) -> why no claim holds this number.
IGNORED: dict[tuple[str, int | None, int | None, int], str] = {
    **{("lpn_speed_figure.csv", line, 3, 1): NO_ROW for line in range(11, 17)},
    ("fpd.md", 20, None, 1): GAIN,
    ("fpd.md", 26, None, 1): GAIN,
}
# Pages that rows quote and that are not among the pages of the shared folder.
ELSEWHERE = {"alphapose_newest.md"}

UNITS = {"M": "M", "G": "G", "iter/s": "iter/s", "ms": "ms"}
LOSSES = {
    "Heatmap": "quarter",
    "Symmetric Integral": "integral_sigmoid",
    "Combined": "combined",
    "Combined (10 hand weight)": "combined",
}
FIGURE_NAMES = {
    **{f"LPN-{n}": f"lpn_{n}" for n in (50, 101, 152)},
    **{f"Simple-{n}": f"pose_resnet_{n}" for n in (50, 101, 152)},
    **{f"HRNet-W{n}": f"pose_hrnet_w{n}" for n in (32, 48)},
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return shipped_registry()


@pytest.fixture(scope="module")
def lines(shared: Path) -> list[Line]:
    return read_lines(shared / "zoo_pages")


@pytest.fixture(scope="module")
def numbers(shared: Path, lines: list[Line]) -> list[Number]:
    return [n for line in lines for n in line.numbers] + read_prose(shared / "zoo_pages")


def published(registry: Registry) -> list[tuple[Entry, Claim]]:
    """Return the claims that quote a page; the models posebench ships quote none.

    mmpose's pages are the metafiles of its own package: tests/openmmlab holds its rows to them.
    """
    zoos = [e for e in registry.entries if e.zoo not in ("demo", "mmpose")]
    return [(e, c) for e in zoos for c in e.claims]


def problems(numbers: Iterable[Number], claims: Iterable[Claim]) -> list[str]:
    """Return what keeps numbers and claims from standing for each other one to one."""
    printed: dict[tuple[str, int | None, int | None, int], str] = {
        number.place: number.raw for number in numbers
    }
    found: dict[tuple[str, int | None, int | None, int], list[str]] = defaultdict(list)
    for claim in claims:
        source = claim.source
        if source.page not in ELSEWHERE:
            found[(source.page, source.line, source.column, source.part)].append(claim.raw)
    wrong = [f"{place}: ignored, but it is not there" for place in IGNORED if place not in printed]
    for place, raw in printed.items():
        times = len(found[place])
        if place in IGNORED:
            wrong += [f"{place}: {raw} is ignored and claimed"] * (times > 0)
        elif times != 1:
            wrong.append(f"{place}: {raw} is claimed {times} times")
    for place, raws in found.items():
        wrong += [
            f"{place}: claimed {raw}, printed {printed.get(place)}"
            for raw in raws
            if raw != printed.get(place)
        ]
    return wrong


def test_the_pages_hold_as_many_numbers_as_they_should(lines: list[Line]) -> None:
    counts = Counter(number.page for line in lines for number in line.numbers)
    assert counts == EXPECTED
    tables = {page for page in EXPECTED if page not in ("lpn_speed_figure.csv",)}
    assert sum(EXPECTED[p] for p in tables - {"paddledetection_tinypose.md"}) == 342


def test_every_number_is_claimed_once_and_every_claim_is_printed(
    registry: Registry, numbers: list[Number]
) -> None:
    assert problems(numbers, [claim for _, claim in published(registry)]) == []


def test_claims_have_the_metric_and_unit_of_their_column(
    registry: Registry, numbers: list[Number]
) -> None:
    by_place = {number.place: number for number in numbers}
    checked = 0
    for _, claim in published(registry):
        source = claim.source
        if source.page in ELSEWHERE or source.column is None:
            continue
        number = by_place[(source.page, source.line or 0, source.column, source.part)]
        assert claim.metric.removeprefix("fullbody/") == RESULTS[number.title][source.part - 1]
        unit = UNITS.get(number.decoration)
        if number.title == "GFLOPs":
            unit = "G"
        elif number.title == "fps":
            unit = "frames/s"
        elif unit is None:
            unit = "fraction" if float(claim.raw) < 1 else "percent"
        assert claim.unit == unit, claim
        checked += 1
    assert checked == sum(EXPECTED.values()) - len(IGNORED) + 2


def test_a_line_belongs_to_one_row_with_its_name(registry: Registry, lines: list[Line]) -> None:
    rows: dict[tuple[str, int | None], set[str]] = defaultdict(set)
    for entry, claim in published(registry):
        if claim.source.column is not None and claim.source.page not in ELSEWHERE:
            rows[(claim.source.page, claim.source.line)].add(entry.key)
    entries = {entry.key: entry for entry in registry.entries}
    for line in lines:
        keys = rows[(line.page, line.line)]
        if (line.page, line.line, 3, 1) in IGNORED:
            assert not keys
            continue
        assert len(keys) == 1, line
        entry = entries[keys.pop()]
        if line.page.endswith(".csv"):
            assert entry.short == FIGURE_NAMES[line.name]
        else:
            assert _plain(entry.title).startswith(_plain(line.name)), line


def _plain(text: str) -> str:
    """Reduce a name to letters, digits and stars: no links, footnotes or mark-up."""
    text = re.sub(r"\[<sup>.*?</sup>\]|\[\d\]_|:gray:", "", text)
    text = re.sub(r"\]\([^)]*\)|\(#[^)]*\)", "", text)
    return re.sub(r"[^a-z0-9*]", "", text.replace("**", "").lower())


def test_input_sizes_and_keypoint_counts_are_those_of_the_weights(
    registry: Registry, lines: list[Line]
) -> None:
    by_line = _entries_by_line(registry)
    sizes = counts = 0
    for line in lines:
        entry = by_line.get((line.page, line.line))
        if entry is None:
            continue
        height, width = entry.input.size
        in_name = re.search(r"\((\d+x\d+)\)", line.name)
        size = in_name[1] if in_name else None
        for title in ("Input Size", "Input size", "Input Size (HxW)", "input"):
            size = line.labels.get(title, size)
        if size is not None:
            assert size in (f"{height}x{width}", f"{height}" if height == width else ""), line
            sizes += 1
        if "#keypoints" in line.labels:
            published_count = int(line.labels["#keypoints"].split()[0])
            assert published_count == len(keypoint_set(entry.input.keypoints))
            counts += 1
    assert (sizes, counts) == (22 + 13 + 2 + 3 + 8 + 2, 4)


def test_gluoncv_sizes_without_a_note_are_the_page_s_defaults(registry: Registry) -> None:
    for entry in registry.entries:
        if entry.zoo == "gluoncv" and "(" not in entry.title:
            alpha = entry.title.startswith("alpha")
            assert entry.input.size == ((320, 256) if alpha else (256, 192))


def test_gluoncv_files_carry_the_hash_of_the_page(registry: Registry, lines: list[Line]) -> None:
    by_line = _entries_by_line(registry)
    tags = [line for line in lines if "Hashtag" in line.labels]
    assert len(tags) == 16
    for line in tags:
        checkpoint = by_line[(line.page, line.line)].checkpoint
        assert (checkpoint.sha1 or "").startswith(line.labels["Hashtag"])
        assert f"-{line.labels['Hashtag']}.zip" in (checkpoint.location or "")


def test_protocols_do_what_the_page_says(registry: Registry, lines: list[Line]) -> None:
    by_line = _entries_by_line(registry)
    losses = 0
    for line in lines:
        loss = line.labels.get("Loss Type")
        entry = by_line.get((line.page, line.line))
        if loss is None or entry is None or entry.primary is None:
            continue
        assert registry.protocol(entry.primary.protocol or "").decode == LOSSES[loss]
        losses += 1
    assert losses == 13
    for entry, claim in published(registry):
        if claim.source.page == "gluoncv.rst":
            flip = registry.protocol(claim.protocol or "").flip
            assert flip == (claim.source.column == 3), entry.key


def test_files_are_those_the_page_links(registry: Registry, shared: Path) -> None:
    pages = {p.name: p.read_text(encoding="utf-8") for p in (shared / "zoo_pages").iterdir()}
    linked = 0
    for entry, claim in published(registry):
        if claim is not entry.claims[0]:
            continue
        line = pages[claim.source.page].splitlines()[(claim.source.line or 0) - 1]
        if claim.source.page.startswith("paddledetection"):
            assert (entry.checkpoint.location or "?") in line
            linked += 1
        elif claim.source.page == "alphapose.md":
            place = (entry.checkpoint.location or "?").removeprefix("gdrive:")
            assert place in line or (entry.checkpoint.file_name or "?") in line
            linked += 1
    assert linked == 37


def _entries_by_line(registry: Registry) -> dict[tuple[str, int | None], Entry]:
    return {(c.source.page, c.source.line): e for e, c in published(registry) if c.source.column}


# --- the test above must notice faults ----------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("lpn.yaml", "0.691 0.881", "0.692 0.881", "claimed 0.692, printed 0.691"),
        ("lpn.yaml", "0.810 2.9 1.0", "0.810 2.90 1.0", "claimed 2.90, printed 2.9"),
        ("fpd.yaml", "line: 36\n", "line: 38\n", "is claimed 2 times"),
        ("fpd.yaml", "line: 36\n", "line: 38\n", "is claimed 0 times"),
        ("gluoncv.yaml", "68.4/90.3/75.7 66.3", "68.4/75.7/90.3 66.3", "printed 90.3"),
        ("alphapose.yaml", "56.9 15.72", "15.72 56.9", "claimed 56.9, printed 15.72"),
        ("paddledetection.yaml", 'raw: "68.4"', 'raw: "68.5"', "claimed 68.5, printed 68.4"),
    ],
)
def test_a_wrong_cell_is_noticed(
    file: str, old: str, new: str, complaint: str, numbers: list[Number], tmp_path: Path
) -> None:
    folder = shutil.copytree(shipped_folder(), tmp_path / "registry")
    path = folder / "zoos" / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    found = problems(numbers, [claim for _, claim in published(registry_of(folder))])
    assert any(complaint in problem for problem in found)


def test_a_missing_row_is_noticed(registry: Registry, numbers: list[Number]) -> None:
    for dropped in registry.entries:
        rest = [c for entry, c in published(registry) if entry is not dropped]
        lost = [c for e, c in published(registry) if e is dropped]
        lost = [c for c in lost if c.source.page not in ELSEWHERE]
        assert len(problems(numbers, rest)) == len(lost)
        assert lost or dropped.zoo in ("demo", "mmpose")


def test_a_number_claimed_twice_is_noticed(registry: Registry, numbers: list[Number]) -> None:
    claims = [claim for _, claim in published(registry)]
    found = problems(numbers, [*claims, claims[100]])
    assert found == [f"{_place(claims[100])}: {claims[100].raw} is claimed 2 times"]


def test_a_claim_on_an_ignored_number_is_noticed(registry: Registry, numbers: list[Number]) -> None:
    claims = [claim for _, claim in published(registry)]
    source = claims[0].source.model_copy(
        update={"page": "lpn_speed_figure.csv", "line": 11, "column": 3, "part": 1}
    )
    extra = claims[0].model_copy(update={"source": source, "raw": "1.1"})
    assert len(problems(numbers, [*claims, extra])) == 1


def _place(claim: Claim) -> tuple[str, int | None, int | None, int]:
    return claim.source.page, claim.source.line, claim.source.column, claim.source.part
