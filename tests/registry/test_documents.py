"""YAML reading: what is refused, and which line is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from posebench.registry import documents
from posebench.registry.documents import parse, read
from posebench.types.errors import UserError

pytestmark = pytest.mark.light


@pytest.fixture(params=["c", "python"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test with libyaml and with the parser that stands in for it."""
    if request.param == "c" and not hasattr(yaml, "CSafeLoader"):
        pytest.skip("PyYAML was built without libyaml")
    base = yaml.CSafeLoader if request.param == "c" else yaml.SafeLoader
    monkeypatch.setattr(documents, "_Loader", documents.composer(base))


def test_scalars_follow_the_core_rules() -> None:
    text = """
    words: [no, on, 1:30, 2.0.1, coco_17, -, "1", '2.5', 2024-01-01]
    numbers: [1, -2, +3, 0.480, .5, 1e-5, 010]
    others: [true, false, null, ~]
    empty:
    """
    value = parse(text, "x.yaml").value
    words = ["no", "on", "1:30", "2.0.1", "coco_17", "-", "1", "2.5", "2024-01-01"]
    assert value["words"] == words
    assert value["numbers"] == [1, -2, 3, 0.48, 0.5, 1e-5, 10]
    assert [type(v) for v in value["numbers"]] == [int, int, int, float, float, float, int]
    assert value["others"] == [True, False, None, None]
    assert value["empty"] is None


def test_lines_are_those_of_keys_and_items() -> None:
    document = parse("a:\n  b:\n    - {c: 1}\n    - c:\n        2\n", "x.yaml")
    assert document.value == {"a": {"b": [{"c": 1}, {"c": 2}]}}
    assert [document.line(path) for path in ((), ("a",), ("a", "b"), ("a", "b", 0, "c"))] == [
        *(1, 1, 2),
        3,
    ]
    assert document.line(("a", "b", 1, "c")) == 4
    assert document.line(("a", "b", 1, "missing")) == 4
    assert document.line(("a", "b", 9)) == 2
    assert document.error("wrong.", ("a", "b"), "Mend it.").message == "x.yaml:2: wrong."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"x\.yaml:3: .*'a'"),
        ("a:\n  b: 1\n  b: 1\n", r"x\.yaml:3: .*'b'"),
        ("a: &n [1]\nb: *n\n", r"x\.yaml:\d: aliases"),
        ("a: &n 1\nb: *n\n", r"x\.yaml:\d: aliases"),
        ("a: &n [*n]\n", r"x\.yaml:1:"),
        ("a: !!python/object/apply:os.system [echo]\n", r"x\.yaml:1: the tag .* not allowed"),
        ("a: !!str 1\n", r"x\.yaml:1: the tag .* not allowed"),
        ("a: [1\nb: 2\n", r"x\.yaml:\d: not valid YAML"),
        ("a: 1\n---\nb: 2\n", r"x\.yaml:2: not valid YAML"),
        ("? [a]\n: b\n", r"x\.yaml:1: .*\bkey\b"),
        ("a: \x00\n", r"x\.yaml.*not valid YAML"),
        ("[" * 3000, r"x\.yaml"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(text, "x.yaml")


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    levels = [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 40)]
    with pytest.raises(UserError, match="aliases"):
        parse("l0: &l0 [x]\n" + "\n".join(levels), "bomb.yaml")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(UserError, match=r"latin\.yaml cannot be read"):
        read(tmp_path / "latin.yaml")
    with pytest.raises(UserError, match=r"gone\.yaml cannot be read"):
        read(tmp_path / "gone.yaml")


def test_an_empty_document_is_none() -> None:
    assert parse("# nothing\n", "x.yaml").value is None
