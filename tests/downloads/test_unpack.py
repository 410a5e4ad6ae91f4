from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
from refusals import assert_mentions, refused

from posebench.downloads import unpack as module
from posebench.downloads.files import Cancelled
from posebench.downloads.unpack import unpack_archive
from posebench.types.errors import UserError

FILES = {
    "annotations/person_val.json": b'{"a": 1}',
    "annotations/other_val.json": b"[]",
    "val2017/1.jpg": b"one",
    "val2017/2.jpg": b"two" * 1000,
    "val2017/.DS_Store": b"?",
    "__MACOSX/val2017/._1.jpg": b"?",
}


def zipped(path: Path, files: dict[str, bytes], **options) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def taped(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "data" / "coco"


def refusal(archive: Path, root: Path, wanted: str = "val2017") -> UserError:
    outside = sorted(root.parent.parent.rglob("*"))
    with refused() as caught:
        unpack_archive(archive, root, wanted)
    error = caught.value
    assert error.hint.endswith(".")
    # at most the root itself was made
    made = set(root.parent.parent.rglob("*")) - set(outside)
    assert made <= {root, root.parent, root / "annotations"}
    return error


def below(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("make", [zipped, taped, lambda p, f: taped(p, f, "w")])
@pytest.mark.parametrize("above", ["", "coco/", "./a/b/"])
def test_a_file_or_folder_comes_to_its_place_and_nothing_else(tmp_path, root, make, above):
    archive = make(tmp_path / "a", {above + name: data for name, data in FILES.items()})
    assert unpack_archive(archive, root, "val2017") == root / "val2017"
    wanted = "annotations/person_val.json"
    assert unpack_archive(archive, root, wanted) == root / wanted
    assert below(root) == {name: FILES[name] for name in ("val2017/1.jpg", "val2017/2.jpg", wanted)}


def test_a_folder_that_is_there_is_completed(tmp_path, root):
    (root / "val2017").mkdir(parents=True)
    (root / "val2017" / "1.jpg").write_bytes(b"half")
    (root / "val2017" / "9.jpg").write_bytes(b"mine")
    unpack_archive(zipped(tmp_path / "a.zip", FILES), root, "val2017")
    assert below(root / "val2017") == {"1.jpg": b"one", "2.jpg": b"two" * 1000, "9.jpg": b"mine"}


@pytest.mark.parametrize("make", [zipped, taped])
@pytest.mark.parametrize(
    "name",
    ["../val2017/x", "val2017/../../x", "/val2017/x", "val2017/a\\..\\b", "val2017/C:x",
     "val2017/nul", "val2017/a\x01b", "a/../val2017/x"],
)  # fmt: skip
def test_paths_that_leave_the_folder_are_refused(tmp_path, root, make, name):
    archive = make(tmp_path / "a", FILES | {name: b"evil"})
    assert "is not unpacked" in refusal(archive, root).message


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE,
    tarfile.FIFOTYPE])  # fmt: skip
def test_links_and_devices_in_a_tar_are_refused(tmp_path, root, kind):
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as made:
        info = tarfile.TarInfo("val2017/x")
        info.type, info.linkname = kind, "/etc/passwd"
        made.addfile(info)
        inside = tarfile.TarInfo("val2017/x/y")
        inside.size = 4
        made.addfile(inside, io.BytesIO(b"evil"))
    assert "is a link or device" in refusal(archive, root).message


def test_links_in_a_zip_are_refused(tmp_path, root):
    archive = zipped(tmp_path / "a.zip", FILES)
    with zipfile.ZipFile(archive, "a") as made:
        info = zipfile.ZipInfo("val2017/x")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(info, "/etc/passwd")
    assert "is a link or device" in refusal(archive, root).message


@pytest.mark.parametrize("make", [zipped, lambda p, f: taped(p, f, "w:xz"), taped])
def test_bombs_are_refused_before_they_unfold(tmp_path, root, make, monkeypatch):
    monkeypatch.setattr(module, "SMALL", 1 << 16)
    bomb = make(tmp_path / "a", {"val2017/x": bytes(4_000_000)})
    assert "it unfolds to more than" in refusal(bomb, root).message
    # also where the bomb is not what is wanted
    bomb = make(tmp_path / "b", {"x": bytes(4_000_000), "val2017/1": b"1"})
    assert "it unfolds to more than" in refusal(bomb, root).message
    monkeypatch.setattr(module, "MOST_MEMBERS", 3)
    many = make(tmp_path / "c", {f"val2017/{i}": b"" for i in range(9)})
    assert "too many files" in refusal(many, root).message


@pytest.mark.parametrize("link", ["", "deeper"])
def test_links_on_the_way_lead_nothing_out_of_the_root(tmp_path, root, link):
    """The folder itself, or one in a folder that is completed."""
    away = tmp_path / "away"
    away.mkdir()
    place = root / "val2017" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(away)
    archive = zipped(tmp_path / "a.zip", {"val2017/deeper/1.jpg": b"one"})
    with refused(away, hint="Remove the link"):
        unpack_archive(archive, root, "val2017")
    assert not list(away.iterdir())


def test_a_member_that_stands_twice_is_refused(tmp_path, root):
    archive = taped(tmp_path / "a.tar", {"val2017/x": b"1", "./val2017//x": b"2"}, "w")
    assert "stands in it twice" in refusal(archive, root).message
    archive = taped(tmp_path / "b.tar", {"val2017": b"1", "val2017/x": b"2"}, "w")
    assert_mentions(refusal(archive, root).message, "val2017", "file", "folder")


def test_damage_and_absence_are_one_sentence(tmp_path, root):
    whole = zipped(tmp_path / "a.zip", FILES).read_bytes()
    at = whole.index(b"val2017/2.jpg") + 20
    for number, data in enumerate(
        (whole[:-30], whole[:at] + b"\xff\xff\xff" + whole[at + 3 :], b"", b"hello", b"PK\x03\x04")
    ):
        archive = tmp_path / f"{number}.zip"
        archive.write_bytes(data)
        assert "damaged archive" in refusal(archive, root).message
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(
        taped(tmp_path / "b.tar.gz", {"val2017/x": os.urandom(50_000)}).read_bytes()[:-99]
    )
    assert "damaged archive" in refusal(cut, root).message
    archive = zipped(tmp_path / "b.zip", {"train2017/1.jpg": b""})
    assert "has no val2017" in refusal(archive, root).message


def test_too_little_room_is_said_before(tmp_path, root, monkeypatch):
    archive = zipped(tmp_path / "a.zip", FILES)
    usage = shutil.disk_usage("/")._replace(free=100)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    assert "unfolds to 3003 bytes, but only 100 are free" in refusal(archive, root).message


def test_stopping_and_failing_leave_nothing_behind(tmp_path, root, monkeypatch):
    archive = zipped(tmp_path / "a.zip", FILES)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        unpack_archive(archive, root, "val2017", cancel=cancel)
    assert list(root.iterdir()) == []

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_move", full)
    with refused("No space left on device"):
        unpack_archive(archive, root, "val2017")
    assert list(root.iterdir()) == []


def test_what_a_killed_process_left_is_no_hindrance(tmp_path, root):
    left = root / ".val2017.part"
    left.mkdir(parents=True)
    (left / "1.jpg").write_bytes(b"half")
    (left / "old.jpg").write_bytes(b"old")
    unpack_archive(zipped(tmp_path / "a.zip", FILES), root, "val2017")
    assert set(below(root)) == {"val2017/1.jpg", "val2017/2.jpg"}
