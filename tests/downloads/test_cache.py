from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading

import filelock
import pytest
from refusals import refused

from posebench.downloads import cache as module
from posebench.downloads.cache import Cache, cache_folder, key_of
from posebench.downloads.files import Cancelled, locked, safe_name, settle, write_whole
from posebench.types.entry import Checkpoint
from posebench.types.errors import UserError


def checkpoint(name: str = "one", **fields) -> Checkpoint:
    given = {"container": "torch", "location": f"https://zoo/{name}.pth"} | fields
    return Checkpoint(id=name, **given)


@pytest.fixture
def cache(tmp_path) -> Cache:
    return Cache(tmp_path / "cache")


def put(cache: Cache, what: Checkpoint, data: bytes, name: str = "one.pth"):
    received = cache.partial_of(key_of(what)) / "data"
    received.parent.mkdir(parents=True, exist_ok=True)
    received.write_bytes(data)
    held = cache.add(what, received, name, hashlib.sha256(data).hexdigest())
    received.parent.rmdir()
    return held


def test_the_folder_is_the_named_one_or_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("POSEBENCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert Cache().root == tmp_path
    monkeypatch.delenv("POSEBENCH_CACHE")
    assert cache_folder().name == "posebench"


def test_what_is_put_in_is_found_by_its_place(cache):
    assert cache.find(checkpoint()) is None
    assert cache.held() == ()
    assert not cache.root.exists()
    held = put(cache, checkpoint(), b"weights")
    assert held.path.read_bytes() == b"weights"
    assert held.path.name == "one.pth"
    assert held.sha256 in str(held.path)
    assert held.size == 7
    assert cache.find(checkpoint()) == held == cache.held()[0]
    assert not held.path.stat().st_mode & 0o222
    # another row of the same place shares it, another place does not
    assert cache.find(checkpoint("two", location="https://zoo/one.pth")) == held
    assert cache.find(checkpoint(location="https://zoo/two.pth")) is None
    assert cache.find(checkpoint(file_name="other")) is None
    assert key_of(checkpoint("a", location=None)) != key_of(checkpoint("b", location=None))


def test_equal_content_is_kept_once(cache):
    first = put(cache, checkpoint("one"), b"weights", "one.pth")
    second = put(cache, checkpoint("two"), b"weights", "two.pth")
    assert first.path == second.path
    assert len(list(cache.objects.rglob("*.pth"))) == 1
    assert {held.id for held in cache.held()} == {"one", "two"}


def test_a_cut_object_is_replaced_by_a_whole_one(cache):
    held = put(cache, checkpoint(), b"weights")
    held.path.chmod(0o644)
    held.path.write_bytes(b"wei")
    assert cache.find(checkpoint()) is None
    assert put(cache, checkpoint(), b"weights").path.read_bytes() == b"weights"


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "../../../etc"}, {"path": "../x"}, {"path": "/etc/passwd"}, {"path": ""},
        {"sha256": 5}, {"size": "7"}, {"size": 8}, {"path": None}, {"key": "other"},
    ],
)  # fmt: skip
def test_an_index_that_was_tampered_with_finds_nothing(cache, change):
    held = put(cache, checkpoint(), b"weights")
    (held.path.parent.parent / "x").write_bytes(b"weights")
    (file,) = cache.index.glob("*.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert cache.find(checkpoint()) is None
    for text in ("", "[", "[]", "[" * 100_000):
        file.write_text(text)
        assert cache.find(checkpoint()) is None


def test_damage_is_found_and_pruned_with_all_that_is_of_no_use(cache):
    good, bad, cut = (
        put(cache, checkpoint(name), name.encode() * 9, f"{name}.pth") for name in ("a", "b", "c")
    )
    for held, data in ((bad, b"B" * 9), (cut, b"")):
        held.path.chmod(0o644)
        held.path.write_bytes(data)
    assert {held.id: changed for held, changed in cache.damaged()} == {"a": False, "b": True}
    left = cache.partial_of("f" * 20)
    left.mkdir(parents=True)
    (left / "data").write_bytes(b"half")

    told = cache.prune(dry_run=True)
    assert good.path.exists() and bad.path.exists() and left.exists()
    assert cache.prune() == told
    assert cache.held() == (good,)
    assert [kind.partition("/")[0] for kind, _ in told] == [*["index"] * 2, *["objects"] * 2,
        "partial"]  # fmt: skip
    assert not bad.path.exists() and not left.exists()
    assert cache.prune() == []
    cache.prune(everything=True)
    assert cache.held() == ()
    assert not list(cache.objects.rglob("*.pth"))


def test_what_is_being_received_is_not_pruned(cache):
    key = key_of(checkpoint())
    cache.partial_of(key).mkdir(parents=True)
    with locked(cache.lock_of(key)):
        assert cache.prune(everything=True) == []
    assert len(cache.prune()) == 1


def test_a_cache_that_cannot_be_written_still_finds_and_says_why(cache, monkeypatch, tmp_path):
    held = put(cache, checkpoint(), b"weights")

    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(module, "write_whole", refuse)
    assert cache.find(checkpoint()) == held
    with refused("Read-only file system", hint="POSEBENCH_CACHE"):
        put(cache, checkpoint("two"), b"other")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UserError, match="Read-only file system"), locked(tmp_path / "x.lock"):
        pass


def test_names_stay_in_their_folder():
    for name in ("../a", "/a", "a/b", "a\\b", "..", ".", "", ".hidden", "a\0b", "CON", "nul.txt",
                 "a:b", "x" * 500, "\u4f4d" * 150, "a\nb", "trailing. ", "a\udc80b"):  # fmt: skip
        safe = safe_name(name)
        assert safe and safe == safe_name(safe)
        assert not set(safe) & set('/\\:*?"<>|\0\n')
        assert safe.strip(".") and not safe.startswith(".")
        assert len(safe.encode()) < 200
    assert safe_name("pose_hrnet_w32_256x192.pth") == "pose_hrnet_w32_256x192.pth"
    assert safe_name("hourglass_student_FPD*.pth") == "hourglass_student_FPD_.pth"


def test_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "a" / "b.json"
    write_whole(file, b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_whole(file, b"new")
    assert file.read_bytes() == b"old"
    assert [p.name for p in file.parent.iterdir()] == ["b.json"]
    monkeypatch.undo()
    (tmp_path / "x").write_bytes(b"newer")
    settle(tmp_path / "x", file)
    assert file.read_bytes() == b"newer"


def test_a_lock_is_held_by_one_thread_or_process(tmp_path):
    path = tmp_path / "a.lock"
    inside, most = 0, 0

    def work():
        nonlocal inside, most
        with locked(path):
            inside += 1
            most = max(most, inside)
            threading.Event().wait(0.01)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (inside, most) == (0, 1)
    with locked(path) as first, locked(path, wait=False) as second:
        assert first and not second


def test_waiting_is_told_once_and_ends_when_asked(tmp_path):
    path, told, cancel = tmp_path / "a.lock", [], threading.Event()

    def waiting():
        told.append(1)
        cancel.set()

    with locked(path), pytest.raises(Cancelled), locked(path, cancel=cancel, waiting=waiting):
        pass
    assert told == [1]


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_of_the_filesystem_a_file_stands_in(tmp_path, monkeypatch, error):
    def unsupported(self):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(filelock.FileLock, "_acquire", unsupported)
    path = tmp_path / "a.lock"
    with locked(path) as held:
        assert held
        assert (tmp_path / "a.lock.owner").exists()
        with locked(path, wait=False) as second:
            assert not second
    # whoever was killed while holding it holds nothing any more
    code = (
        "import os, signal, sys, filelock\n"
        "lock = filelock.SoftFileLock(sys.argv[1])\n"
        "lock.acquire()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, f"{path}.owner"], check=False)
    assert (tmp_path / "a.lock.owner").exists()
    with locked(path) as held:
        assert held
