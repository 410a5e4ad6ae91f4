"""Whose weights a file holds: by its digest, by its name, by what a copy says of itself."""

from __future__ import annotations

import hashlib

import pytest

from posebench.adapters import load_weights
from posebench.adapters.provenance import rows_of_file
from posebench.evaluation.convert import convert
from posebench.evaluation.evaluate import evaluate
from posebench.networks import build_network
from posebench.registry import load_registry
from posebench.types.entry import Checkpoint
from posebench.types.errors import UserError
from posebench.verification.checkpoint_writer import filled_state, write_native

SMALL, LARGE = "paddledetection/tinypose_128x96", "paddledetection/tinypose_256x192"
NOTE = "weights not verified: no digest was published"


@pytest.fixture(scope="module")
def registry():
    return load_registry()


@pytest.fixture(scope="module")
def made(registry, tmp_path_factory):
    """A weights file that fits both sizes of TinyPose, under any name."""
    entry = registry.find(SMALL)
    network = build_network(entry.network.name, **entry.network.arguments)
    state = filled_state(network, "paddle", 0.8)

    def write(name):
        path = tmp_path_factory.mktemp("weights") / name
        write_native(state, "paddle", path)
        return path

    return write


@pytest.mark.parametrize(
    ("name", "named_as"),
    [
        ("tinypose_256x192.pdparams", (LARGE,)),
        ("tinypose_128x96.pdparams", ()),
        ("mine.pdparams", ()),
    ],
)
def test_only_the_name_of_other_weights_is_held_against_a_file(registry, made, name, named_as):
    model = load_weights(registry.find(SMALL), made(name), rows=registry.entries)
    assert (model.verified, model.named_as) == (False, named_as)


def test_weights_named_as_another_row_s_are_not_comparable(made, coco):
    record = evaluate(SMALL, checkpoint=made("tinypose_256x192.pdparams"), data_root=coco)
    assert record.verdict == "not comparable"
    assert record.claims[0].axes == (f"weights: {SMALL} -> {LARGE} by the file's name",)
    assert record.checkpoint_verified is False and NOTE in record.notes


def test_without_a_published_digest_it_is_judged_and_said_so(made, coco):
    record = evaluate(SMALL, checkpoint=made("mine.pdparams"), data_root=coco)
    assert record.verdict.startswith("too few images (n=")
    assert record.checkpoint_verified is False and NOTE in record.notes


def test_a_digest_proves_more_than_a_name(registry, made):
    path = made("tinypose_256x192.pdparams")
    entry = registry.find(SMALL)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for known in ({"sha256": digest}, {"sha256_prefix": digest[:8]}):
        file = entry.checkpoint.model_copy(update=known)
        row = entry.model_copy(update={"checkpoint": file})
        model = load_weights(row, path, rows=registry.entries)
        assert (model.verified, model.named_as) == (True, ())


def test_shipped_weights_are_verified():
    record = evaluate("demo_s", limit=2, threads=1)
    assert record.checkpoint_verified is True
    assert NOTE not in record.notes


# --- copies --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copy(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy")
    return convert(LARGE, made("tinypose_256x192.pdparams"), folder / "copy.safetensors")


def test_a_copy_of_other_weights_is_refused(registry, copy):
    load_weights(registry.find(LARGE), copy.path, rows=registry.entries)
    for rows in (registry.entries, ()):
        with pytest.raises(UserError, match=f"copy of the weights of {LARGE}, not of those of"):
            load_weights(registry.find(SMALL), copy.path, rows=rows)


def test_a_copy_of_a_row_that_shares_the_file_is_taken(registry, copy):
    large = registry.find(LARGE)
    twin = large.model_copy(update={"id": "twin"})
    rows = (*registry.entries, twin)
    assert load_weights(twin, copy.path, rows=rows).coverage.fraction == 1.0
    assert large.checkpoint.is_file_of(twin.checkpoint)


def test_a_copy_remembers_the_name_of_the_file_it_was_made_of(registry, made, tmp_path):
    source = made("tinypose_256x192.pdparams")
    copied = convert(SMALL, source, tmp_path / "tinypose_128x96.safetensors")
    model = load_weights(registry.find(SMALL), copied.path, rows=registry.entries)
    assert model.named_as == (LARGE,)


def _known(registry, **published):
    entry = registry.find(LARGE)
    file = entry.checkpoint.model_copy(update=published)
    return entry.model_copy(update={"checkpoint": file})


def test_the_whole_size_and_enough_digits_are_compared(registry, copy):
    """As text, 123 begins 1234, and one digit begins every sixteenth digest."""
    origin = copy.origin
    right = {"size": origin.size, "sha256_prefix": origin.sha256[:8], "sha1": origin.sha1[:12]}
    load_weights(_known(registry, **right), copy.path)
    for wrong in (
        {"size": int(str(origin.size)[:-1])},
        {"sha256": origin.sha256[:12]},
        {"sha256_prefix": origin.sha256[:7]},
        {"sha256_prefix": "0" * 8},
        {"sha1": origin.sha1[:3]},
    ):
        with pytest.raises(UserError, match="is a copy of a file with"):
            load_weights(_known(registry, **(right | wrong)), copy.path)


@pytest.mark.parametrize(
    "published",
    [{"sha256": "ab" * 31}, {"sha256_prefix": "abcdef1"}, {"sha1": "abc"}, {"sha256": "xy" * 32}],
)
def test_a_registry_cannot_name_less_than_proves_something(published):
    with pytest.raises(ValueError, match=next(iter(published))):
        Checkpoint(id="x", container="torch", **published)


def test_published_names_are_those_of_the_file_or_of_its_address(registry):
    rows = {row.key: row for row in registry.entries}
    known = rows[SMALL].checkpoint
    address = "mmpose/td_hm_hrnet_w32_8xb64_210e_coco_256x192"
    (name,) = rows[address].checkpoint.names
    assert name.endswith(".pth")
    assert address in rows_of_file(name, known, registry.entries)
    assert rows_of_file("model.pdparams", known, registry.entries) == []


def test_rows_of_a_folder_are_told_apart_by_their_file_names():
    place = "gdrive-folder:1abc"
    one, other, nameless = (
        Checkpoint(id=id_, container="torch", location=place, file_name=name)
        for id_, name in (("a", "a.pth"), ("b", "b.pth"), ("c", None))
    )
    assert not one.is_file_of(other)
    assert not nameless.is_file_of(nameless.model_copy(update={"id": "d"}))
    assert one.is_file_of(one.model_copy(update={"id": "e"}))
