"""Files appear whole or not at all, whoever else writes them and whatever ends the process."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from posebench import files
from posebench.files import replace_file

pytestmark = pytest.mark.light


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("step", ["write_bytes", "replace", "fsync"])
def test_a_step_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch, step, locked):
    path = tmp_path / "new" / "record.json"
    replace_file(path, b"old", locked=locked)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if step == "fsync" else Path, step, full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"new", locked=locked)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_two_writers_without_a_lock_do_not_share_a_temporary_file(tmp_path, monkeypatch):
    path, settle = tmp_path / "record.json", files.settle

    def settle_after_another(temporary, final):
        monkeypatch.setattr(files, "settle", settle)
        replace_file(path, b"other")
        assert path.read_bytes() == b"other"
        settle(temporary, final)

    monkeypatch.setattr(files, "settle", settle_after_another)
    replace_file(path, b"mine")
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]


def test_killed_writers_with_a_lock_leave_one_temporary_file(tmp_path, monkeypatch):
    path = tmp_path / "index.json"
    with monkeypatch.context() as patch:
        patch.setattr(files, "settle", lambda *_: None)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        for _ in range(3):
            replace_file(path, b"killed before it was renamed", locked=True)
    assert len(list(tmp_path.iterdir())) == 1
    replace_file(path, b"whole", locked=True)
    assert list(tmp_path.iterdir()) == [path]
