"""Paths, numbers and arguments of rows: what may stand there, and what the refusal says."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import hostile_rows
import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticUndefined
from refusals import assert_mentions, refused

from posebench.downloads.cache import Cache
from posebench.downloads.files import inside
from posebench.network_families import FOREIGN, NETWORKS
from posebench.registry import load_registry, registry_of
from posebench.registry.schema import CheckpointRow, ZooFile
from posebench.types.dataset import DatasetSpec
from posebench.types.entry import Checkpoint, Claim, Entry, InputSpec
from posebench.types.errors import UserError
from posebench.types.paths import (
    FileName,
    PathTemplate,
    RelativePath,
    RelativePlace,
    fill_template,
)
from posebench.types.protocol import Protocol

pytestmark = pytest.mark.light

# --- paths ---------------------------------------------------------------------------------------

OUTSIDE = [
    "", ".", "..", "/", "/a", "//a", "../a", "a/../b", "a/..", "./a", "a/./b", "a//b", "a\\b",
    "C:a",
    "C:\\a", "C:/a", "\\\\host\\a", "a:b", "nul", "a/CON", "com1.json", "a.", "a ", " a", "a /b",
    ".hidden", "a/.hidden", "a\0b", "a\nb", "a\x1bb", "a\x7fb", "a\u202eb", "a\ud800b", "{0}",
    "{}", "a{",
    "{x:>2000000000}", "a" * 201, "\u00e9" * 101, "a/" * 300 + "a",
]  # fmt: skip
INSIDE = ["a", "a.json", "a/b/c.tar.gz", "val2017", "hourglass_FPD*.pth", "\u00e9t\u00e9/b c.json",
          "a" * 200, "a/" * 150 + "a"]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
def test_paths_that_leave_their_folder_or_mean_something_else(path):
    for kind in (RelativePath, RelativePlace, PathTemplate, FileName):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(path)


@pytest.mark.parametrize("path", INSIDE)
def test_paths_that_stay_inside(path, tmp_path):
    assert TypeAdapter(RelativePath).validate_python(path) == path
    assert TypeAdapter(RelativePlace).validate_python(f"{path}/") == f"{path}/"
    assert inside(tmp_path, path) == tmp_path / path
    if "/" in path:
        with pytest.raises(ValidationError, match="no folder"):
            TypeAdapter(FileName).validate_python(path)


def test_only_the_one_placeholder_is_filled_and_nothing_is_interpreted():
    template = TypeAdapter(PathTemplate).validate_python("a/{annotations}_{annotations}.json")
    assert fill_template(template, "val") == "a/val_val.json"
    assert (
        fill_template(template, "{annotations}%s{0}")
        == "a/{annotations}%s{0}_{annotations}%s{0}.json"
    )
    for other in ("{annotations!r}", "{annotations:>9}", "{{annotations}}", "{annotations}}"):
        with pytest.raises(ValidationError, match="the only placeholder is"):
            TypeAdapter(PathTemplate).validate_python(other)


def test_a_protocol_cannot_name_annotations_elsewhere():
    with pytest.raises(ValidationError, match="annotations"):
        Protocol(**hostile_rows.PROTOCOLS["gt@1"] | {"name": "a", "annotations": "../../secret"})


@pytest.mark.parametrize(
    ("axis", "value"),
    [("dark_kernel", 1), ("dark_kernel", 4), ("dark_kernel", 257), ("dark_kernel", 5.0),
     ("softargmax_beta", 0.0), ("softargmax_beta", float("nan")),
     ("visibility_threshold", float("inf")), ("box_score_threshold", float("nan")),
     ("max_detections", 0), ("nms_threshold", "0.9"), ("flip", 0), ("decode", "Darkk!"),
     ("annotations", "../a")],
)  # fmt: skip
def test_a_choice_that_its_axis_does_not_have(axis, value):
    protocol = Protocol(**hostile_rows.PROTOCOLS["gt@1"] | {"name": "a"})
    with pytest.raises(UserError, match=f"{axis} cannot be"):
        protocol.with_choices(**{axis: value})


def test_links_lead_no_file_out_of_its_folder(tmp_path):
    root, away = tmp_path / "root", tmp_path / "away"
    (root / "real").mkdir(parents=True)
    away.mkdir()
    (root / "out").symlink_to(away)
    (root / "here").symlink_to(root / "real")
    (root / "file").symlink_to(away / "file")
    (root / "circle").symlink_to(root / "circle")
    for path in ("out", "out/a", "out/a/b", "file"):
        with refused(away / "file" if path == "file" else away, hint="link"):
            inside(root, path)
    with pytest.raises(UserError, match="circle"):
        inside(root, "circle/a")
    assert inside(root, "here/a") == root / "here" / "a"
    # the folder itself may be a link
    (tmp_path / "link").symlink_to(root)
    assert inside(tmp_path / "link", "real/a") == tmp_path / "link" / "real" / "a"


def test_the_cache_writes_through_no_link_that_leads_out(tmp_path):
    cache = Cache(tmp_path / "cache")
    (tmp_path / "away").mkdir()
    cache.partial.parent.mkdir(parents=True)
    cache.partial.symlink_to(tmp_path / "away")
    with pytest.raises(UserError, match="is not written"):
        cache.partial_of("0" * 20)
    cache.objects.symlink_to(tmp_path / "away")
    received = tmp_path / "received"
    received.write_bytes(b"x")
    with pytest.raises(UserError, match="is not written"):
        cache.add(Checkpoint(id="a", container="torch"), received, "a.pth", "0" * 64)
    assert not list((tmp_path / "away").iterdir())


# --- numbers -------------------------------------------------------------------------------------


def bare(annotation: Any) -> bool:
    """Whether a type takes text, true or 1.0 for a number somewhere."""
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        return bare(inner) and not any(type(note).__name__ == "Strict" for note in notes)
    return annotation in (int, float, bool) or any(map(bare, get_args(annotation)))


def models(model: Any) -> set[Any]:
    found = {model}
    for field in model.model_fields.values():
        waiting = [field.annotation]
        while waiting:
            inner = waiting.pop()
            waiting += get_args(inner)
            if isinstance(inner, type) and hasattr(inner, "model_fields") and inner not in found:
                found |= models(inner)
    return found


def test_no_field_of_a_row_takes_another_type_for_a_number():
    """Of every type that a registry is read into, present and future."""
    loose = [
        f"{model.__name__}.{name}"
        for root in (ZooFile, DatasetSpec, Protocol, Entry, CheckpointRow)
        for model in models(root)
        for name, field in model.model_fields.items()
        if bare(field.rebuild_annotation())
    ]
    assert loose == []


@pytest.mark.parametrize(
    "fields",
    [
        {"size": [0, 0]}, {"size": [-64, 48]}, {"size": [64.0, 48]}, {"size": ["64", 48]},
        {"size": [True, 48]}, {"size": [7, 48]}, {"size": [64, 4097]}, {"padding": 0},
        {"padding": -1.25},
        {"padding": 1e-300}, {"padding": "1.25"}, {"padding": True}, {"padding": float("nan")},
        {"padding": float("inf")}, {"pixel_std": 0}, {"pixel_std": 1e300}, {"std": [0, 1, 1]},
        {"std": [1, 1]}, {"std": [1e-300, 1, 1]}, {"mean": [float("inf"), 0, 0]}, {"grid": 0},
        {"grid": 10**9}, {"stride": 0}, {"stride": 10**6}, {"size": [8, 8], "stride": 64},
        {"levels": True},
        {"levels": 1.0}, {"border": 256}, {"keypoints": "../a"},
    ],
)  # fmt: skip
def test_inputs_that_no_network_has(fields):
    with pytest.raises(ValidationError):
        InputSpec(**({"size": [64, 48]} | fields))


@pytest.mark.parametrize(
    ("field", "inside", "outside"),
    [
        ("size", ([8, 8], [4096, 4096]), ([7, 8], [8, 7], [4097, 4096], [4096, 4097])),
        ("padding", (0.1, 10), (0.0999, 10.001)),
        ("std", ([0.001] * 3,), ([0.000999, 1, 1],)),
    ],
)
def test_the_bounds_of_an_input_are_those_of_the_documentation(field, inside, outside):
    fields = {"size": [64, 48]}
    for value in inside:
        InputSpec(**(fields | {field: value}))
    for value in outside:
        with pytest.raises(ValidationError):
            InputSpec(**(fields | {field: value}))


@pytest.mark.parametrize("raw", ["nan", "inf", "1e5", "1_0", "70,1", " 70", "", "\u0661", "0x5",
                                 "abc",
                                 "9" * 16, "--1"])  # fmt: skip
def test_published_numbers_are_digits(raw):
    with pytest.raises(ValidationError, match="digits"):
        Claim(metric="AP", raw=raw, source={"page": "a"})


@pytest.mark.parametrize(
    "fields",
    [
        {"sha256": "0" * 63}, {"sha256": "g" * 64}, {"sha1": "0" * 7}, {"sha256_prefix": "0"},
        {"size": 0},
        {"size": "5"}, {"location": "file:///etc/passwd"}, {"location": "ftp://a/b"},
        {"location": "a"},
        {"location": "package:../a"}, {"location": "gdrive:../a"}, {"location": "https://a b"},
        {"file_name": "../a"}, {"id": "a" * 101},
    ],
)  # fmt: skip
def test_checkpoints_that_cannot_be_had(fields):
    with pytest.raises(ValidationError):
        Checkpoint(**({"id": "a", "container": "torch"} | fields))


@pytest.mark.parametrize("location", ["https://a/b?c=d", "gdrive:1a-_B", "gdrive-folder:a",
                                      "baidu:1abc",
                                      "baidu:1a?pwd=1", "package:assets/a.pth", None])  # fmt: skip
def test_locations_that_are_known(location):
    assert Checkpoint(id="a", container="torch", location=location).location == location


# --- rows ----------------------------------------------------------------------------------------


def told(tmp_path: Path, **changes: Any) -> str:
    """Return what the loader says about a registry whose first row is changed."""
    documents = json.loads(json.dumps(hostile_rows.DOCUMENTS))
    documents["zoos/mine"]["rows"][0]["network"] |= changes
    with pytest.raises(UserError) as caught:
        registry_of(hostile_rows.write(documents, tmp_path / "registry"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "None"), (1.5, "1.5"), (-4, "-4"), (0, "0"), (100_000_000, "100000000"), (True, "True"),
     ("12", "'12'"), ([12], "[12]"), (12.0, "12.0")],
)  # fmt: skip
def test_the_refusal_names_row_field_value_and_range(value, shown, tmp_path):
    said = told(tmp_path, arguments={"width": value})
    assert re.search(r"zoos/mine\.yaml:\d+", said)
    assert_mentions(said, "row one", "demo", f"width {shown}", "whole number", "1", "256")


@pytest.mark.parametrize(
    ("name", "arguments", "names"),
    [
        ("demo", {"width": 8, "depth": 1_000_000}, ("depth 1000000", "whole number", "0")),
        ("demo", {"width": 8, "dept": 1}, ("demo", "'dept'", "mean depth")),
        ("demo", {}, ("demo", "width", "whole number", "1", "256")),
        ("lpn", {"layers": [1, 1, 1]}, ("layers [1, 1, 1]", "list of 4")),
        ("lpn", {"layers": 50}, ("layers 50", "list of 4")),
        ("fastpose", {"deformable": 1}, ("deformable 1", "false", "true")),
        ("fastpose", {"layers": True}, ("layers True", "50", "101", "152")),
        ("hourglass", {"features": 6}, ("features 6", "multiple of 4")),
        ("mmpose", {"config": "../../evil.py"}, ("config '../../evil.py'", "relative path")),
        ("mmpose", {"config": "/tmp/evil.py"}, ("config '/tmp/evil.py'", "relative path")),
        ("plugged", {"a": [[1]]}, ("a is [[1]]", "argument")),
        ("plugged", {"a": 10**30}, ("argument", "finite number")),
        ("plugged", {"a": "a" * 500}, ("argument",)),
        ("../plugged", {}, ("network.name", "../plugged")),
    ],
)
def test_arguments_of_every_kind(name, arguments, names, tmp_path):
    assert_mentions(told(tmp_path, name=name, arguments=arguments), *names)


def test_the_refusal_of_an_input_names_both_bounds(tmp_path):
    documents = json.loads(json.dumps(hostile_rows.DOCUMENTS))
    documents["zoos/mine"]["inputs"]["coco"]["size"] = [64, 0]
    with pytest.raises(UserError) as caught:
        registry_of(hostile_rows.write(documents, tmp_path))
    assert_mentions(caught.value.message, "inputs.coco.size.1", "0", "8", "4,096")


def test_an_input_that_the_network_cannot_halve(tmp_path):
    documents = json.loads(json.dumps(hostile_rows.DOCUMENTS))
    documents["zoos/mine"]["inputs"]["coco"]["size"] = [72, 64]
    folder = hostile_rows.write(documents, tmp_path)
    with refused("72x64", "multiples of 16"):
        registry_of(folder)


def test_every_row_that_ships_is_within_its_bounds():
    """Loading checked them; every network that they name but one has bounds."""
    names = {entry.network.name for entry in load_registry().entries}
    assert names == NETWORKS.built_in.keys() | FOREIGN.keys()


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("datasets", 'a: {title: "\\e[31m"}', r":1: the control character '\\x1b' in a text"),
        ("datasets", 'a: {"\\u202e": 1}', "the control character"),
        ("datasets", "a: {images: 1e400}", "1e400"),
        ("datasets", f"a: {{title: {'a' * 20_001}}}", "a text of 20001 characters"),
        ("protocols", "a@\u00b2: {boxes: gt}", "is not called name@version"),
        ("protocols", "a@01: {boxes: gt}", "is not called name@version"),
        ("protocols", "A/b@1: {boxes: gt}", "is not called name@version"),
    ],
)
def test_texts_and_names(file, text, said, tmp_path):
    (tmp_path / f"{file}.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=said):
        registry_of(tmp_path)


def test_a_long_value_is_shortened_in_the_refusal(tmp_path):
    text = json.dumps({"a": {"title": ["x" * 9000]}})
    (tmp_path / "datasets.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        registry_of(tmp_path)
    assert len(str(caught.value)) < 300


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_among_the_zoos_does_not_hang(tmp_path):
    (tmp_path / "zoos").mkdir()
    os.mkfifo(tmp_path / "zoos" / "mine.yaml")
    with pytest.raises(UserError, match="not an ordinary file"):
        registry_of(tmp_path)


def test_a_file_of_any_size_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("posebench.registry.documents.LARGEST", 10)
    (tmp_path / "datasets.yaml").write_text("a: {title: x}")
    with pytest.raises(UserError, match="at most 10 bytes"):
        registry_of(tmp_path)


def test_defaults_are_within_their_own_bounds():
    for field in (*InputSpec.model_fields.values(), *Protocol.model_fields.values()):
        if field.default is not PydanticUndefined:
            TypeAdapter(field.rebuild_annotation()).validate_python(field.default)
