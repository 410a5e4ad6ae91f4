from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from refusals import assert_mentions, refused
from server import Answer, page, redirect

from posebench.downloads import http_file as module
from posebench.downloads.files import Cancelled
from posebench.downloads.http import RetryPolicy, _followed, check_url
from posebench.downloads.http_file import download, remote_size
from posebench.types.errors import UserError

BODY = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
# quick to ask again, patient with a busy machine: silence and crawling have tests of their own
QUICK = RetryPolicy(timeout=60, retries=3, first_wait=0.001, longest_wait=0.05, window=60)


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "partial" / "data"


def refusal(url: str, target: Path, **options) -> UserError:
    with refused() as caught:
        download(url, target, options.pop("policy", QUICK), **options)
    assert caught.value.hint.endswith(".")
    return caught.value


def test_a_file_arrives_whole_and_its_progress_is_told(server, target):
    told = []
    url = server.put("/a.bin", BODY)
    pieced = download(url, target, QUICK, progress=lambda *now: told.append(now))
    assert target.read_bytes() == BODY
    assert not pieced
    assert told[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    asked = server.asked("/a.bin")[0]
    assert "Range" not in asked
    assert asked["Accept-Encoding"] == "identity"
    assert asked["User-Agent"].startswith("posebench/")


def test_dropped_connections_are_resumed_where_they_broke(server, target):
    url = server.put("/a.bin", *(Answer(BODY, drop=90_000) for _ in range(3)), Answer(BODY))
    assert download(url, target, QUICK)
    assert target.read_bytes() == BODY
    ranges = [asked.get("Range") for asked in server.asked("/a.bin")]
    assert ranges == [None, "bytes=90000-", "bytes=180000-", "bytes=270000-"]
    assert server.sent == len(BODY)


def test_a_later_call_resumes_what_an_earlier_one_left(server, target):
    url = server.put("/a.bin", Answer(BODY, drop=100_000))
    refusal(url, target, policy=RetryPolicy(retries=0))
    assert target.stat().st_size == 100_000
    server.put("/a.bin", BODY)
    assert download(url, target, QUICK)
    assert target.read_bytes() == BODY
    assert server.asked("/a.bin")[-1]["Range"] == "bytes=100000-"
    # nothing is asked again once all bytes are there
    count = len(server.requests)
    download(url, target, QUICK)
    assert len(server.requests) == count


@pytest.mark.parametrize("if_range", [True, False])
def test_content_that_changed_between_tries_is_begun_anew(server, target, if_range):
    changed = Answer(OTHER, if_range=if_range)
    url = server.put("/a.bin", Answer(BODY, drop=120_000), changed)
    download(url, target, QUICK)
    assert target.read_bytes() == OTHER


def test_content_that_changes_every_time_is_never_taken(server, target):
    versions = [random.Random(seed).randbytes(200_000) for seed in range(8)]
    url = server.put("/a.bin", *(Answer(v, drop=50_000, if_range=False) for v in versions))
    assert "cannot be fetched" in refusal(url, target).message
    assert not target.exists() or target.stat().st_size < 200_000


def test_without_etag_or_date_nothing_is_resumed(server, target):
    url = server.put("/a.bin", Answer(BODY, drop=100_000, etag=""), Answer(OTHER, etag=""))
    assert not download(url, target, QUICK)
    assert target.read_bytes() == OTHER
    assert "Range" not in server.asked("/a.bin")[-1]


def test_a_weak_etag_is_no_proof_but_the_date_is(server, target):
    dated = {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    answers = [Answer(BODY, etag='W/"x"', headers=dated, drop=d, if_range=False) for d in (9, None)]
    url = server.put("/a.bin", *answers)
    assert download(url, target, QUICK)
    assert server.asked("/a.bin")[-1]["If-Range"] == dated["Last-Modified"]
    assert target.read_bytes() == BODY


def test_a_server_that_ignores_ranges_sends_all_again(server, target):
    url = server.put("/a.bin", Answer(BODY, drop=100_000), Answer(BODY, ranges=False))
    assert not download(url, target, QUICK)
    assert target.read_bytes() == BODY


def test_a_range_that_begins_elsewhere_is_not_spliced(server, target):
    url = server.put("/a.bin", Answer(BODY, drop=100_000), Answer(BODY, shift=7), Answer(BODY))
    download(url, target, QUICK)
    assert target.read_bytes() == BODY


def test_a_length_that_is_too_large_is_a_lie(server, target):
    url = server.put("/a.bin", Answer(BODY, claim=len(BODY) + 5))
    assert "cannot be fetched" in refusal(url, target).message
    server.put("/a.bin", Answer(BODY, claim=len(BODY) - 5))
    error = refusal(url, target, size=len(BODY))
    assert_mentions(error.message, len(BODY) - 5, len(BODY))


def test_a_length_beyond_disk_or_reason_is_refused_before_writing(server, target, monkeypatch):
    url = server.put("/a.bin", Answer(b"x", claim=10**17))
    assert "more than any published file" in refusal(url, target).message
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    server.put("/a.bin", BODY)
    error = refusal(url, target)
    assert "only 1000 are free" in error.message
    assert "POSEBENCH_CACHE" in error.hint
    assert not target.exists()


def test_chunks_without_a_length_are_taken_whole_or_not_at_all(server, target):
    url = server.put("/a.bin", Answer(BODY, chunked=True, drop=100_000), Answer(BODY, chunked=True))
    download(url, target, QUICK)
    assert target.read_bytes() == BODY
    target.unlink()
    server.put("/a.bin", Answer(BODY * 3, chunked=True))
    assert "does not end" in refusal(url, target, size=len(BODY)).message


def test_a_body_without_length_or_end_must_have_the_known_size(server, target):
    cut = Answer(BODY, claim=-1, drop=100_000, etag="")
    url = server.put("/a.bin", cut)
    assert "ends after 100000 of 300000" in refusal(url, target, size=len(BODY)).message
    server.put("/a.bin", cut, Answer(BODY, claim=-1))
    download(url, target, QUICK, size=len(BODY))
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_quota_page_is_never_a_file(server, target, kind):
    url = server.put("/a.bin", page("Google Drive - Quota exceeded", kind=kind))
    error = refusal(url, target)
    assert_mentions(error.message, url, "web page", "Google Drive - Quota exceeded")
    assert len(server.requests) == 1
    assert not target.exists()


def test_a_page_that_comes_byte_by_byte_is_noticed_too(server, target):
    answer = page("Quota", kind="application/octet-stream")
    answer.piece, answer.delay = 3, 0.002
    assert "web page (Quota)" in refusal(server.put("/a.bin", answer), target).message
    assert not target.exists()


def test_a_page_in_place_of_the_rest_keeps_what_was_received(server, target):
    quota = page("Quota")
    url = server.put("/a.bin", Answer(BODY, drop=100_000), quota)
    assert "web page" in refusal(url, target).message
    assert target.read_bytes() == BODY[:100_000]
    server.put("/a.bin", BODY)
    assert download(url, target, QUICK)
    assert target.read_bytes() == BODY


def test_redirects_are_followed_but_not_out_of_the_web(server, target):
    there = server.put("/there.bin", Answer(BODY, drop=100_000), Answer(BODY))
    url = server.put("/a.bin", redirect(there))
    assert download(url, target, QUICK)
    assert target.read_bytes() == BODY
    assert server.asked("/there.bin")[-1]["Range"] == "bytes=100000-"
    target.unlink()
    for place in ("file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "gopher://x"):
        url = server.put("/b.bin", redirect(place))
        message = refusal(url, target).message
        assert_mentions(message, url, f"'{place}'")
    url = server.put("/loop.bin", redirect(server.address + "/loop.bin"))
    assert "redirects in vain" in refusal(url, target).message
    with refused("https://a/b", "'http://a/b'"):
        _followed("https://a/b", "http://a/b")
    assert _followed("https://a/b/c", "d e\xe9") == "https://a/b/d%20e%E9"


@pytest.mark.parametrize("proxied", [True, False])
def test_the_proxies_of_the_machine_are_used(server, target, monkeypatch, proxied):
    proxy = f"http://some%20one:secret@{server.address.removeprefix('http://')}"
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "" if proxied else "127.0.0.1")
    url = server.put("/a.bin", BODY)
    server.put(url, BODY)  # what a proxy is asked for
    download(url, target, QUICK)
    ((_, asked, headers),) = server.requests
    assert asked == (url if proxied else "/a.bin")
    named = {name.lower(): value for name, value in headers.items()}.get("proxy-authorization")
    assert named == ("Basic c29tZSBvbmU6c2VjcmV0" if proxied else None)


@pytest.mark.parametrize("proxy", ["socks5://a:secret@h:1", "http://a:secret@h:port", "http://["])
def test_a_proxy_that_cannot_be_used_is_one_sentence(server, target, monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    error = refusal(server.put("/a.bin", BODY), target)
    assert_mentions(error.message, "proxy", "http")
    assert "http_proxy" in error.hint and "secret" not in str(error)


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
def test_a_certificate_that_nobody_signed_is_refused_at_once(target, tmp_path):
    made = [str(tmp_path / name) for name in ("key.pem", "certificate.pem")]
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    command = ["openssl", *words, "-keyout", made[0], "-out", made[1]]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made[1], made[0])
    listener = socket.create_server(("127.0.0.1", 0))
    asked = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                asked.append(1)
                with contextlib.suppress(OSError), connection:
                    context.wrap_socket(connection, server_side=True)

    threading.Thread(target=serve, daemon=True).start()
    with listener:
        error = refusal(f"https://127.0.0.1:{listener.getsockname()[1]}/a.bin", target)
    assert "The certificate of 127.0.0.1 is not valid: self" in error.message
    assert "SSL_CERT_FILE" in error.hint
    assert asked == [1]


def test_silence_ends_in_a_sentence(server, target):
    url = server.put("/a.bin", Answer(BODY, silent=60))
    policy = RetryPolicy(timeout=0.1, retries=1, first_wait=0.001)
    assert "the server is silent" in refusal(url, target, policy=policy).message
    assert len(server.requests) == 2
    assert not server.sent


@pytest.mark.parametrize(("piece", "goes_on"), [(1, False), (1_000, False), (30_000, True)])
def test_a_crawling_transfer_is_a_break_a_steady_one_is_waited_for(monkeypatch, piece, goes_on):
    """A twentieth of a second passes between two pieces, however long that takes."""
    ticks = (tick / 20 for tick in itertools.count())
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    pace = module.Pace(RetryPolicy(window=0.2, slowest=100_000))
    try:
        for _ in range(20):
            pace.add(piece)
    except module.RetryableError as error:
        assert not goes_on
        assert f"only {4 * piece} bytes came in" in str(error)
    else:
        assert goes_on


def test_the_pace_of_a_transfer_is_watched(server, target):
    """Each byte is a piece of its own: however slowly they come, they are too few."""
    url = server.put("/a.bin", Answer(BODY, piece=1, delay=0.02))
    crawling = RetryPolicy(timeout=60, retries=0, slowest=1_000_000, window=0.2)
    assert "bytes came in" in refusal(url, target, policy=crawling).message


def test_a_server_that_is_busy_is_asked_again_others_are_not(server, target):
    busy = Answer(status=503, headers={"Retry-After": "0"})
    url = server.put("/a.bin", busy, Answer(status=429), Answer(BODY))
    download(url, target, QUICK)
    assert target.read_bytes() == BODY
    assert len(server.requests) == 3
    target.unlink()
    for status, word in ((404, "404"), (403, "403"), (410, "410")):
        url = server.put("/b.bin", page("sorry", status))
        count = len(server.requests)
        error = refusal(url, target)
        assert f"answers {word}" in error.message
        assert "--from FILE" in error.hint
        assert len(server.requests) == count + 1


def test_what_a_server_asks_to_wait_is_bounded(server, target, monkeypatch):
    waits = []
    monkeypatch.setattr(QUICK.cancel, "wait", waits.append)
    asking = Answer(status=503, headers={"Retry-After": "100000000"})
    url = server.put("/a.bin", asking, Answer(BODY))
    download(url, target, QUICK)
    (wait,) = waits
    assert wait <= QUICK.longest_wait


def test_packed_content_is_refused(server, target):
    url = server.put("/a.bin", Answer(BODY, headers={"Content-Encoding": "gzip"}))
    assert "is sent packed" in refusal(url, target).message


def test_progress_gives_further_tries(server, target, monkeypatch):
    monkeypatch.setattr(module, "STEP", 20_000)
    url = server.put("/a.bin", *(Answer(BODY, drop=25_000) for _ in range(11)), Answer(BODY))
    download(url, target, QUICK)
    assert target.read_bytes() == BODY


def test_nobody_there(target):
    error = refusal("http://127.0.0.1:9/x", target)
    assert "refused" in error.message


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://a/b", "https://", "https://a b/c", "http://[x", "x", "",
     "http://a/\n", "http://ä/"],
)  # fmt: skip
def test_what_is_no_web_address_is_refused(url, target):
    assert "is not a web address" in refusal(url, target).message
    with pytest.raises(UserError):
        check_url(url)


def test_notes_of_another_file_or_garbage_are_not_trusted(server, target):
    url = server.put("/a.bin", BODY)
    target.parent.mkdir()
    notes = target.with_name("data.json")
    version = {"url": url, "validator": server.answers["/a.bin"][0].tag, "total": len(BODY)}
    for text in (
        "", "{", "[]", "null", "[" * 100_000, json.dumps({"url": url}),
        json.dumps(version | {"url": "http://other/"}),
        json.dumps(version | {"total": "many"}), json.dumps(version | {"total": 5}),
        json.dumps(version | {"validator": ""}),
    ):  # fmt: skip
        target.write_bytes(OTHER[:1000])
        notes.write_text(text)
        download(url, target, QUICK)
        assert target.read_bytes() == BODY, text[:80]


def test_stopping_keeps_what_was_received(server, target):
    cancel = threading.Event()
    url = server.put("/a.bin", Answer(BODY, piece=50_000, delay=0.02))

    def stop(done: int, total: int | None) -> None:
        if done >= 100_000:
            cancel.set()

    with pytest.raises(Cancelled):
        download(url, target, replace(QUICK, cancel=cancel), progress=stop)
    assert 100_000 <= target.stat().st_size < len(BODY)
    server.put("/a.bin", BODY)
    assert download(url, target, QUICK)
    assert target.read_bytes() == BODY


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_sentence(server, target):
    target.parent.mkdir()
    url = server.put("/a.bin", BODY)
    version = {"url": url, "validator": '"x"', "total": None}
    target.with_name("data.json").write_text(json.dumps(version))

    class Full(module._Transfer):
        def forget(self) -> None:
            super().forget()
            self.target.symlink_to("/dev/full")

    original, module._Transfer = module._Transfer, Full
    try:
        error = refusal(url, target)
    finally:
        module._Transfer = original
    assert_mentions(error.message, "No space left on device")
    assert "POSEBENCH_CACHE" in error.hint


def test_sizes_are_asked_without_the_file(server):
    # Names of their own: a late client of an earlier test may still ask for the usual ones.
    assert remote_size(server.put("/sized.bin", BODY)) == len(BODY)
    assert remote_size(server.put("/unsized.bin", Answer(BODY, chunked=True))) is None
    assert remote_size(server.address + "/none") is None
    assert remote_size("file:///etc/passwd") is None
    assert server.asked("/sized.bin") == server.asked("/unsized.bin") == []


# --- headers that contradict each other ----------------------------------------------------------


def answering(*headers: str, body: bytes = b"0123456789", status: str = "200 OK"):
    """A server of one answer whose headers are sent as they are."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                head = "\r\n".join([f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""])
                connection.sendall(head.encode("latin1") + body)

    threading.Thread(target=serve, daemon=True).start()
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}/a.bin"


CHUNKED = b"a\r\n0123456789\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        (("Content-Length: 10", "Content-Length: 5"), b"0123456789", "(10, 5)"),
        (("Content-Length: 10, 5",), b"0123456789", "(10, 5)"),
        (("Content-Length: 5", "Content-Length: 10"), b"0123456789", "(5, 10)"),
        (("Content-Length: -5",), b"0123456789", "'-5'"),
        (("Content-Length: +10",), b"0123456789", "'+10'"),
        (("Content-Length: ten",), b"0123456789", "'ten'"),
        (("Content-Length: 1e1",), b"0123456789", "'1e1'"),
        (("Content-Length: 0x0a",), b"0123456789", "'0x0a'"),
        (("Content-Length:",), b"0123456789", "''"),
        (("Content-Length: " + "9" * 30,), b"0123456789", "9" * 30),
        (("Content-Length: 10", "Transfer-Encoding: chunked"), CHUNKED, "both a Content-Length"),
        (("Transfer-Encoding: gzip, chunked",), CHUNKED, "'gzip, chunked'"),
        (("Transfer-Encoding: identity",), b"0123456789", "'identity'"),
        (
            ("Content-Length: 10", "Content-Range: bytes 0-9/10", "Content-Range: bytes 0-4/5"),
            b"0123456789",
            "'bytes 0-9/10 and bytes 0-4/5'",
        ),
    ],
)
def test_headers_that_do_not_say_where_the_body_ends(headers, body, said, target):
    listener, url = answering(*headers, body=body)
    with listener:
        error = refusal(url, target)
        assert remote_size(url) is None
    assert_mentions(error.message, url, "server", said)
    assert not target.exists()


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (("Content-Length: 10", "content-length: 10"), b"0123456789"),
        (("Content-Length: 10, 10",), b"0123456789"),
        (("Transfer-Encoding: Chunked",), CHUNKED),
        ((), b"0123456789"),
    ],
)
def test_headers_that_say_it_once_or_twice_the_same(headers, body, target):
    listener, url = answering(*headers, body=body)
    with listener:
        download(url, target, QUICK)
    assert target.read_bytes() == b"0123456789"


def test_a_part_of_another_length_than_its_range(target):
    target.parent.mkdir()
    target.write_bytes(b"01234")
    headers = ("Content-Length: 5", "Content-Range: bytes 5-20/21", 'ETag: "a"')
    listener, url = answering(*headers, body=b"56789", status="206 Partial Content")
    version = {"url": url, "validator": '"a"', "total": 21}
    target.with_name("data.json").write_text(json.dumps(version))
    with listener:
        error = refusal(url, target)
    assert "Content-Range is of 16 bytes and Content-Length 5" in error.message
