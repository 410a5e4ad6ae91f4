"""Registries of strangers: whatever stands in them, no traceback, no hang, no file outside.

``POSEBENCH_FUZZ=20`` looks at twenty times as many.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import hostile_rows
import pytest

from posebench.cli import main as cli
from posebench.downloads import datasets, receive
from posebench.downloads.http import RetryPolicy
from posebench.registry import Registry, load_registry, loader
from posebench.types.errors import UserError

COUNT = int(float(os.environ.get("POSEBENCH_FUZZ", "1")) * 60)
SECONDS = 5.0
WRITES = ("open", "os.rename", "os.mkdir", "os.link", "os.symlink", "os.remove", "os.rmdir")
watched: list[list[str]] = []


def note(event: str, arguments: tuple) -> None:
    """Note every path that is written to while somebody looks; a hook can never be taken out."""
    if not watched or event not in WRITES:
        return
    if event == "open":
        path, _, flags = arguments
        arguments = (path,) if (flags or 0) & (os.O_WRONLY | os.O_RDWR) else ()
    elif event in ("os.remove", "os.rmdir") and arguments[-1] != -1:
        return  # inside a folder that is being emptied, by a name relative to it
    watched[-1] += [os.fsdecode(path) for path in arguments[:2] if isinstance(path, (str, bytes))]


sys.addaudithook(note)


@contextlib.contextmanager
def writing() -> Iterator[list[str]]:
    watched.append([])
    try:
        yield watched[-1]
    finally:
        watched.pop()


def loaded(seed: int, folder: Path, monkeypatch, made) -> tuple[dict, Registry | None]:
    documents = made(seed)
    hostile_rows.write(documents, folder)
    monkeypatch.setattr(loader, "shipped_folder", lambda: folder)
    try:
        return documents, load_registry()
    except UserError as error:
        assert error.message.endswith(".") and "\n" not in error.message, error.message
        assert len(error.message) < 1500, seed
        assert ".yaml" in error.message, error.message
        return documents, None


def check_unchanged(documents: dict, registry: Registry) -> None:
    """Every value that was taken is held as it was written."""
    held = {
        "protocols": {k: p.model_dump() | {"tolerance": p.tolerance}
                      for k, p in registry.protocols.items()},
        "datasets": {k: d.model_dump() for k, d in registry.datasets.items()},
        "zoos/mine": registry.zoos["mine"].model_dump(),
    }  # fmt: skip
    plain = json.loads(
        json.dumps(documents).replace("NaN", '"NaN"').replace("Infinity", '"Infinity"')
    )
    for name, content in plain.items():
        assert hostile_rows.same(content, held[name]), (name, content)


def check_fetched(registry: Registry, sandbox: Path, monkeypatch) -> int:
    """Fetch every file of every dataset; return how many were placed."""

    def download(url, target, *_, **__):
        target.parent.mkdir(parents=True, exist_ok=True)
        if url.endswith(".zip"):
            with zipfile.ZipFile(target, "w") as archive:
                archive.writestr("val2017/1.jpg", b"x")
        else:
            target.write_bytes(b"[1]")
        return False

    monkeypatch.setattr(receive, "download", download)
    placed, receiver = 0, receive.Receiver(RetryPolicy())
    root = sandbox / "a" / "b" / "root"
    root.mkdir(parents=True, exist_ok=True)
    for spec in registry.datasets.values():
        for file, folder in spec.layouts("val"):
            for path in (file, folder):
                assert (root / path).resolve().is_relative_to(root.resolve()), path
        for bundle in datasets.missing_bundles(spec, root):
            with writing() as written:
                try:
                    placed += len(datasets.fetch_bundle(bundle, root, receiver))
                except UserError as error:
                    assert error.message.endswith(".")
            for path in written:
                assert Path(path).resolve().is_relative_to(root.resolve()), path
    return placed


def check_commands(registry: Registry, capsys, *, count: bool) -> None:
    flags = () if count else ("--no-complexity",)
    words = [["list"], *(["show", entry.key, *flags] for entry in registry.entries)]
    for command in words:
        assert cli.main(command) in (0, 2)
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        assert "\x1b" not in told.out + told.err


def run(made, tmp_path, monkeypatch, capsys, *, count: bool) -> SimpleNamespace:
    found = SimpleNamespace(taken=0, refused=0, placed=0, slowest=0.0)
    for seed in range(COUNT):
        began = time.process_time()
        folder = tmp_path / str(seed) / "registry"
        documents, registry = loaded(seed, folder, monkeypatch, made)
        if registry is None:
            found.refused += 1
        else:
            found.taken += 1
            check_unchanged(documents, registry)
            found.placed += check_fetched(registry, tmp_path / str(seed), monkeypatch)
            check_commands(registry, capsys, count=count)
        took = time.process_time() - began
        found.slowest = max(found.slowest, took)
        assert took < SECONDS, seed
    return found


def test_the_registry_that_is_spoiled_was_good(tmp_path, monkeypatch, capsys):
    folder = hostile_rows.write(hostile_rows.DOCUMENTS, tmp_path / "registry")
    monkeypatch.setattr(loader, "shipped_folder", lambda: folder)
    registry = load_registry()
    assert [entry.key for entry in registry.entries] == ["mine/one", "mine/two"]
    check_unchanged(hostile_rows.DOCUMENTS, registry)
    assert check_fetched(registry, tmp_path, monkeypatch) == 2
    check_commands(registry, capsys, count=False)


def test_spoiled_registries_are_refused_or_taken_as_they_are(tmp_path, monkeypatch, capsys):
    found = run(hostile_rows.spoiled, tmp_path, monkeypatch, capsys, count=False)
    print(found)
    assert found.refused > COUNT // 3 and found.taken > COUNT // 10


def test_networks_of_spoiled_rows_are_built_or_refused(tmp_path, monkeypatch, capsys):
    """On the device without memory, at their input's size, as ``show`` counts them."""
    pytest.importorskip("torch")
    found = run(hostile_rows.with_network, tmp_path, monkeypatch, capsys, count=True)
    print(found)
    assert found.refused > COUNT // 5 and found.taken > COUNT // 10
