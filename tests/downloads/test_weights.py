from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from refusals import assert_mentions, refused
from safetensors.torch import save
from server import Answer, page

from posebench.downloads.cache import Cache, key_of
from posebench.downloads.checksum_lock import (
    LOCK,
    ChecksumLock,
    LockedChecksum,
    read_checkpoint_lock,
)
from posebench.downloads.http import RetryPolicy
from posebench.downloads.parallel import in_parallel
from posebench.downloads.weights import Fetcher, by_hand, download_method
from posebench.types.entry import Checkpoint
from posebench.types.errors import UserError

QUICK = RetryPolicy(timeout=60, retries=3, first_wait=0.001, longest_wait=0.05)


def weights(seed: int = 0, size: int = 40_000) -> bytes:
    generator = torch.Generator().manual_seed(seed)
    return save({"weight": torch.randn(size, generator=generator)})


BODY, OTHER = weights(0), weights(1)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def shipped(tmp_path) -> Path:
    """A registry folder that knows the checkpoint ``a`` alone."""
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "checkpoints.yaml").write_text("a: {container: safetensors}\n")
    return folder


@pytest.fixture
def fetcher(tmp_path, shipped) -> Fetcher:
    cache = Cache(tmp_path / "cache")
    return Fetcher(cache, ChecksumLock(cache, shipped=shipped), QUICK)


def checkpoint(url: str | None, name: str = "a", **fields) -> Checkpoint:
    return Checkpoint(**({"id": name, "container": "safetensors", "location": url} | fields))


def refusal(action, *arguments, **options) -> UserError:
    with refused() as caught:
        action(*arguments, **options)
    return caught.value


def test_a_file_is_fetched_once_and_then_found(server, fetcher):
    what = checkpoint(server.put("/a.safetensors", BODY))
    held = fetcher.fetch(what)
    assert held.path.read_bytes() == BODY
    assert held.path.name == "a.safetensors"
    assert held.sha256 == SHA256
    assert fetcher.fetch(what) == held
    assert len(server.requests) == 1
    assert not list(fetcher.cache.partial.glob("*"))


def test_the_first_fetch_is_written_down_and_later_ones_are_held_to_it(server, fetcher, shipped):
    what = checkpoint(server.put("/a.bin", BODY))
    fetcher.fetch(what)
    lines = read_checkpoint_lock(shipped / LOCK)
    assert lines == {"a": LockedChecksum(SHA256, len(BODY), what.location)}
    # another machine with the same lock, and the publisher has replaced the file
    elsewhere = Cache(fetcher.cache.root.with_name("elsewhere"))
    again = Fetcher(elsewhere, ChecksumLock(elsewhere, shipped=shipped), QUICK)
    server.put("/a.bin", OTHER)
    error = refusal(again.fetch, what)
    assert_mentions(error.message, SHA256)
    assert_mentions(error.hint, "remove", "line a", shipped / LOCK)
    assert again.cache.held() == ()
    assert not list(again.cache.partial.glob("*"))
    server.put("/a.bin", BODY[:-4])
    assert f"has {len(BODY) - 4} bytes" in refusal(again.fetch, what).message
    server.put("/a.bin", BODY)
    assert again.fetch(what).sha256 == SHA256
    # the registry names a new place: the old line no longer speaks of it
    moved = checkpoint(server.put("/b.bin", OTHER))
    assert again.fetch(moved).sha256 == hashlib.sha256(OTHER).hexdigest()
    assert read_checkpoint_lock(shipped / LOCK)["a"].location == moved.location


def test_rows_of_others_and_installed_packages_use_the_users_lock(server, fetcher, shipped):
    fetcher.fetch(checkpoint(server.put("/b.bin", BODY), "b"))
    assert not (shipped / LOCK).exists()
    assert list(read_checkpoint_lock(fetcher.cache.root / LOCK)) == ["b"]
    installed = shipped.rename(shipped.with_name("_registry"))
    locks = ChecksumLock(fetcher.cache, shipped=installed)
    Fetcher(fetcher.cache, locks, QUICK).fetch(checkpoint(server.put("/a.bin", OTHER)))
    assert not (installed / LOCK).exists()
    assert list(read_checkpoint_lock(fetcher.cache.root / LOCK)) == ["a", "b"]


def test_a_registry_that_cannot_be_written_leaves_it_to_the_user(server, fetcher, shipped):
    (shipped / LOCK).mkdir()
    error = refusal(fetcher.fetch, checkpoint(server.put("/a.bin", BODY)))
    assert_mentions(error.message, shipped / LOCK, "list of fetched files")
    (shipped / LOCK).rmdir()
    import posebench.downloads.checksum_lock as module

    original = module.write_whole

    def refuse(path: Path, data: bytes) -> None:
        if path.parent == shipped:
            raise PermissionError(13, "Permission denied")
        original(path, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "write_whole", refuse)
        fetcher.fetch(checkpoint(server.put("/a.bin", BODY)))
    assert list(read_checkpoint_lock(fetcher.cache.root / LOCK)) == ["a"]


@pytest.mark.parametrize("text", ["[", "[]", "{\"a\": 1}", "{\"a\": {}}", "[" * 100_000,
    "{\"a\": {\"sha256\": \"x\", \"size\": 1, \"location\": \"\"}}"])  # fmt: skip
def test_a_broken_lock_is_one_sentence(server, fetcher, shipped, text):
    (shipped / LOCK).write_text(text)
    error = refusal(fetcher.fetch, checkpoint(server.put("/a.bin", BODY)))
    assert_mentions(error.message, shipped / LOCK, "list of fetched files")


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"sha256": "0" * 64}, "the published file has 0000"),
        ({"size": 5}, "bytes, the published file has 5"),
        ({"sha1": "0" * 8}, "the published file has 00000000"),
        # the beginning of a number proves nothing
        ({"size": int(str(len(BODY))[:-1])}, "bytes, the published file has"),
    ],
)
def test_what_the_registry_knows_is_compared(server, fetcher, known, message):
    # past the type, which refuses short digests
    what = checkpoint(server.put("/a.bin", BODY)).model_copy(update=known)
    assert message in refusal(fetcher.fetch, what).message
    assert fetcher.cache.held() == ()
    assert not (fetcher.locks.shipped / LOCK).exists()


@pytest.mark.parametrize(
    "known",
    [
        {"size": int(str(len(BODY))[:3])},
        {"sha256_prefix": SHA256[:7]},
        {"sha1": hashlib.sha1(BODY).hexdigest()[:7]},
    ],
)
def test_the_beginning_of_a_number_or_digest_proves_nothing(fetcher, tmp_path, known):
    file = tmp_path / "mine.bin"
    file.write_bytes(BODY)
    what = Checkpoint.model_construct(**dict(checkpoint(None)) | known)
    assert "the published file has" in refusal(fetcher.take, what, file).message


def test_known_digests_that_fit_are_taken(server, fetcher):
    url = server.put("/a.bin", BODY)
    sha1 = hashlib.sha1(BODY).hexdigest()
    fetcher.fetch(checkpoint(url, sha256=SHA256.upper(), sha1=sha1[:8], size=len(BODY)))
    # nothing has to be written down of a file whose digest the registry knows
    assert not (fetcher.locks.shipped / LOCK).exists()


def test_the_sha1_of_a_packed_file_is_that_of_the_weights(server, fetcher):
    from mxnet_files import params

    inner = params({"a": torch.zeros(3).numpy()})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("net-1234.params", inner)
    url = server.put("/net.zip", packed.getvalue())
    sha1 = hashlib.sha1(inner).hexdigest()[:8]
    held = fetcher.fetch(checkpoint(url, container="mxnet", sha1=sha1, file_name="net.params"))
    assert held.path.name == "net.zip"


@pytest.mark.parametrize("cut", [len(BODY) - 1, len(BODY) // 2, 9])
def test_a_short_file_whose_length_lies_is_never_written_down(server, fetcher, cut):
    what = checkpoint(server.put("/a.bin", Answer(BODY, claim=cut)))
    error = refusal(fetcher.fetch, what)
    assert f"The file from {what.location}" in error.message
    assert fetcher.cache.held() == ()
    assert not (fetcher.locks.shipped / LOCK).exists()
    server.put("/a.bin", BODY)
    assert fetcher.fetch(what).sha256 == SHA256


def test_a_file_of_another_kind_or_a_page_is_refused(server, fetcher):
    what = checkpoint(server.put("/a.bin", BODY), container="torch")
    assert "a torch file is expected" in refusal(fetcher.fetch, what).message
    what = checkpoint(server.put("/b.bin", b"hello, this is not a weights file"), "b")
    assert "not a weights file" in refusal(fetcher.fetch, what).message
    what = checkpoint(server.put("/c.bin", page("Quota exceeded")), "c")
    assert "web page (Quota exceeded)" in refusal(fetcher.fetch, what).message
    assert fetcher.cache.held() == ()


def test_a_server_that_mixes_versions_under_one_tag_gets_a_second_chance(server, fetcher):
    first = Answer(OTHER, drop=50_000, etag='"x"')
    what = checkpoint(server.put("/a.bin", first, Answer(BODY, etag='"x"')), sha256=SHA256)
    assert fetcher.fetch(what).path.read_bytes() == BODY
    assert [asked.get("Range") for asked in server.asked("/a.bin")] == [None, "bytes=50000-", None]


def test_a_cached_file_that_registry_or_lock_no_longer_want_is_fetched_anew(server, fetcher):
    what = checkpoint(server.put("/a.bin", OTHER))
    fetcher.fetch(what)
    server.put("/a.bin", BODY)
    known = what.model_copy(update={"sha256": SHA256})
    assert fetcher.fetch(known).sha256 == SHA256


def test_a_file_downloaded_by_hand_is_checked_and_kept(server, fetcher, tmp_path):
    file = tmp_path / "mine.bin"
    file.write_bytes(BODY)
    what = checkpoint(None)
    assert "cannot be fetched" in refusal(fetcher.fetch, what).message
    held = fetcher.take(what, file)
    assert held.path.name == "mine.bin"
    assert file.read_bytes() == BODY
    assert fetcher.fetch(what) == held
    file.write_bytes(OTHER)
    assert "first fetched" in refusal(fetcher.take, what, file).message
    assert fetcher.fetch(what) == held
    file.write_bytes(b"")
    assert "is empty" in refusal(fetcher.take, what, file).message
    assert "cannot be opened" in refusal(fetcher.take, what, tmp_path / "none").message


@pytest.mark.parametrize(
    ("location", "way", "words"),
    [
        ("https://a/b", "http", ""),
        ("gdrive:abc", "drive", "https://drive.google.com/file/d/abc"),
        ("gdrive-folder:abc", "drive", "https://drive.google.com/drive/folders/abc (x.pth)"),
        ("package:assets/x", "shipped", ""),
        ("baidu:1abc", "by hand", "https://pan.baidu.com/s/1abc (x.pth)"),
        ("https://pan.baidu.com/s/1abc", "by hand", "https://pan.baidu.com/s/1abc"),
        (None, "by hand", "No one published it"),
    ],
)
def test_every_place_has_a_way(location, way, words):
    what = checkpoint(location, container="torch", file_name="x.pth", note="password 1234")
    assert download_method(what) == way
    told = by_hand(what)
    assert words in told
    assert "--from FILE" in told
    assert told.endswith("Password 1234.")
    assert download_method(checkpoint(None, container="none")) == "none"


# Starts a process for each line, with all modules loaded: what is hit by a kill is the fetch alone.
FORKER = """
import os, signal, sys
from pathlib import Path
from posebench.checkpoints import read_checkpoint
from posebench.downloads.cache import Cache
from posebench.downloads.http import RetryPolicy
from posebench.downloads.weights import Fetcher
from posebench.downloads.checksum_lock import ChecksumLock
from posebench.types.entry import Checkpoint
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    root, shipped, url, result = line.strip().split("\\t")
    pid = os.fork()
    if not pid:
        cache = Cache(Path(root))
        policy = RetryPolicy(timeout=60, retries=3, first_wait=0.01)
        fetcher = Fetcher(cache, ChecksumLock(cache, shipped=Path(shipped)), policy)
        what = Checkpoint(id="a", container="safetensors", location=url)
        Path(result).write_text(fetcher.fetch(what).sha256)
        os._exit(0)
    print(pid, flush=True)
"""


class Forker:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", FORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def fetch(self, fetcher: Fetcher, url: str, result: Path) -> int:
        """Start a process that fetches; return its number."""
        places = (fetcher.cache.root, fetcher.locks.shipped, url, result)
        self.process.stdin.write("\t".join(map(str, places)) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture(scope="module")
def forker():
    if not hasattr(os, "fork"):
        pytest.skip("needs a system that can fork")
    made = Forker()
    yield made
    made.process.kill()
    made.process.communicate()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_for(pids: list[int]) -> None:
    while not all(map(gone, pids)):
        time.sleep(0.01)


def test_eight_processes_fetch_a_file_once(server, fetcher, forker, tmp_path):
    url = server.put("/a.bin", Answer(BODY, piece=1 << 14, delay=0.02))
    results = [tmp_path / f"{number}.txt" for number in range(8)]
    wait_for([forker.fetch(fetcher, url, result) for result in results])
    assert [result.read_text() for result in results] == [SHA256] * 8
    assert len(server.asked("/a.bin")) == 1
    assert server.sent == len(BODY)
    assert len(fetcher.cache.held()) == 1


# fifty by hand: POSEBENCH_KILLS=50
KILLS = int(os.environ.get("POSEBENCH_KILLS", "10"))


def test_after_a_kill_at_any_moment_the_next_run_ends_the_same(
    server, fetcher, shipped, forker, tmp_path
):
    """The whole takes about 0.2 s, most of it spent in receiving."""
    draw = random.Random(int(os.environ.get("POSEBENCH_SEED", "5")))
    url = server.put("/a.bin", Answer(BODY, piece=1 << 13, delay=0.005))
    what, result, lock = checkpoint(url), tmp_path / "result", shipped / LOCK
    killed = 0
    for _ in range(KILLS):
        pid = forker.fetch(fetcher, url, result)
        time.sleep(draw.uniform(0, 0.25))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_for([pid])
        killed += not result.exists()
        assert all(path.read_bytes() == BODY for path in fetcher.cache.objects.rglob("*.bin"))
        assert not lock.exists() or json.loads(lock.read_text())["a"]["sha256"] == SHA256
        if fetcher.cache.find(what) is not None:
            assert fetcher.cache.find(what).sha256 == SHA256
            fetcher.cache.prune(everything=True)
            lock.unlink(missing_ok=True)
            result.unlink(missing_ok=True)
    assert killed, "no run was killed midway"
    held = fetcher.fetch(what)
    assert held.path.read_bytes() == BODY
    assert read_checkpoint_lock(lock)["a"].sha256 == SHA256
    assert len(list(fetcher.cache.objects.rglob("*.bin"))) == 1
    assert not list(fetcher.cache.partial.glob("*"))


def test_several_at_once_and_one_that_fails_does_not_stop_the_others(server, fetcher):
    bodies = {f"c{i}": weights(i, 2000) for i in range(6)}
    wanted = [checkpoint(server.put(f"/{n}.bin", body), n) for n, body in bodies.items()]
    server.put("/c3.bin", page("Quota"))
    done = list(in_parallel(wanted, fetcher.fetch, jobs=3, cancel=threading.Event()))
    results = {item.id: result for item, result in done}
    assert len(done) == 6 and set(results) == set(bodies)
    assert "web page (Quota)" in results.pop("c3").message
    assert all(held.path.read_bytes() == bodies[name] for name, held in results.items())
    assert list(in_parallel([], fetcher.fetch, jobs=3, cancel=threading.Event())) == []


def test_a_thread_that_fails_otherwise_stops_all_and_is_seen(fetcher):
    cancel = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            raise ZeroDivisionError("a bug")
        cancel.wait(5)
        return item

    with pytest.raises(ZeroDivisionError, match="a bug"):
        list(in_parallel([0, 1, 2], work, jobs=2, cancel=cancel))
    assert cancel.is_set()


def test_ctrl_c_stops_at_once_and_the_next_run_resumes(server, fetcher):
    cancel = threading.Event()
    stopped = Fetcher(fetcher.cache, fetcher.locks, replace(QUICK, cancel=cancel))
    what = checkpoint(server.put("/a.bin", Answer(BODY, piece=10_000, delay=0.02)))

    def progress(done: int, total: int | None) -> None:
        if done > 60_000:
            cancel.set()

    with pytest.raises(KeyboardInterrupt):
        list(in_parallel([what], lambda one: stopped.fetch(one, progress), jobs=2, cancel=cancel))
    part = fetcher.cache.partial_of(key_of(what)) / "a.bin"
    assert 60_000 < part.stat().st_size < len(BODY)
    server.put("/a.bin", BODY)
    assert fetcher.fetch(what).sha256 == SHA256
    assert "Range" in server.asked("/a.bin")[-1]
