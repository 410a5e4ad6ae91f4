from __future__ import annotations

import builtins
import random
import sys
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from refusals import refused
from server import Answer, Server, page

from posebench.downloads.drive import drive_file, drive_folder, drive_page, member_of
from posebench.downloads.files import Cancelled
from posebench.downloads.http import RetryPolicy
from posebench.install import install_command
from posebench.types.errors import UserError

BODY = random.Random(3).randbytes(200_000)
OTHER = random.Random(4).randbytes(200_000)
ID = "1" + "a" * 32
QUICK = RetryPolicy(timeout=60, retries=2, window=60)


@pytest.fixture
def drive(server, monkeypatch, tmp_path) -> Iterator[Server]:
    """Drive, as gdown sees it: every request to Google goes to the local server."""
    pytest.importorskip("gdown")
    import requests

    original = requests.Session.get

    def local(self, url, **options):
        parts = urlsplit(url)
        assert parts.hostname == "127.0.0.1" or parts.hostname.endswith(".google.com")
        query = f"?{parts.query}" if parts.query else ""
        return original(self, f"{server.address}{parts.path}{query}", **options)

    monkeypatch.setattr(requests.Session, "get", local)
    inside = sys.modules["gdown.download"]
    monkeypatch.setattr(inside.random, "uniform", lambda *_: 0.0)
    cookies = tmp_path / "cookies.txt"
    monkeypatch.setattr(inside, "DEFAULT_COOKIES_FILE", str(cookies))
    yield server
    # nothing of one fetch is remembered for the next, nor read from somebody's browser
    assert not cookies.exists()


def attachment(body: bytes, **how) -> Answer:
    named = {
        "Content-Disposition": 'attachment; filename="net.pth"',
        "Content-Type": "application/octet-stream",
    }
    return Answer(body, headers=named | how.pop("headers", {}), **how)


def refusal(action, *arguments, **options) -> UserError:
    with refused() as caught:
        action(*arguments, options.pop("policy", QUICK), **options)
    assert caught.value.hint.endswith(".")
    return caught.value


def test_a_file_comes_under_the_name_that_drive_gives(drive, tmp_path):
    told = []
    drive.put(f"/uc?id={ID}", attachment(BODY))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "net.pthabcdefgh.part").write_bytes(b"stale")
    (tmp_path / "d" / "net.pthijklmnop.part").write_bytes(b"stale")
    path = drive_file(ID, tmp_path / "d", QUICK, progress=lambda *now: told.append(now))
    assert path.read_bytes() == BODY
    assert path.name == "net.pth"
    assert told[-1] == (len(BODY), len(BODY))
    assert list(path.parent.iterdir()) == [path]


def test_a_large_file_is_confirmed(drive, tmp_path):
    form = (
        '<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>'
        '<form id="download-form" action="https://drive.usercontent.google.com/download">'
        f'<input type="hidden" name="id" value="{ID}"></form></body></html>'
    )  # fmt: skip
    drive.put(f"/uc?id={ID}", Answer(form.encode(), headers={"Content-Type": "text/html"}))
    drive.put(f"/download?id={ID}", attachment(BODY))
    assert drive_file(ID, tmp_path / "d", QUICK).read_bytes() == BODY


def test_a_quota_page_is_never_a_file(drive, tmp_path):
    quota = page("Google Drive - Quota exceeded")
    drive.put(f"/uc?id={ID}", quota)
    error = refusal(drive_file, ID, tmp_path / "d")
    assert f"https://drive.google.com/file/d/{ID}" in error.message
    assert "too often today" in error.message
    assert "--from FILE" in error.hint
    # even where the page calls itself an attachment
    drive.put(f"/uc?id={ID}", attachment(quota.body))
    assert "web page (Google Drive - Quota exceeded)" in refusal(drive_file, ID,
        tmp_path / "d").message  # fmt: skip
    drive.put(f"/uc?id={ID}", page("Not found", 404))
    refusal(drive_file, ID, tmp_path / "d")


def test_a_break_is_resumed_and_change_is_noticed(drive, tmp_path):
    long, changed = BODY * 6, OTHER * 6
    drive.put(f"/uc?id={ID}", attachment(long, drop=700_000), attachment(long))
    assert drive_file(ID, tmp_path / "d", QUICK).read_bytes() == long
    assert drive.asked(f"/uc?id={ID}")[-1]["Range"] == f"bytes={1 << 19}-"
    drive.put(f"/uc?id={ID}", attachment(long, drop=700_000), attachment(changed))
    refusal(drive_file, ID, tmp_path / "d")
    assert drive_file(ID, tmp_path / "d", QUICK).read_bytes() == changed


def test_silence_and_crawling_end(drive, tmp_path):
    drive.put(f"/uc?id={ID}", attachment(BODY, silent=60))
    policy = RetryPolicy(timeout=0.2, retries=0)
    assert "cannot be fetched" in refusal(drive_file, ID, tmp_path / "d", policy=policy).message
    assert not drive.sent
    drive.put(f"/uc?id={ID}", attachment(BODY, piece=1, delay=0.02))
    crawling = RetryPolicy(timeout=0.5, retries=0, slowest=1 << 20, window=0.1)
    error = refusal(drive_file, ID, tmp_path / "d", policy=crawling)
    assert "it comes too slowly" in error.message


def test_stopping_stops(drive, tmp_path):
    cancel = threading.Event()
    drive.put(f"/uc?id={ID}", attachment(BODY, silent=120))
    threading.Timer(0.2, cancel.set).start()
    with pytest.raises(Cancelled):
        drive_file(ID, tmp_path / "d", RetryPolicy(timeout=240, cancel=cancel))
    assert drive.sent < len(BODY)  # it was not waited for


def test_a_folder_is_listed_with_all_below_it(drive):
    inner = "2" + "b" * 32

    def view(title: str, links: list[tuple[str, str]]) -> Answer:
        shown = "".join(f'<a href="{link}">{name}</a>' for link, name in links)
        text = f"<html><head><title>{title}</title></head><body>{shown}</body></html>"
        return Answer(text.encode(), headers={"Content-Type": "text/html"})

    file = "https://drive.google.com/file/d/{}/view?usp=drive_web"
    folder = f"https://drive.google.com/drive/folders/{inner}"
    one, two, three = (letter * 33 for letter in "xyz")
    drive.put(
        f"/embeddedfolderview?id={ID}",
        view("top", [(file.format(one), "a.pth"), (folder, "in"), (file.format(three), "s*.pth")]),
    )
    drive.put(f"/embeddedfolderview?id={inner}", view("in", [(file.format(two), "b.pth")]))
    listing = drive_folder(ID, QUICK)
    assert listing == {"a.pth": one, "in/b.pth": two, "s*.pth": three}
    assert member_of(listing, "b.pth", "PAGE") == two
    assert member_of(listing, "s*.pth", "PAGE") == three
    drive.put(f"/embeddedfolderview?id={ID}", page("Sign in", 403))
    assert "cannot be fetched" in refusal(drive_folder, ID).message


def test_the_wrong_name_in_a_folder_is_told_with_what_is_there():
    listing = {"x/a.pth": "1", "y/a.pth": "2", "b.pth": "3"}
    assert member_of(listing, "x/a.pth", "PAGE") == "1"
    with pytest.raises(UserError, match=r"PAGE has 2 files called 'a.pth'") as caught:
        member_of(listing, "a.pth", "PAGE")
    assert "x/a.pth, y/a.pth" in caught.value.hint
    with pytest.raises(UserError, match=r"has no file called 'c.pth'") as caught:
        member_of(listing, "c.pth", "PAGE")
    assert "b.pth" in caught.value.hint
    with pytest.raises(UserError, match="has no file called"):
        member_of({}, "c.pth", "PAGE")


def test_without_gdown_or_with_an_old_one_the_way_out_is_told(tmp_path, monkeypatch):
    original = builtins.__import__

    def absent(name, *rest):
        if name == "gdown":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    error = refusal(drive_file, ID, tmp_path / "d")
    assert "need the package gdown" in error.message
    assert install_command("fetch") in error.hint
    assert "--from FILE" in error.hint
    monkeypatch.undo()

    class Old:
        @staticmethod
        def download(id, output, quiet):
            raise AssertionError

    monkeypatch.setitem(sys.modules, "gdown", Old)
    assert "too old" in refusal(drive_file, ID, tmp_path / "d").message


def test_places_on_drive_have_pages():
    assert drive_page("gdrive:x") == "https://drive.google.com/file/d/x"
    assert drive_page("gdrive-folder:x") == "https://drive.google.com/drive/folders/x"
    assert drive_page("https://a") == "https://a"
