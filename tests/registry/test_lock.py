"""Released protocols never change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from posebench.registry import registry_of, shipped_folder, shipped_registry
from posebench.registry.lock import LOCK, check_lock, read_lock, write_lock
from posebench.types.errors import UserError

pytestmark = pytest.mark.light


def test_every_protocol_is_locked_as_it_is() -> None:
    protocols, locked = shipped_registry().protocols, read_lock()
    check_lock(protocols, locked)
    missing = set(protocols) - set(locked)
    assert not missing, f"run tools/lock_protocols.py to release {missing}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped_folder(), tmp_path / "registry"))


def _edit(folder: Path, old: str, new: str) -> None:
    path = folder / "protocols.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_an_edit_is_refused_and_the_way_out_is_told(folder: Path) -> None:
    _edit(folder, "decode: softargmax", "decode: quarter")
    with pytest.raises(UserError, match=r"lpn_det56@1 was edited.*add lpn_det56@2"):
        check_lock(registry_of(folder).protocols, read_lock(folder))
    before = (folder / LOCK).read_bytes()
    with pytest.raises(UserError, match="was edited"):
        write_lock(registry_of(folder).protocols, folder)
    assert (folder / LOCK).read_bytes() == before


def test_words_may_be_mended(folder: Path) -> None:
    _edit(folder, "the same for every model", "equal for every model")
    check_lock(registry_of(folder).protocols, read_lock(folder))


def test_a_removed_protocol_is_noticed(folder: Path) -> None:
    protocols = dict(registry_of(folder).protocols)
    del protocols["common@1"]
    with pytest.raises(UserError, match=r"common@1 is gone"):
        check_lock(protocols, read_lock(folder))


def test_a_new_version_is_added_and_becomes_the_newest(folder: Path) -> None:
    path = folder / "protocols.yaml"
    with path.open("a", encoding="utf-8") as file:
        file.write(
            "\ncommon@2: {boxes: gt, flip: true, shift: true, decode: quarter, "
            "rescoring: none, nms: none}\n"
        )
    registry = registry_of(folder)
    assert write_lock(registry.protocols, folder) == ["common@2"]
    assert json.loads((folder / LOCK).read_text())["common@2"] == registry.protocol("common").hash
    assert registry.protocol("common").version == 2
    assert registry.protocol("common@1").boxes == "detector"
    assert write_lock(registry.protocols, folder) == []
