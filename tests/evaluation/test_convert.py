"""Copies of published weights: complete, marked with their source, and as good as the source."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from posebench.adapters import load_weights
from posebench.cli import main as cli
from posebench.evaluation.convert import convert
from posebench.networks import build_network
from posebench.registry import load_registry
from posebench.types.errors import UserError
from posebench.verification.checkpoint_writer import filled_state, write_native

MODEL = "paddledetection/tinypose_128x96"


@pytest.fixture(scope="module")
def entry():
    return load_registry().find(MODEL)


@pytest.fixture(scope="module")
def source(entry, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "tinypose.pdparams"
    network = build_network(entry.network.name, **entry.network.arguments)
    write_native(filled_state(network, "paddle", 0.8), "paddle", path)
    return path


@pytest.fixture
def copy(source, tmp_path):
    return convert(MODEL, source, tmp_path / "new" / "copy.safetensors")


def known(entry, **digests):
    return entry.model_copy(
        update={"checkpoint": entry.checkpoint.model_copy(update={"sha256": None, **digests})}
    )


def test_the_copy_loads_as_the_same_network(entry, source, copy):
    first, second = load_weights(entry, source), load_weights(entry, copy.path)
    for name, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    assert second.coverage == first.coverage
    assert second.coverage.fraction == 1.0
    assert second.checkpoint_sha256 == copy.sha256


def test_the_copy_says_where_it_comes_from(source, copy):
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    with safe_open(copy.path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["zoo"] == "paddledetection"
    assert metadata["model"] == "tinypose_128x96"
    assert metadata["source_sha256"] == digest == copy.origin.sha256
    assert metadata["source_name"] == source.name
    assert copy.sha256 == hashlib.sha256(copy.path.read_bytes()).hexdigest()
    assert list(copy.path.parent.iterdir()) == [copy.path]


def test_digests_that_the_registry_knows_are_those_of_the_source(entry, source, copy):
    good = {
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "sha1": hashlib.sha1(source.read_bytes()).hexdigest()[:8],
        "size": source.stat().st_size,
    }
    load_weights(known(entry, **good), copy.path)
    for name, wrong in (("sha256", "0" * 64), ("sha1", "0" * 8), ("size", 7)):
        with pytest.raises(UserError, match="is a copy of a file with"):
            load_weights(known(entry, **(good | {name: wrong})), copy.path)


def test_another_safetensors_file_is_held_against_its_own_digest(entry, copy, tmp_path):
    plain = tmp_path / "plain.safetensors"
    save_file(load_file(copy.path), plain)
    load_weights(entry, plain)
    with pytest.raises(UserError, match="the published file has"):
        load_weights(known(entry, sha256="0" * 64), plain)


def test_a_copy_whose_source_is_not_named_is_refused(entry, copy, tmp_path):
    with safe_open(copy.path, framework="pt") as file:
        metadata = file.metadata()
    for key, value in (("source_sha256", None), ("source_size", "many"), ("notes", "[")):
        broken = {k: v for k, v in (metadata | {key: value}).items() if v is not None}
        path = tmp_path / "broken.safetensors"
        save_file(load_file(copy.path), path, metadata=broken)
        with pytest.raises(UserError, match="does not say which published file"):
            load_weights(entry, path)


def test_weights_of_another_network_are_not_copied(source, tmp_path):
    with pytest.raises(UserError, match="does not fit the network"):
        convert("lite_hrnet_18_256x192_coco", source, tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.pth", "x"])
def test_the_copy_has_to_be_called_what_it_is(source, tmp_path, name):
    with pytest.raises(UserError, match=f"would be called '{name}'"):
        convert(MODEL, source, tmp_path / name)


def test_a_copy_is_not_copied_again(copy, tmp_path):
    with pytest.raises(UserError, match="is a copy already"):
        convert(MODEL, copy.path, tmp_path / "again.safetensors")


def test_a_folder_that_cannot_be_written(source, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        convert(MODEL, source, tmp_path / "file" / "x.safetensors")


def test_the_verb_prints_digests_and_json(source, tmp_path, capsys):
    words = [
        "convert",
        MODEL,
        "--checkpoint",
        str(source),
        "--output",
        str(tmp_path / "c.safetensors"),
    ]
    assert cli.main(words) == 0
    assert hashlib.sha256(source.read_bytes()).hexdigest() in capsys.readouterr().out
    assert cli.main([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["model"] == "tinypose_128x96"
    assert content["notes"] == []
